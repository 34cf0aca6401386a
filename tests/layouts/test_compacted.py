"""Sets and generations: which objects count, what stands for what, and what a reader may still find of those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged, Failed, MissingObject
from backstream.model.changes.entry import Entry, to_line
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.vault.log import compacted as sets
from backstream.vault.log import frames, segments
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Compacted, Generation, Set, partition_of, set_id
from backstream.vault.log.frames import INDEX_GUESS, FrameLine
from backstream.vault.log.sources import is_of
from kit.clock import ManualClock
from kit.spoil import spoil
from kit.watched import WatchedStore

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
GOLDEN_2 = GOLDEN.parent / "format-2"
FOLDER = "_backstream/flights/compacted/"
STREAM = "2026-11-23T04:15:33.123"
SHARD = "shardId-00000001763871333000-0a1b2c3d"
HOUR = 1_795_406_400  # 2026-11-23T04:00:00Z


def source(name: str) -> str:
    """The name of an object that a set may stand for."""
    return f"{FOLDER.removesuffix('compacted/')}log/dt=2026-11-23/hour=04/{'x' * 40}{name}"


@pytest.fixture
def store() -> ObjectStore:
    return MemoryStore(ManualClock())


@pytest.fixture
def compacted(store: ObjectStore) -> Compacted:
    return Compacted(store, "flights")


def key(number: int) -> bytes:
    return b'{"id":{"S":"item-%04d"}}' % number


def entry(item: int, number: int) -> Entry:
    image = b'{"id":{"S":"item-%04d"},"v":{"N":"%d"}}' % (item, number)
    return Entry(STREAM, str(1_000 + number), (HOUR + number) * 1_000_000, "MODIFY", f"{number:032x}", None, key(item), image)


def write(compacted: Compacted, name: str, entries: Sequence[Entry], partitions: int = 4, sources: Sequence[str] = ()) -> Set:
    """A set of these entries, which nothing refers to yet."""
    compacted.write_sources(name, dict.fromkeys(sources, "v"))
    size = 0
    for number in range(partitions):
        mine = sorted((each for each in entries if partition_of(each.keys, partitions) == number), key=lambda each: each.keys)
        body, _ = frames.pack(FrameLine(each.keys, each.seconds, to_line(each)) for each in mine)
        compacted.write_part(name, number, partitions, body)
        size += len(body)
    seconds = [each.seconds for each in entries]
    return Set(name, partitions, len(entries), size, min(seconds), max(seconds))


def names(store: ObjectStore, prefix: str = FOLDER) -> list[str]:
    return [each.name for each in store.list(prefix)]


def lines_around(compacted: Compacted, one: Set, item: int) -> list[Entry]:
    _, claim, body = compacted.around(one, key(item))
    return [each for each in segments.read(claim, body) if each.keys == key(item)]


# --- generations ----------------------------------------------------------------------------------------------------------------


def made(number: int, digest: str = "a" * 12) -> Generation:
    """One with a new set of its own, which holds nothing."""
    return Generation(number=number, sets=[Set(f"{number:08d}-{digest}", 1, 0, 0, 0, 0)])


def test_where_nothing_was_ever_compacted_nothing_is_in_force(compacted: Compacted) -> None:
    assert compacted.current() == Generation()
    assert compacted.replaced(Generation()) == frozenset()


def test_the_greatest_number_is_in_force(compacted: Compacted) -> None:
    for number in (9, 10, 11):
        compacted.commit(made(number))
    assert compacted.current() == made(11)


def test_of_two_of_one_number_the_second_fails_and_changes_nothing(compacted: Compacted) -> None:
    compacted.commit(made(1))
    with pytest.raises(Failed, match="another compaction"):
        compacted.commit(made(1, "b" * 12))
    assert compacted.current() == made(1)


def test_a_generation_that_was_hidden_is_still_read_by_who_listed_it(store: ObjectStore, compacted: Compacted) -> None:
    """As where a whole compaction goes through between the list and the read."""
    compacted.commit(made(1))

    def hide(_: str) -> None:
        for name in names(store):
            store.delete(name)

    racing = WatchedStore(store, after_list=hide)
    assert Compacted(racing, "flights").current() == made(1)
    assert names(store) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"format":1,"number":"one"}', b'{"sets":[{}]}', b'{"number":3}'])
def test_a_damaged_record_is_named_and_what_to_do(store: ObjectStore, compacted: Compacted, body: bytes) -> None:
    spoil(store, f"{FOLDER}generations/00000002.json", body)
    with pytest.raises(Damaged, match=r"generations/00000002\.json") as raised:
        compacted.current()
    assert "versions" in raised.value.hint


def test_a_newer_format_is_refused(store: ObjectStore, compacted: Compacted) -> None:
    spoil(store, f"{FOLDER}generations/00000002.json", b'{"format":3,"number":2}')
    with pytest.raises(Damaged, match="format 3") as raised:
        compacted.current()
    assert "newer" in raised.value.hint


@pytest.mark.parametrize("name", ["", "readme.txt", "zzz", "00000009.json.bak", "1.json"])
def test_a_foreign_object_is_no_generation(store: ObjectStore, compacted: Compacted, name: str) -> None:
    compacted.commit(made(1))
    store.put(f"{FOLDER}generations/{name}", b"")
    assert compacted.current() == made(1)


def test_a_folder_is_no_generation_either(store: ObjectStore, compacted: Compacted) -> None:
    """Such as the S3 console makes."""
    store.put(f"{FOLDER}generations/", b"")
    assert compacted.current() == Generation()


def test_a_field_that_a_later_version_adds_is_no_damage(store: ObjectStore, compacted: Compacted) -> None:
    later = {**msgspec.json.decode((GOLDEN / "compacted-generation.json").read_bytes()), "added_later": [1]}
    store.put(f"{FOLDER}generations/00000007.json", msgspec.json.encode(later))
    assert compacted.current() == IN_GOLD


# --- what stands for what -------------------------------------------------------------------------------------------------------


def test_what_may_still_be_listed_is_replaced(compacted: Compacted) -> None:
    one = write(compacted, "00000001-aaaaaaaaaaaa", [entry(1, 1)], sources=[source("b"), source("a")])
    two = write(compacted, "00000002-bbbbbbbbbbbb", [entry(2, 2)], sources=[source("\u00fc\n"), source("d")])
    assert compacted.sources(one.id) == {source("a"): "v", source("b"): "v"}
    assert compacted.replaced(Generation(sets=[one, two], kept=[source("k")], unsettled=[two.id])) == {
        source("k"),
        source("\u00fc\n"),
        source("d"),
    }


def test_sources_that_cannot_be_read_are_named(store: ObjectStore, compacted: Compacted) -> None:
    write(compacted, "00000001-aaaaaaaaaaaa", [entry(1, 1)], sources=[source("a")])
    name = f"{FOLDER}00000001-aaaaaaaaaaaa/sources.ndjson.zst"
    for body in (b"", b"no", store.get(name).body[:-1]):
        spoil(store, name, body)
        with pytest.raises(Damaged, match="sources"):
            compacted.replaced(Generation(unsettled=["00000001-aaaaaaaaaaaa"]))


def test_what_was_written_once_is_not_written_again(store: ObjectStore, compacted: Compacted) -> None:
    compacted.write_part("00000001-aaaaaaaaaaaa", 0, 1, b"first")
    compacted.write_part("00000001-aaaaaaaaaaaa", 0, 1, b"second")
    assert [store.get(name).body for name in names(store)] == [b"first"]


def test_an_id_tells_of_which_objects_a_set_is_made() -> None:
    assert set_id(7, ["b", "a"]) == set_id(7, ["a", "b"])
    assert len({set_id(7, ["a", "b"]), set_id(7, ["a"]), set_id(7, ["a", "c"]), set_id(8, ["a", "b"])}) == 4
    assert set_id(7, ["a"]).startswith("00000007-")


# --- what is over ---------------------------------------------------------------------------------------------------------------


def test_dead_is_what_will_never_count(store: ObjectStore, compacted: Compacted) -> None:
    ids = {
        "live": "00000003-aaaaaaaaaaaa",
        "merged": "00000001-bbbbbbbbbbbb",
        "orphan": "00000004-cccccccccccc",
        "to come": "00000005-dddddddddddd",
    }
    written = {what: write(compacted, each, [entry(1, 1)], partitions=2) for what, each in ids.items()}
    for number in (3, 4, 5):
        compacted.commit(Generation(number=number, sets=[written["live"]]))
    foreign = [f"{FOLDER}readme.txt", f"{FOLDER}generations/notes", f"{FOLDER}00000001-xyz/part", f"{FOLDER}generations/"]
    for name in foreign:
        store.put(name, b"")
    dead = compacted.dead(Generation(number=4, sets=[written["live"]]))
    assert {each.removeprefix(FOLDER).partition("/")[0] for each in dead} == {ids["merged"], ids["orphan"], "generations"}
    assert [each for each in dead if "/generations/" in each] == [f"{FOLDER}generations/00000003.json"]
    assert len(dead) == 2 * 3 + 1, "two parts and the sources of both sets, and one generation"


# --- parts ----------------------------------------------------------------------------------------------------------------------

ENTRIES = [entry(item, item) for item in range(40)]


def test_parts_hold_every_line_once_sorted_and_where_its_key_belongs(compacted: Compacted) -> None:
    one = write(compacted, "00000001-aaaaaaaaaaaa", ENTRIES)
    found = []
    for number, part in enumerate(compacted.parts(one)):
        mine = segments.read(*compacted.claim_and_body(part.name))
        assert [each.keys for each in mine] == sorted(each.keys for each in mine)
        assert {partition_of(each.keys, 4) for each in mine} <= {number}
        found += mine
    assert sorted(found, key=lambda each: each.keys) == ENTRIES


def test_a_partition_is_cut_in_two_when_their_number_doubles() -> None:
    """So that sets of different numbers of objects are merged one object at a time."""
    for number in range(200):
        assert partition_of(key(number), 8) // 2 == partition_of(key(number), 4)
        assert partition_of(key(number), 1) == 0
    assert {partition_of(key(number), 8) for number in range(200)} == set(range(8))


@pytest.mark.parametrize("missing", [[0], [3], [1, 2], [0, 1, 2, 3]])
def test_a_missing_part_is_named(store: MemoryStore, compacted: Compacted, missing: list[int]) -> None:
    one = write(compacted, "00000001-aaaaaaaaaaaa", ENTRIES)
    there = {each.name: store.get(each.name) for each in store.list(FOLDER)}
    gone = MemoryStore(ManualClock())
    lost = [compacted.part_name(one.id, number, 4) for number in missing]
    for name, stored in there.items():
        if name not in lost:
            gone.put(name, stored.body)
    with pytest.raises(Damaged, match=lost[0]) as raised:
        Compacted(gone, "flights").parts(one)
    assert ("more of its set" in raised.value.message) == (len(missing) > 1)
    assert "versions" in raised.value.hint


def test_parts_that_were_hidden_are_read_by_who_knows_of_them(store: ObjectStore, compacted: Compacted) -> None:
    """A reader asked for the generation, and then a later compaction hid its sets."""
    one = write(compacted, "00000001-aaaaaaaaaaaa", ENTRIES, sources=[source("a")])
    for name in names(store):
        store.delete(name)
    found = [each for part in compacted.parts(one) for each in segments.read(*compacted.claim_and_body(part.name))]
    assert sorted(found, key=lambda each: each.keys) == ENTRIES
    assert lines_around(compacted, one, 7) == [ENTRIES[7]]
    assert compacted.sources(one.id) == {source("a"): "v"}


def test_a_damaged_part_is_named(store: ObjectStore, compacted: Compacted) -> None:
    one = write(compacted, "00000001-aaaaaaaaaaaa", ENTRIES, partitions=1)
    name = compacted.part_name(one.id, 0, 1)
    spoil(store, name, store.get(name).body[:-1])
    for asked in (lambda: compacted.claim_and_body(name), lambda: compacted.around(one, key(1))):
        with pytest.raises(Damaged, match="00000-of-00001"):
            asked()


def test_one_key_s_lines_are_found_and_no_others_of_it(compacted: Compacted) -> None:
    twice = [*ENTRIES, *(entry(item, 100 + item) for item in range(10))]
    one = write(compacted, "00000001-aaaaaaaaaaaa", twice)
    for item in range(45):
        assert lines_around(compacted, one, item) == [each for each in twice if each.keys == key(item)]


def test_an_index_larger_than_what_is_guessed_is_read_whole(
    store: ObjectStore, compacted: Compacted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FRAME_BYTES", 1)
    many = [entry(item * 7_919 % 10_000, item) for item in range(6_000)]
    one = write(compacted, "00000001-aaaaaaaaaaaa", many, partitions=1)
    body = store.get(compacted.part_name(one.id, 0, 1)).body
    assert frames.index_size(body) > INDEX_GUESS
    for number in (0, 1, 3_000, 5_998, 5_999):
        item = number * 7_919 % 10_000
        assert lines_around(compacted, one, item) == [many[number]]
    assert lines_around(compacted, one, 9_999 * 7_919 % 10_000) == []


@pytest.mark.parametrize("guess", [8, 60, 300, 700, 2_000, 100_000])
def test_how_much_is_guessed_makes_no_difference(compacted: Compacted, monkeypatch: pytest.MonkeyPatch, guess: int) -> None:
    """From the foot alone to more than the object: lines come out of what was read with the index, or are asked for."""
    monkeypatch.setattr(frames, "FRAME_BYTES", 500)
    one = write(compacted, "00000001-aaaaaaaaaaaa", ENTRIES, partitions=1)
    monkeypatch.setattr(sets, "INDEX_GUESS", guess)
    for item in range(42):
        assert lines_around(compacted, one, item) == [each for each in ENTRIES if each.keys == key(item)]


def test_what_was_never_there_is_missing(compacted: Compacted) -> None:
    with pytest.raises(MissingObject):
        compacted.around(Set("00000001-aaaaaaaaaaaa", 1, 1, 1, 0, 0), key(1))


# --- golden: what version 1 of the format wrote must be read for ever -------------------------------------------------------------

IN_GOLD = Generation(
    number=7,
    sets=[
        Set("00000006-0a1b2c3d4e5f", 4, 60_000, 9_000_000, HOUR, HOUR + 7_200),
        Set("00000004-a1b2c3d4e5f6", 1, 20_000, 3_000_000, HOUR, HOUR + 60, ["20261123T040000Z-0a1b"]),
    ],
    kept=["_backstream/flights/log/dt=2026-11-23/hour=04/kept.ndjson.zst"],
    unsettled=["00000006-0a1b2c3d4e5f"],
    runs=[Run(STREAM, SHARD, "100", "200", "start", HOUR, HOUR + 60)],
    held=[(STREAM, "150")],
)


def test_golden_generation(store: ObjectStore, compacted: Compacted) -> None:
    name = f"{FOLDER}generations/00000007.json"
    compacted.commit(IN_GOLD)
    assert store.get(name).body == (GOLDEN / "compacted-generation.json").read_bytes().rstrip(b"\n")
    store.put(name, (GOLDEN / "compacted-generation.json").read_bytes())
    assert compacted.current() == IN_GOLD
    assert [each.id for each in compacted.current().changes] == ["00000006-0a1b2c3d4e5f"]
    assert [each.id for each in compacted.current().bases] == ["00000004-a1b2c3d4e5f6"]


def test_golden_generation_with_a_horizon(store: ObjectStore, compacted: Compacted) -> None:
    """Format 2: `retain` has left out what was made up to that second. It is written again as it was read."""
    body = (GOLDEN.parent / "format-3" / "compacted-generation.json").read_bytes()
    spoil(store, f"{FOLDER}generations/00000007.json", body)
    found = compacted.generation(compacted.generations()[7])
    assert found == msgspec.structs.replace(IN_GOLD, format=2, horizon=1_795_606_400)
    assert msgspec.json.format(msgspec.json.encode(found), indent=2) == body


def sources_of(body: bytes) -> bytes:
    """The lines of such an object, uncompressed."""
    (block,) = segments.blocks(segments.SegmentHeader(segments.Codec.ZSTD, 2), body)
    return block


def test_golden_sources(store: ObjectStore, compacted: Compacted) -> None:
    """A JSON array of name and version a line, in order of the names, compressed as a segment is."""
    compacted.write_sources("00000001-aaaaaaaaaaaa", {source("\u00fc"): "v2", source("b"): "v1"})
    (name,) = names(store)
    assert name == f"{FOLDER}00000001-aaaaaaaaaaaa/sources.ndjson.zst"
    assert store.get(name).info.metadata == {"format": "2"}
    assert sources_of(store.get(name).body) == (GOLDEN_2 / "compacted-sources.ndjson").read_bytes().rstrip(b"\n")


def test_sources_of_format_1_name_any_version(store: ObjectStore, compacted: Compacted) -> None:
    lines = (GOLDEN / "compacted-sources.ndjson").read_bytes()
    store.put(compacted.sources_name("00000001-aaaaaaaaaaaa"), segments.Codec.ZSTD.compress(lines), {"format": "1"})
    found = compacted.sources("00000001-aaaaaaaaaaaa")
    assert found == {source("b"): "", source("\u00fc"): ""}
    assert is_of(found, source("b"), "any")
    assert not is_of(found, source("c"), "any")
