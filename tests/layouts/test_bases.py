"""Base backups as objects: names are their manifest, what is missing or damaged is named, and their bytes are golden."""

from __future__ import annotations

import gzip
import itertools
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backstream.clock import SystemClock
from backstream.errors import AlreadyExists, BackstreamError, Damaged, MissingObject
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import SCANNED, Entry, ImagePlace, Scanned, of_scanned
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.bases import Base, BaseKind, BasePlan, Bases, CompletionRecord, Part
from backstream.vault.log import segments
from backstream.vault.log.segments import Codec
from kit.clock import ManualClock
from kit.losing import lose
from kit.spoil import spoil

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
GOLDEN_2 = GOLDEN.parent / "format-2"
HOUR = 1_795_406_400  # 2026-11-23T04:00:00Z
ID = "20261123T040000Z-0a1b2c"
FOLDER = "_backstream/flights/base/"
IMAGE = b'{"id":{"S":"a"},"n":{"N":"0.10000000000000000000000000000000000001"},"e":{"S":"\\u00e9\\/"},"b":{"B":"AP8="}}'


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore(ManualClock(HOUR))
    return DirectoryStore(tmp_path, SystemClock())


@pytest.fixture
def bases(store: ObjectStore) -> Bases:
    return Bases(store, "flights")


def plan(name: str = ID, *, parts: int = 2) -> BasePlan:
    return BasePlan(1, name, BaseKind.SCAN, "table-id", parts, HOUR)


def entry(number: int, began: int = HOUR, until: int = HOUR + 4) -> Entry:
    keys = b'{"id":{"S":"row-%d"}}' % number
    return of_scanned(Scanned(keys, keys[:-1] + b',"v":{"N":"1"}}', began, until * MICROS), None)


def names(store: ObjectStore) -> list[str]:
    return [each.name for each in store.list("")]


def complete_one(bases: Bases) -> Base:
    """Two segments: one of two parts, one without any item."""
    bases.begin(plan())
    assert bases.write_part(ID, 0, 0, [entry(1), entry(2)], last=False)
    assert bases.write_part(ID, 0, 1, [entry(3)], last=True)
    assert bases.write_part(ID, 1, 0, [], last=True)
    base = Base(BaseKind.SCAN, ID, HOUR, HOUR + 9)
    bases.finish(base, CompletionRecord(1, "table-id", 3, 3))
    return base


# --- names ------------------------------------------------------------------------------------------------------------------------


def test_the_names_are_a_promise(bases: Bases, store: ObjectStore) -> None:
    complete_one(bases)
    assert names(store) == [
        f"{FOLDER}{ID}/00000-000000_2_20261123T040000Z-20261123T040004Z.ndjson.zst",
        f"{FOLDER}{ID}/00000-000001_1_20261123T040000Z-20261123T040004Z.last.ndjson.zst",
        f"{FOLDER}{ID}/00001-000000_0_19700101T000000Z-19700101T000000Z.last.ndjson.zst",
        f"{FOLDER}{ID}/plan.json",
        f"{FOLDER}complete/20261123T040000Z-20261123T040009Z_scan_{ID}.json",
    ]


@given(
    segment=st.integers(0, 200_000),
    number=st.integers(0, 2_000_000),
    seconds=st.lists(st.tuples(st.integers(0, 2 * HOUR), st.integers(0, 100)), min_size=1, max_size=3),
    last=st.booleans(),
    codec=st.sampled_from(Codec),
)
def test_a_parts_name_says_what_it_is(
    segment: int, number: int, seconds: list[tuple[int, int]], codec: Codec, *, last: bool
) -> None:
    store = MemoryStore(ManualClock(HOUR))
    bases = Bases(store, "flights", codec)
    entries = [entry(row, began, began + took) for row, (began, took) in enumerate(seconds)]
    assert bases.write_part(ID, segment, number, entries, last=last)
    (name,) = names(store)
    times = min(began for began, _ in seconds), max(began + took for began, took in seconds)
    size = len(store.get(name).body)
    found = Part(name, segment, number, len(entries), times, last, codec, float(HOUR), size)
    assert bases.parts(ID) == bases.parts_of(ID, segment)
    assert [msgspec.structs.replace(each, found=None) for each in bases.parts(ID)] == [found]
    assert bases.read(found) == entries


def test_parts_come_in_order_and_each_segment_has_its_own(bases: Bases) -> None:
    for segment, number in itertools.product((10, 9, 0, 100), (2, 0, 10, 1)):
        assert bases.write_part(ID, segment, number, [entry(number)], last=False)
    found = [(part.segment, part.number) for part in bases.parts(ID)]
    assert found == list(itertools.product((0, 9, 10, 100), (0, 1, 2, 10)))
    assert [part.number for part in bases.parts_of(ID, 10)] == [0, 1, 2, 10]
    assert bases.parts_of(ID, 1) == []


# --- what there is ----------------------------------------------------------------------------------------------------------------


def test_nothing_yet(bases: Bases) -> None:
    assert (bases.complete(), bases.plans(), bases.parts(ID), bases.parts_of(ID, 0)) == ([], [], [], [])


def test_a_complete_one_is_read_back(bases: Bases) -> None:
    base = complete_one(bases)
    assert bases.complete() == [base]
    assert bases.plans() == [plan()]
    assert [part.count for part in bases.whole(base)] == [2, 1, 0]
    assert [each for part in bases.whole(base) for each in bases.read(part)] == [entry(1), entry(2), entry(3)]


def test_complete_ones_are_the_oldest_first_and_of_their_own_table(bases: Bases, store: ObjectStore) -> None:
    made = [
        Base(kind, f"{kind}-{begin}", HOUR + begin, HOUR + begin + 60)
        for begin, kind in ((20, BaseKind.EXPORT), (5, BaseKind.SCAN))
    ]
    made.append(Base(BaseKind.INCREMENTAL, "incremental-7", HOUR + 7, HOUR + 8))
    for base in made:
        bases.finish(base, CompletionRecord(1, "source", 0, 0))
    assert bases.complete() == sorted(made, key=lambda base: base.begin)
    assert Bases(store, "flight").complete() == Bases(store, "flights2").complete() == []


def test_plans_of_all_that_were_begun(bases: Bases) -> None:
    begun = [plan(f"20261123T0400{second:02}Z-aaaaaa") for second in range(3)]
    for each in begun:
        bases.begin(each)
        bases.write_part(each.id, 0, 0, [entry(1)], last=True)
    bases.finish(Base(BaseKind.SCAN, begun[1].id, HOUR, HOUR + 1), CompletionRecord(1, "table-id", 1, 1))
    bases.write_part("20261123T050000Z-bbbbbb", 0, 0, [entry(1)], last=True)  # whose plan has gone
    assert bases.plans() == begun


def test_the_same_plan_and_the_same_end_again_change_nothing(bases: Bases, store: ObjectStore) -> None:
    base = complete_one(bases)
    before = list(store.versions(""))
    bases.begin(plan())
    bases.finish(base, CompletionRecord(1, "table-id", 3, 3))
    assert list(store.versions("")) == before


def test_foreign_objects_do_no_harm(bases: Bases, store: ObjectStore) -> None:
    base = complete_one(bases)
    for foreign in (
        "README",
        "notes/readme.txt",
        "complete/readme.txt",
        "complete/20261123T040000Z_scan_x.json",
        f"complete/20261123T040000Z-20261123T040009Z_dream_{ID}.json",
        f"{ID}/00000-000000_2_20261123T040000Z-20261123T040004Z.ndjson",
        f"{ID}/00000-000000.ndjson.zst",
        f"{ID}/0-0_1_20261123T040000Z-20261123T040004Z.ndjson.zst",
        f"{ID}/.DS_Store",
    ):
        store.put(FOLDER + foreign, b"what is this")
    assert bases.complete() == [base]
    assert bases.plans() == [plan()]
    assert [part.count for part in bases.whole(base)] == [2, 1, 0]


@pytest.mark.parametrize(
    "name",
    [
        f"{ID}/00002-000000_1_20261323T040000Z-20261123T040004Z.ndjson.zst",
        f"complete/20261323T040000Z-20261123T040009Z_scan_{ID}.json",
    ],
)
def test_a_thirteenth_month_is_a_foreign_object(bases: Bases, store: ObjectStore, name: str) -> None:
    base = complete_one(bases)
    store.put(FOLDER + name, b"")
    assert bases.complete() == [base]
    assert len(bases.whole(base)) == 3


# --- what is missing or damaged ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_a_part_that_has_gone_is_missed(bases: Bases, store: ObjectStore, number: int) -> None:
    base = complete_one(bases)
    gone = bases.parts(ID)[number]
    lose(store, gone.name)
    with pytest.raises(Damaged, match=ID) as caught:
        bases.whole(base)
    assert f"2 parts and {3 - gone.count} rows" in caught.value.message
    assert "3 and 3" in caught.value.message
    assert "backfill" in caught.value.hint


def test_a_part_too_many_is_noticed(bases: Bases) -> None:
    base = complete_one(bases)
    assert bases.write_part(ID, 0, 2, [entry(4)], last=True)
    with pytest.raises(Damaged, match="4 parts and 4 rows"):
        bases.whole(base)


@pytest.mark.parametrize("codec", Codec)
def test_a_damaged_part_is_named(store: ObjectStore, codec: Codec) -> None:
    bases = Bases(store, "flights", codec)
    bases.write_part(ID, 0, 0, [entry(number) for number in range(50)], last=True)
    (part,) = bases.parts(ID)
    body = store.get(part.name).body
    middle = len(body) // 2
    wrong = [b"", body[:-1], body[:middle], body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :], b"{}\n"]
    wrong += [codec.compress(b"not a line\n" * 50), segments.pack([entry(1)], codec)]
    for damaged in wrong:
        spoil(store, part.name, damaged)
        with pytest.raises(Damaged) as caught:
            bases.read(bases.parts(ID)[0])
        assert caught.value.message.startswith(f"{part.name}: ")
    spoil(store, part.name, body)
    assert len(bases.read(bases.parts(ID)[0])) == 50


def test_a_part_that_goes_between_the_listing_and_its_reading_is_named(bases: Bases, store: ObjectStore) -> None:
    base = complete_one(bases)
    part = bases.whole(base)[0]
    lose(store, part.name)
    with pytest.raises(MissingObject) as caught:
        bases.read(part)
    assert part.name in caught.value.message


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"format":1}'])
def test_a_damaged_record_or_plan_is_named(bases: Bases, store: ObjectStore, damaged: bytes) -> None:
    base = complete_one(bases)
    record, of_plan = names(store)[4], f"{FOLDER}{ID}/plan.json"
    spoil(store, record, damaged)
    assert bases.complete() == [base], "it counts: whether it is whole is asked when it is needed"
    with pytest.raises(Damaged) as caught:
        bases.whole(base)
    assert record in caught.value.message
    spoil(store, of_plan, damaged)
    with pytest.raises(Damaged) as caught:
        bases.plans()
    assert of_plan in caught.value.message


# --- writing a part that is there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", [[entry(1), entry(2)], [entry(1)], [entry(7, HOUR + 5, HOUR + 9)], []])
def test_a_part_that_somebody_else_has_written_stays_as_it_is(bases: Bases, store: ObjectStore, mine: list[Entry]) -> None:
    """Whatever it would have been: the same, a shorter one, another time, or the end."""
    assert bases.write_part(ID, 3, 0, [entry(1), entry(2)], last=False)
    before = list(store.versions(""))
    assert not bases.write_part(ID, 3, 0, mine, last=not mine)
    assert list(store.versions("")) == before
    assert bases.write_part(ID, 3, 1, mine, last=True), "the next one is free"
    assert bases.write_part(ID, 4, 0, mine, last=True), "and so is another segment's"


class LateListing:
    """A store whose listings do not show what was written since the test began: two writers between whose looks nothing lies."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    def list(self, prefix: str, *, after: str = "") -> list[object]:
        assert prefix >= after
        return []

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_two_writers_of_the_same_part_at_the_same_instant(store: ObjectStore) -> None:
    one, other = Bases(store, "flights"), Bases(LateListing(store), "flights")  # type: ignore[arg-type] # listings are all it changes
    assert one.write_part(ID, 0, 0, [entry(1)], last=True)
    assert not other.write_part(ID, 0, 0, [entry(1)], last=True)
    assert len(list(store.versions(""))) == 1


class Broken:
    """A store that takes nothing."""

    def __init__(self, error: BackstreamError) -> None:
        self.error = error

    def list(self, prefix: str, *, after: str = "") -> list[object]:
        assert prefix >= after
        return []

    def put(self, *_: object, **__: object) -> str:
        raise self.error


def test_only_what_is_there_already_is_no_error() -> None:
    with pytest.raises(Damaged):
        Bases(Broken(Damaged("no")), "flights").begin(plan())  # type: ignore[arg-type] # puts are all it has
    Bases(Broken(AlreadyExists("there")), "flights").begin(plan())  # type: ignore[arg-type] # as above


# --- golden: what version 1 of the format wrote must be read for ever -------------------------------------------------------------

PLACE = ImagePlace("flights/ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "version-1")
STATES = [
    of_scanned(Scanned(b'{"id":{"S":"a"}}', IMAGE, HOUR, (HOUR + 4) * MICROS), None),
    of_scanned(Scanned(b'{"id":{"S":"a"}}', IMAGE, HOUR, (HOUR + 4) * MICROS), PLACE, IMAGE),
    of_scanned(Scanned(b'{"id":{"S":"a"}}', None, HOUR, (HOUR + 5) * MICROS, old=IMAGE), None),
    of_scanned(Scanned(b'{"id":{"S":"a"}}', None, HOUR, (HOUR + 5) * MICROS), None),
]


def test_golden_part(store: ObjectStore) -> None:
    """Lines as of the change log, with when the read began and ended: an image inline, one in its place, and two removals."""
    lines = (GOLDEN / "base-part.ndjson").read_bytes()
    assert [each.event for each in STATES] == [SCANNED, SCANNED, "REMOVE", "REMOVE"]
    bases = Bases(store, "flights")
    assert written_and_read(store, bases, lines, WITHOUT_DIGESTS) == WITHOUT_DIGESTS


def test_golden_part_of_format_2(store: ObjectStore) -> None:
    """The same with digests: of the state that was read, and of the row object's body."""
    lines = (GOLDEN_2 / "base-part.ndjson").read_bytes()
    bases = Bases(store, "flights")
    assert written_and_read(store, bases, lines, STATES) == STATES
    assert STATES[1].after == STATES[0].after is not None
    assert [each.body for each in STATES] == [None, sha256(IMAGE).hexdigest(), None, None]
    assert store.get(bases.parts(ID)[0].name).info.metadata["format"] == "2"


WITHOUT_DIGESTS = [msgspec.structs.replace(each, before=None, after=None, body=None) for each in STATES]


def written_and_read(store: ObjectStore, bases: Bases, lines: bytes, states: list[Entry]) -> list[Entry]:
    bases.write_part(ID, 0, 0, states, last=True)
    (part,) = bases.parts(ID)
    assert zstandard.ZstdDecompressor().decompress(store.get(part.name).body) == lines
    zipped = f"{FOLDER}{ID}/00001-000000_4_20261123T040000Z-20261123T040005Z.last.ndjson.gz"
    store.put(zipped, gzip.compress(lines))
    return list(bases.read(bases.parts_of(ID, 1)[0]))


def test_golden_plan(store: ObjectStore) -> None:
    name = f"{FOLDER}{ID}/plan.json"
    Bases(store, "flights").begin(plan(parts=4))
    assert store.get(name).body == (GOLDEN / "base-plan.json").read_bytes().rstrip(b"\n")
    store.put(name, (GOLDEN / "base-plan.json").read_bytes())
    assert Bases(store, "flights").plans() == [plan(parts=4)]


def test_golden_record_of_completion(store: ObjectStore) -> None:
    base = Base(BaseKind.SCAN, ID, HOUR, HOUR + 9)
    name = f"{FOLDER}complete/20261123T040000Z-20261123T040009Z_scan_{ID}.json"
    bases = Bases(store, "flights")
    bases.finish(base, CompletionRecord(1, "table-id", 4, 1))
    assert store.get(name).body == (GOLDEN / "base-complete.json").read_bytes().rstrip(b"\n")
    store.put(name, (GOLDEN / "base-complete.json").read_bytes())
    bases.write_part(ID, 0, 0, STATES, last=True)
    assert bases.complete() == [base]
    assert [bases.read(part) for part in bases.whole(base)] == [STATES]


def test_a_field_that_a_later_version_adds_is_no_damage(store: ObjectStore) -> None:
    later = {**msgspec.json.decode((GOLDEN / "base-plan.json").read_bytes()), "added_later": [1]}
    store.put(f"{FOLDER}{ID}/plan.json", msgspec.json.encode(later))
    assert Bases(store, "flights").plans() == [plan(parts=4)]
