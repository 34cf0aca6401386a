"""Filters of segments: an item's history passes over what holds nothing of it, and never over a change of it."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.errors import Damaged, NameTaken
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Entry, of_change
from backstream.model.values import wire
from backstream.operations.erase.log_rewriter import emptied
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.inspect.history import history, show
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log import segments
from backstream.vault.log.filters import filter_metadata, key_filter
from backstream.vault.log.filters.segment_filters import TRIED
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import READERS, TableVault
from kit import images
from kit.clock import ManualClock
from kit.counted import CountedStore

GOLDEN = Path(__file__).parent.parent / "golden" / "filter-1"
SHARD = "shardId-00000001700000000000-0a1b2c3d"
BEGAN = 1_700_000_400
FILTERS = {"filter", "sha256"}

key_of = wire.KeyReader(images.SCHEMA)


class FilteredLog:
    """A vault of the log layout with a run of segments, each with a change of some items."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.move(BEGAN - self.clock.now())
        self.store = MemoryStore(self.clock)
        table = MemoryTable("flights", self.clock, images.SCHEMA)
        table.enable_stream()
        init(self.store, table, InitOptions(layout=Layout.LOG))
        self.label = self.vault().catalog.stream
        self.changes: list[Change] = []
        self._after = "start"
        self._noise = random.Random(19)

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        return TableVault.open(store or self.store, "flights", engines=LocalEngine)

    def write(self, numbers: Sequence[int], *, size: int = 400, kind: SegmentKind | None = None) -> None:
        """One segment with a change of each item, of so many bytes that do not compress."""
        self.clock.sleep(1)
        made = [self._change(number, size) for number in numbers]
        entries = [of_change(each, None) for each in made]
        if kind is None:
            self._log().write_run(entries, SHARD, after=self._after, writer="tail")
            self._after = made[-1].sequence
        else:
            self._log().write_batch(entries, kind, writer="fn")
        self.changes += made

    def _log(self) -> ChangeLog:
        return self.vault().log

    def _change(self, number: int, size: int) -> Change:
        sequence = str(4 * 10**20 + len(self.changes) * 1_000 + number)
        key = images.key("z", number)
        known = [each for each in self.changes if each.keys == key]
        old = known[-1].new if known else None
        image = images.image("z", number, v={"S": self._noise.randbytes(size // 2).hex()}, at={"N": sequence})
        micros = int(self.clock.now()) * MICROS
        return Change(self.label, sequence, micros, "MODIFY" if old else "INSERT", sequence, None, key, old, image)

    def names(self) -> list[str]:
        """The segments' objects, in order."""
        return [each.name for each in self.vault().log.listing()]

    def alter(self, name: str, body: bytes | None = None, **said: str | None) -> None:
        """Another object in its place, as somebody can put there who may remove versions. None takes a word of metadata away."""
        found = self.store.get(name)
        metadata = {word: text for word, text in {**found.info.metadata, **said}.items() if text is not None}
        self.remove(name)
        self.store.put(name, found.body if body is None else body, metadata)

    def remove(self, name: str) -> None:
        """Without a trace."""
        list(self.store.remove_each(list(self.store.versions_of(name))))

    def history(self, number: int, store: ObjectStore | None = None) -> list[bytes]:
        vault = self.vault(store)
        return [bytes(each.image) for each in history(vault, vault.key_of(images.key("z", number)))]

    def expected(self, number: int) -> list[bytes | None]:
        """What it was, one state after the other, by what was written."""
        return [each.new for each in self.changes if each.keys == images.key("z", number)]


# --- the filter ---------------------------------------------------------------------------------------------------------------


@given(st.sets(st.binary(max_size=40), max_size=200), st.integers(0, 1_500))
def test_a_filter_holds_each_of_its_items(keys: set[bytes], room: int) -> None:
    text = key_filter.text_of(keys, room)
    assert len(text) <= room
    assert all(key_filter.may_hold(text, key) for key in keys)


@pytest.mark.parametrize(("items", "room", "at_most"), [(50, 1_000, 30), (1_000, 1_000, 80)])
def test_nearly_all_others_are_ruled_out(items: int, room: int, at_most: int) -> None:
    """Of a thousand other items."""
    text = key_filter.text_of([b"%d" % number for number in range(items)], room)
    assert sum(key_filter.may_hold(text, b"other %d" % number) for number in range(1_000)) <= at_most


@pytest.mark.parametrize("text", ["", "2.AAAA", "1.", "1.%%%", "1.A", "1.é", "AAAA", "1." + "A" * 100_000])
def test_a_filter_that_nobody_can_read_rules_nothing_out(text: str) -> None:
    assert key_filter.may_hold(text, b"any")


def test_a_filter_that_would_say_too_little_is_left_out() -> None:
    assert key_filter.text_of([b"%d" % number for number in range(2_000)], 1_000) == ""


# --- what is read -------------------------------------------------------------------------------------------------------------


def asked(log: FilteredLog, number: int) -> tuple[int, int]:
    """How many segments are asked for their metadata, and how many are read, for the history of an item."""
    store = CountedStore(log.store)
    assert log.history(number, store) == log.expected(number)
    of_log = Counter[str]()
    for (kind, name), count in store.names.items():
        if name.endswith(".zst"):
            of_log[kind] += count
    return of_log["HEAD"], of_log["GET"]


def test_an_items_history_reads_the_segments_that_hold_it() -> None:
    log = FilteredLog()
    for number in range(60):
        log.write([number, *range(1_000 + number * 70, 1_070 + number * 70)])
    log.write([7])
    assert asked(log, 7) == (60, 2), "of sixty segments one holds it, and the last one is too small to have a filter"
    assert asked(log, 5_000_000) == (60, 1)


def test_show_passes_over_segments_too() -> None:
    log = FilteredLog()
    for number in range(40):
        log.write([number, *range(1_000 + number * 70, 1_070 + number * 70)])
    log.write([3, *range(5_000, 5_100)])
    store = CountedStore(log.store)
    vault = log.vault(store)
    log.vault().log.write_mark(log.label, int(log.clock.now()), writer="tail", now=log.clock.now())
    at, now = int(log.clock.now()) - 2, log.clock.now() + 60
    found = show(vault, vault.key_of(images.key("z", 3)), at, now=now, allow_gap=True)
    assert found.image == log.expected(3)[0]
    of_log = Counter(kind for (kind, name), count in store.names.items() if name.endswith(".zst") for _ in range(count))
    assert (of_log["HEAD"], of_log["GET"]) == (39, 1), "two segments are of later seconds"


def test_segments_of_an_older_version_are_read_and_soon_not_asked() -> None:
    log = FilteredLog()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filter_metadata, "LEAST_SIZE", 1 << 30)
        for number in range(80):
            log.write([number, *range(1_000, 1_070)])
    heads, gets = asked(log, 7)
    assert gets == 80
    assert TRIED <= heads <= TRIED + READERS


def test_small_segments_have_no_filter_and_are_not_asked() -> None:
    log = FilteredLog()
    log.write(range(10))
    assert log.store.head(log.names()[0]).metadata.keys() & FILTERS == set()
    assert asked(log, 3) == (0, 1)


def test_a_batch_of_a_function_has_one() -> None:
    log = FilteredLog()
    log.write(range(70), kind=SegmentKind.LAMBDA)
    assert log.store.head(log.names()[0]).metadata.keys() >= FILTERS
    assert asked(log, 99) == (1, 0)


def test_all_metadata_fit_into_what_s3_takes() -> None:
    log = FilteredLog()
    for kind in (None, SegmentKind.LAMBDA, SegmentKind.LAMBDA):
        log.write(range(1_000), kind=kind)
    for name in log.names():
        said = log.store.head(name).metadata
        assert said.keys() >= FILTERS
        assert sum(len(word) + len(text) for word, text in said.items()) <= filter_metadata.MOST_SAID


# --- nothing is hidden --------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 12), min_size=1, max_size=8, unique=True),
            st.sampled_from([None, SegmentKind.LAMBDA, SegmentKind.WITNESS]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_no_change_is_hidden(batches: list[tuple[list[int], SegmentKind | None]], data: st.DataObject) -> None:
    """Each item's history is what was written, in whatever segments it lies, whichever of them have a filter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filter_metadata, "LEAST_SIZE", data.draw(st.sampled_from([0, 400, 800])))
        log = FilteredLog()
        for numbers, kind in batches:
            log.write(sorted(numbers), kind=kind)
        for number in range(14):
            assert log.history(number) == log.expected(number)


def damage_in_history(log: FilteredLog, number: int) -> list[str]:
    vault, found = log.vault(), list[str]()
    history(vault, vault.key_of(images.key("z", number)), found.append)
    return found


def test_a_missing_segment_shows_though_its_neighbours_are_passed_over() -> None:
    log = FilteredLog()
    for number in range(6):
        log.write([number, *range(1_000, 1_070)])
    log.remove(log.names()[3])
    (damage,) = damage_in_history(log, 5_000)
    assert "missing: the one that begins with" in damage


@pytest.mark.parametrize("kind", [None, SegmentKind.LAMBDA])
def test_another_segment_in_its_place_shows_though_it_is_passed_over(kind: SegmentKind | None) -> None:
    """A filter that leaves an item out gives the segment another head, which the next one does not name."""
    log = FilteredLog()
    for number in range(4):
        log.write([number, *range(1_000, 1_070)], kind=kind)
    log.alter(log.names()[2], filter=key_filter.text_of([b"nobody", *map(bytes, [range(60)])], 1_000))
    assert [each for each in damage_in_history(log, 2) if "it has been replaced" in each]


def test_a_segment_with_other_bytes_than_its_metadata_name_is_damaged() -> None:
    log = FilteredLog()
    log.write(range(100))
    listed = next(log.vault().log.listing())
    entries = log.vault().log.read(listed)
    log.alter(listed.name, body=segments.pack(entries, Codec.ZSTD) + segments.pack([], Codec.ZSTD))
    with pytest.raises(Damaged, match="another SHA-256"):
        log.vault().log.read(next(log.vault().log.listing()))


def test_check_names_a_filter_that_leaves_out_an_item() -> None:
    log = FilteredLog()
    log.write(range(100))
    log.alter(log.names()[0], filter=key_filter.text_of([b"another", bytes(range(99))], 1_000))
    report = check(log.vault(), CheckContext(log.clock))
    assert [each for each in report.findings if "leaves out an item" in each.why]


@pytest.mark.parametrize("kind", [None, SegmentKind.LAMBDA])
@pytest.mark.parametrize("lie", [{"filter": key_filter.text_of([b"another", bytes(range(99))], 1_000)}, {"sha256": "0" * 64}])
def test_a_name_that_was_taken_with_metadata_that_hide_lines_is_not_acknowledged(
    kind: SegmentKind | None, lie: dict[str, str]
) -> None:
    """Somebody was faster, with the right bytes: what the writer acknowledges, a reader must find."""
    log = FilteredLog()
    log.write(range(100), kind=kind)
    stored = log.store.get(log.names()[0])
    for said in ({}, lie):
        planted = FilteredLog()
        planted.store.put(stored.info.name, stored.body, {**stored.info.metadata, **said})
        if said:
            with pytest.raises(NameTaken):
                planted.write(range(100), kind=kind)
        else:
            planted.write(range(100), kind=kind)
            assert planted.history(7) == log.expected(7)


def test_a_segment_without_lines_may_name_the_bytes_that_an_older_version_took_out() -> None:
    """`erase` of a version that knew no filters copied all metadata to the segment without lines."""
    log = FilteredLog()
    log.write(range(100))
    (full,) = log.vault().log.listing()
    assert full.segment is not None
    empty = emptied(full.segment)
    said = log.store.head(full.name).metadata
    log.store.put(full.name.replace(full.segment.path, empty.path), segments.pack([], empty.codec), said)
    assert sorted(len(log.vault().log.read(each)) for each in log.vault().log.listing()) == [0, 100]


# --- the format ---------------------------------------------------------------------------------------------------------------


def golden_entries() -> list[Entry]:
    noise = random.Random(1)
    found = []
    for number in range(120):
        sequence = str(10**20 + number)
        image = images.image("z", number % 90, v={"S": noise.randbytes(60).hex()})
        change = Change("2026-11-23T04:15:33.123", sequence, (BEGAN + number) * MICROS, "INSERT", sequence, None, b"", None, image)
        found.append(of_change(msgspec.structs.replace(change, keys=images.key("z", number % 90)), None))
    return found


def test_golden_filter_of_format_1() -> None:
    """A segment with a filter, as the first version wrote it: it is written like this, and is passed over for ever."""
    body, said = (GOLDEN / "segment.ndjson.zst").read_bytes(), json.loads((GOLDEN / "metadata.json").read_bytes())
    entries = golden_entries()
    assert segments.read(segments.claim_of(segments.of_run(entries, SHARD)), body) == entries
    assert filter_metadata.with_filter(plain(said), len(body), said["sha256"], [key_of(each.keys) for each in entries]) == said
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    held = {key_of(images.key("z", number)) for number in range(90)}
    others = [key_of(images.key("z", number)) for number in range(90, 1_090)]
    assert all(key_filter.may_hold(said["filter"], key) for key in held)
    assert sum(key_filter.may_hold(said["filter"], key) for key in others) == said_of_others()


def plain(said: dict[str, Any]) -> dict[str, str]:
    return {word: text for word, text in said.items() if word not in FILTERS}


def said_of_others() -> int:
    """How many of a thousand other items the golden filter does not rule out."""
    return int((GOLDEN / "others").read_text())
