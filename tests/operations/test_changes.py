"""`changes`: every change of a window, in the order of time, with both images; in both layouts, compacted or not."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import GapInTheWay, NotFound, OutsideWindow, PartlyDone, Refused, UsageError
from backstream.model.changes import fold
from backstream.model.changes.entry import Entry
from backstream.model.values import wire
from backstream.operations.base.compact import compact
from backstream.operations.changes import (
    ChangeCriteria,
    Changes,
    ChangesContext,
    ChangeWindow,
    Number,
    SeenChange,
    keys_in,
    numbers_in,
    summary,
)
from backstream.operations.changes.items import PIECE, ItemPiece, pieces_of
from backstream.operations.changes.seen import Times, record
from backstream.operations.changes.sorting import TimeSorter
from backstream.ports import Put
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.images import SCHEMA, image, key
from kit.lived import SMALL
from kit.losing import lose
from kit.stage import Stage

Told = tuple[int, bytes, bytes | None, bytes | None]  # second, key, before, after


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(ManualClock(), layout=request.param, shards=2)


def live(stage: Stage, rounds: int = 6, *, compacted: int = 0) -> None:
    """A random history over some hours; the first rounds of it are compacted."""
    source = random.Random(7)
    alive: set[int] = set()
    for number in range(rounds):
        for _ in range(8):
            item = source.randrange(12)
            if item in alive and source.random() < 0.3:
                stage.delete([item])
                alive.remove(item)
            else:
                stage.put([item])
                alive.add(item)
            clock(stage).move(source.choice([0, 1, 40]))
        clock(stage).move(900)
        stage.follow()
        if number + 1 == compacted:
            clock(stage).move(7_200)
            compact(stage.vault(), stage.clock, memory=SMALL)
    clock(stage).move(10)
    stage.follow()


def clock(stage: Stage) -> ManualClock:
    assert isinstance(stage.clock, ManualClock)
    return stage.clock


def model(stage: Stage, since: int, until: int) -> list[Told]:
    """What changed, by what was written."""
    state: dict[bytes, bytes] = {}
    told: list[Told] = []
    for second, item, new in stage.model:
        old = state.get(item)
        if since < second <= until:
            told.append((second, item, old, new))
        if new is None:
            state.pop(item, None)
        else:
            state[item] = new
    return told


def look(
    stage: Stage, since: int, until: int | None = None, asked: ChangeCriteria | None = None, *, allow_gap: bool = False
) -> Changes:
    span = ChangeWindow(since, int(stage.clock.now()) if until is None else until)
    return Changes(stage.vault(), span, asked or ChangeCriteria(), ChangesContext(stage.clock), allow_gap=allow_gap)


def told(found: Sequence[SeenChange]) -> list[Told]:
    assert not any(each.doubt for each in found)
    return [(each.entry.seconds, each.key, each.old, each.new) for each in found]


def by_item(every: Sequence[Told]) -> dict[bytes, list[Told]]:
    return {item: [each for each in every if each[1] == item] for item in {each[1] for each in every}}


@pytest.mark.parametrize("compacted", [0, 3, 6])
def test_they_are_all_that_was_written_in_the_window(stage: Stage, compacted: int) -> None:
    begun = int(stage.clock.now())
    live(stage, compacted=compacted)
    seconds = [second for second, _, _ in stage.model]
    for since, until in [(begun, seconds[-1]), (seconds[9], seconds[30]), (seconds[20], seconds[-1]), (seconds[3], seconds[4] + 1)]:
        found = told(list(look(stage, since, until).each()))
        expected = model(stage, since, until)
        assert [each[0] for each in found] == sorted(each[0] for each in found)
        assert by_item(found) == by_item(expected)


INSERTS = ChangeCriteria(events=["INSERT"])


def test_item_by_item_they_are_the_same(stage: Stage) -> None:
    begun = int(stage.clock.now())
    live(stage, compacted=3)
    every = by_item(model(stage, begun, int(stage.clock.now())))
    inserts = {item: [each for each in changes if each[2] is None] for item, changes in every.items()}
    for item in look(stage, begun, asked=INSERTS).items():
        found = told([each for each, chosen in zip(item.changes, item.chosen, strict=True) if chosen])
        expected, changes = inserts.pop(item.key), every[item.key]
        assert item.selected == len(expected)
        assert (item.before, item.after) == (changes[0][2], changes[-1][3])
        assert all(item.chosen) == (len(expected) == len(changes))
        assert found == ([expected[0], *expected[1:][-1:]] if all(item.chosen) else expected)
    assert not any(inserts.values())


def test_of_whole_items_the_first_and_the_last_change_are_held(stage: Stage) -> None:
    begun = int(stage.clock.now())
    live(stage, compacted=3)
    every = by_item(model(stage, begun, int(stage.clock.now())))
    ends = list(look(stage, begun).items())
    assert max(each.selected for each in ends) > 2
    for each in ends:
        expected = every.pop(each.key)
        assert (each.selected, each.before, each.after) == (len(expected), expected[0][2], expected[-1][3])
        assert len(each.changes) == min(len(expected), 2)
        assert not each.doubt
    assert not every


def test_a_change_that_is_missing_between_the_first_and_the_last_is_seen(stage: Stage) -> None:
    for number in range(1, 6):
        put(stage, 1, price={"N": str(number)})
    begun = int(stage.clock.now()) - 1
    clock(stage).move(10)
    stage.follow()
    vault, changes = stage.vault(), look(stage, begun)
    pieces = [entry for piece in changes.log().pieces() for entry in piece.entries]
    ordered = fold.in_order(pieces)
    assert not _ends_of(ordered, vault).broken
    assert _ends_of([*ordered[:2], *ordered[3:]], vault).broken
    assert not _ends_of([*ordered[::-1], *ordered], vault).broken  # in any order, more than once


def _ends_of(entries: Sequence[Entry], vault: TableVault) -> ItemPiece:
    (found,) = pieces_of(entries, vault.key, {}, only_ends=True)
    assert len(found.pairs) == 2
    return found


def test_an_item_that_changed_often_comes_in_pieces_out_of_little_memory(stage: Stage) -> None:
    for number in range(1_200):
        put(stage, number % 2, price={"N": str(number)})
    begun = int(stage.clock.now()) - 1
    clock(stage).move(10)
    stage.follow()
    vault = stage.vault()
    entries = [entry for piece in look(stage, begun).log().pieces() for entry in piece.entries]
    random.Random(5).shuffle(entries)
    pieces = list(pieces_of([*entries, *entries[:50]], vault.key, {}, room=20_000))
    assert max(len(each.pairs) for each in pieces) == PIECE
    assert [(each.count, each.broken) for each in pieces if each.is_last] == [(600, False)] * 2
    for item in {each.key for each in pieces}:
        pairs = [pair for each in pieces if each.key == item for pair in each.pairs]
        expected = fold.in_order(entry for entry in entries if vault.key(entry) == item)
        assert pairs == list(zip(expected, [None, *expected], strict=False))


def test_of_a_later_window_the_state_before_comes_from_before_it(stage: Stage) -> None:
    live(stage)
    seconds = [second for second, _, _ in stage.model]
    for each in look(stage, seconds[25]).net():
        item = bytes(each.key)
        assert bytes(each.before) == (stage.expected(seconds[25]).get(item) or b"null")
        assert bytes(each.after) == (stage.expected().get(item) or b"null")


def test_little_memory_gives_the_same(stage: Stage) -> None:
    begun = int(stage.clock.now())
    live(stage, compacted=2)
    span = ChangeWindow(begun, int(stage.clock.now()))
    small = Changes(stage.vault(), span, ChangeCriteria(), ChangesContext(stage.clock, memory=Memory(1 << 20)))
    assert told(list(small.each())) == told(list(look(stage, begun).each()))


@pytest.mark.parametrize("compacted", [0, 2])
def test_the_list_of_all_is_what_one_change_at_a_time_gives(stage: Stage, compacted: int) -> None:
    begun = int(stage.clock.now())
    live(stage, compacted=compacted)
    one_by_one = [record(each, None, Times()) for each in look(stage, begun).each()]
    assert one_by_one
    assert list(look(stage, begun).records()) == one_by_one


def test_the_sorter_holds_little_of_large_images() -> None:
    """A chunk of each run is in memory: of large images it must not be a whole run."""
    large = b"x" * 50_000
    tracemalloc.start()
    try:
        with TimeSorter(room=1 << 20) as sorter:
            for number in range(600):
                entry = Entry(
                    "s", str(10**20 + number * 7_919 % 600), number % 7, "MODIFY", "", None, b"k", image=large + b"%d" % number
                )
                sorter.add([(entry, None)])
            tracemalloc.reset_peak()
            assert sum(len(entry.image or b"") for entry, _ in sorter.until(None)) > 28 << 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_the_sorter_spills_and_merges(stage: Stage) -> None:
    live(stage)
    every = [(each.entry, None) for each in look(stage, 0, allow_gap=True).each()]
    random.Random(3).shuffle(every)
    with TimeSorter(room=3_000) as sorter:
        for start in range(0, len(every), 5):
            sorter.add(every[start : start + 5])
            sorter.add(every[start : start + 2])  # delivered twice
        middle = every[len(every) // 2][0].micros
        first = [entry for entry, _ in sorter.until(middle)]
        rest = [entry for entry, _ in sorter.until(None)]
    assert all(entry.micros < middle for entry in first)
    assert [entry.micros for entry in first + rest] == sorted(entry.micros for entry, _ in every)
    assert len(first + rest) == len(every)


# --- selections -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def deploy(stage: Stage) -> int:
    """Three rows, then a bad deploy: one is repriced and bought after that, one deleted, one new; the second before it."""
    for number, price in ((1, 5), (2, 6), (3, 7)):
        put(stage, number, price={"N": str(price)})
    clock(stage).move(100)
    begun = int(stage.clock.now()) - 1
    put(stage, 1, price={"N": "0"}, by={"S": "deploy"})
    put(stage, 1, price={"N": "0"}, by={"S": "deploy"}, buyer={"S": "ann"})
    stage.delete([2])
    put(stage, 9, price={"N": "0"}, by={"S": "deploy"})
    put(stage, 3, price={"N": "8"})
    clock(stage).move(100)
    stage.follow()
    return begun


def put(stage: Stage, number: int, **attributes: dict[str, str]) -> None:
    body = image("z", number, **attributes)
    stage.table.write([Put(body)])
    stage.model.append((int(stage.clock.now()), wire.key_of(SCHEMA, body), body))


def item(number: int) -> bytes:
    return wire.key_of(SCHEMA, key("z", number))


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (ChangeCriteria(where='by = "deploy"'), [1, 1, 9]),
        (ChangeCriteria(where="price = 6"), [2]),
        (ChangeCriteria(events=["REMOVE"]), [2]),
        (ChangeCriteria(events=["INSERT", "REMOVE"]), [2, 9]),
        (ChangeCriteria(attributes=["buyer"]), [1]),
        (ChangeCriteria(attributes=["price"]), [1, 2, 9, 3]),
        (ChangeCriteria(keys=[item(1), item(3)]), [1, 1, 3]),
        (ChangeCriteria(partition="z", where="buyer exists"), [1]),
        (ChangeCriteria(keys=[item(1)], events=["MODIFY"], where="buyer missing"), [1, 1]),
    ],
)
def test_a_selection_takes_the_changes_that_pass_all_of_it(
    stage: Stage, deploy: int, asked: ChangeCriteria, numbers: list[int]
) -> None:
    found = [each.key for each in look(stage, deploy, asked=asked).each()]
    assert sorted(found) == sorted(map(item, numbers))


def test_a_change_is_selected_by_its_number(stage: Stage, deploy: int) -> None:
    records = [each for each in look(stage, deploy).records() if bytes(each.key) == item(1)]
    asked = ChangeCriteria(numbers=[Number(records[1].sequence or "", item(1))])
    assert list(look(stage, deploy, asked=asked).records()) == [records[1]]
    assert records[1].changed == ["buyer"]
    with pytest.raises(NotFound):
        list(look(stage, deploy, asked=ChangeCriteria(numbers=[Number(records[1].sequence or "", item(2))])).records())


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        (ChangeCriteria(where='bye = "deploy"'), "'by'"),
        (ChangeCriteria(attributes=["pric"]), "'price'"),
        (ChangeCriteria(partition="y"), "'z'"),
        (ChangeCriteria(actor="somebody"), ""),
        (ChangeCriteria(keys=[item(77)]), ""),
    ],
)
def test_a_selection_that_matches_nothing_says_so(stage: Stage, deploy: int, asked: ChangeCriteria, nearest: str) -> None:
    for take in (lambda: list(look(stage, deploy, asked=asked).each()), lambda: list(look(stage, deploy, asked=asked).net())):
        with pytest.raises(NotFound, match="no change of flights") as error:
            take()
        assert nearest in error.value.hint


def test_filters_that_are_none_are_refused(stage: Stage, deploy: int) -> None:
    for asked in (ChangeCriteria(events=["DROP"]), ChangeCriteria(where="price ="), ChangeCriteria(tenant="a")):
        with pytest.raises(UsageError):
            look(stage, deploy, asked=asked)


def test_net_tells_each_item_once(stage: Stage, deploy: int) -> None:
    found = {bytes(each.key): each for each in look(stage, deploy).net()}
    assert {each: found[each].event for each in found} == {
        item(1): "MODIFY",
        item(2): "REMOVE",
        item(9): "INSERT",
        item(3): "MODIFY",
    }
    one = found[item(1)]
    assert (one.changes, one.changed) == (2, ["price", "by", "buyer"])


def test_a_summary_counts(stage: Stage, deploy: int) -> None:
    found = summary(look(stage, deploy, int(stage.clock.now()) - 10), "by")
    assert (found.items, found.changes) == (4, 5)
    assert found.events == {"MODIFY": 3, "INSERT": 1, "REMOVE": 1}
    assert found.tenants == {"deploy": 3, "(none)": 2}
    assert found.attributes == {"price": 4, "by": 2, "buyer": 1, "number": 2, "zone": 2}
    assert found.step_seconds == 60
    assert sum(each.changes for each in found.times) == 5
    assert bytes(found.busiest[0].key) == item(1)
    assert found.certainty.proven


# --- how sure it is ---------------------------------------------------------------------------------------------------------------


def test_a_window_before_the_vault_is_refused(stage: Stage, deploy: int) -> None:
    with pytest.raises(OutsideWindow, match="before the vault's first change"):
        look(stage, deploy - 10_000)
    assert look(stage, deploy - 10_000, allow_gap=True).certainty.notes


def test_a_window_that_ends_before_it_begins_is_none(stage: Stage, deploy: int) -> None:
    with pytest.raises(UsageError, match="ends before it begins"):
        look(stage, deploy, deploy - 1)


def test_a_window_of_the_future_is_refused(stage: Stage, deploy: int) -> None:
    with pytest.raises(OutsideWindow, match="future"):
        look(stage, deploy, int(stage.clock.now()) + 100)


def test_a_window_across_a_gap_is_refused(stage: Stage, deploy: int) -> None:
    stage.vault().gaps.record(Gap(reason="lost", since=deploy, until=deploy + 5, stream=stage.vault().catalog.stream))
    with pytest.raises(GapInTheWay, match="lost"):
        look(stage, deploy)
    found = look(stage, deploy, allow_gap=True)
    assert not found.certainty.proven
    assert found.certainty.gaps
    assert len(list(found.each())) == 5
    assert look(stage, deploy + 50, int(stage.clock.now()) - 10).certainty.proven


def test_beyond_what_is_proven_it_says_so(stage: Stage, deploy: int) -> None:
    clock(stage).move(500)
    found = look(stage, deploy)
    assert not found.certainty.proven
    assert "is sure to hold everything up to" in found.certainty.notes[0]


def test_a_segment_that_cannot_be_read_ends_it_unless_that_is_accepted(stage: Stage, deploy: int) -> None:
    segment = next(each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count)
    stage.store.put(segment.name, b"not zstd", {})
    accepted = look(stage, deploy, allow_gap=True)
    list(accepted.each())
    assert accepted.warnings
    with pytest.raises(Refused, match="cannot be read"):
        list(look(stage, deploy).each())


def test_a_row_version_that_is_gone_is_named(deploy: int, stage: Stage) -> None:
    if stage.vault().catalog.layout is Layout.LOG:
        return
    gone = next(each for each in look(stage, deploy).each() if each.key == item(9))
    assert gone.entry.place is not None
    lose(stage.store, gone.entry.place.name, gone.entry.place.version)
    with pytest.raises(PartlyDone):
        list(look(stage, deploy).each())


# --- files ------------------------------------------------------------------------------------------------------------------------


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(key("z", 1) + b"\n\n" + b'{"key":' + key("z", 2) + b',"sequence":"5"}\n{"zone":"z","number":3}\n')
    assert keys_in(path, SCHEMA, "flights") == [item(1), item(2), item(3)]


def test_changes_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    path.write_bytes(b'123\n"456"\n{"sequence":"789","key":' + key("z", 2) + b"}\n")
    assert numbers_in(path, SCHEMA, "flights") == [Number("123"), Number("456"), Number("789", item(2))]


@pytest.mark.parametrize("read", [keys_in, numbers_in])
@pytest.mark.parametrize("body", [b"", b"not json\n", b"\xff\xfe", b'{"zone":"z"}\n', b"[1]\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, body: bytes, read: Callable[..., object]) -> None:
    path = tmp_path / "file"
    path.write_bytes(body)
    with pytest.raises(UsageError):
        read(path, SCHEMA, "flights")
    with pytest.raises(UsageError, match="cannot read"):
        read(tmp_path / "none", SCHEMA, "flights")


def test_records_are_json_as_promised(stage: Stage, deploy: int) -> None:
    line = msgspec.json.decode(msgspec.json.encode(next(iter(look(stage, deploy).records()))))
    assert list(line) == ["time", "sequence", "event", "actor", "key", "before", "after", "changed"]
