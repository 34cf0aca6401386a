"""AWS's exports against a dict: any life of a table, any of it lost, exports taken in in any order and again and again.

Every second that the window claims comes back as it was; every other one is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.errors import GapInTheWay, OutsideWindow
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.model.window import Start
from backstream.operations.base.backfill import BackfillContext, FullExport, backfill, check_export, take_in
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.aws_export import Export, ExportWriter
from backstream.vault.catalog import Layout
from backstream.vault.coverage import RestoreBase
from backstream.vault.gaps.gaps import Gap
from backstream.vault.item_states import newest_each
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.feed import Feed
from kit.incremental import Write, net_changes, write_incremental

SCHEMA = KeySchema(KeyAttribute("id", "S"))
KEYS = [f'{{"id":{{"S":"item-{number}"}}}}'.encode() for number in range(3)]
BEGAN = 1_700_000_000
END = 40  # of a life, in seconds since BEGAN


def image(key: bytes, value: int) -> bytes:
    return key[:-1] + f',"value":{{"N":"{value}"}}}}'.encode()


class Full(msgspec.Struct, frozen=True):
    """A full export of second `at`. `inclusive`: its writes of that second are in it (ours), or not (AWS's)."""

    at: int
    inclusive: bool


class Incremental(msgspec.Struct, frozen=True):
    """What changed from `since` on and before `until`."""

    since: int
    until: int
    unchanged: bool


class Life(msgspec.Struct, frozen=True):
    """What happens, in seconds since BEGAN: `writes` are (second, item, value or None)."""

    writes: list[tuple[int, int, int | None]]
    followed_from: int
    gap: tuple[int, int] | None
    arrived_in_gap: list[bool]
    exports: list[Full | Incremental]
    order: list[int]  # of delivery and taking in: an export's number, or -1 for the stream


SECONDS = st.integers(0, END)


@st.composite
def chains(draw: st.DrawFn) -> list[Full | Incremental]:
    """As people make them: a full export, then windows that do not overlap, perhaps another full one after the last."""
    cuts = draw(st.lists(st.integers(5, END), min_size=2, max_size=4, unique=True).map(sorted))
    windows = [Incremental(since, until, draw(st.booleans())) for since, until in itertools.pairwise(cuts)]
    fulls = [Full(cuts[0] - draw(st.integers(0, 3)), draw(st.booleans()))]
    fulls += draw(st.lists(st.builds(Full, st.integers(cuts[-1] + 3, END + 6), st.booleans()), max_size=1))
    return [*fulls, *draw(st.permutations(windows))]


@st.composite
def tangles(draw: st.DrawFn) -> list[Full | Incremental]:
    """Any exports at all: windows that overlap, full ones within them."""
    windows = st.tuples(SECONDS, st.integers(1, 30), st.booleans()).map(
        lambda drawn: Incremental(drawn[0], drawn[0] + drawn[1], drawn[2])
    )
    return [*draw(st.lists(st.builds(Full, SECONDS, st.booleans()), max_size=2)), *draw(st.lists(windows, max_size=3))]


@st.composite
def lives(draw: st.DrawFn, plans: st.SearchStrategy[list[Full | Incremental]]) -> Life:
    writes = draw(st.lists(st.tuples(SECONDS, st.integers(0, 2), st.none() | st.integers(0, 9)), max_size=14))
    gap = draw(st.none() | st.tuples(SECONDS, st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])))
    if gap is not None and draw(st.booleans()):  # what an export has no line for: written shortly before the gap, deleted in it
        item = draw(st.integers(0, 2))
        writes += [(max(0, gap[0] - draw(st.integers(1, 4))), item, 7), (draw(st.integers(*gap)), item, None)]
    exports = draw(plans)
    return Life(
        writes=sorted(writes, key=lambda write: write[0]),
        followed_from=draw(st.integers(0, 12)),
        gap=gap,
        arrived_in_gap=draw(st.lists(st.booleans(), min_size=16, max_size=16)),
        exports=exports,
        order=draw(st.lists(st.integers(-1, len(exports) - 1), max_size=10)),
    )


class World:
    """A life that is lived: `feed` is the vault, `writes` all that was done to the table."""

    def __init__(self, life: Life, layout: Layout) -> None:
        self.life = life
        self.clock = ManualClock(BEGAN + END + 600)
        self.store = MemoryStore(self.clock)
        self.folder = MemoryStore(self.clock)
        self.feed = Feed(self.store, "items", began=BEGAN + life.followed_from, schema=SCHEMA, layout=layout, empty=False)
        self.writes: list[Write] = []
        self._restored = itertools.count()

    def live(self) -> None:
        """Do the writes; bring what is not lost and the exports into the vault."""
        for second, item, value in self.life.writes:
            self._write(BEGAN + second, KEYS[item], value)
        changes = [each for each in self.feed.take() if each.seconds >= self.feed.vault.coverage.followed_from]
        lost = self._lost()
        arrived = iter(self.life.arrived_in_gap)
        wanted = [each for each in changes if each.seconds not in lost or next(arrived)]
        if lost:
            gap = Gap(reason="lost", since=lost.start, until=lost.stop - 1, stream=self.feed.label)
            self.feed.vault.gaps.record(gap)
        ids = [self._export(number, each) for number, each in enumerate(self.life.exports)]
        for step in [*self.life.order, -1, *range(len(ids))]:
            if step == -1:
                self.feed.deliver(wanted, now=self.clock.now())
            else:
                self._take(ids[step])
        self.feed.reached(BEGAN + END + 300)

    def _write(self, second: int, key: bytes, value: int | None) -> None:
        there = key in self.feed.model.at(second)
        if value is None and not there:
            return
        made = None if value is None else image(key, value)
        if made is None:
            self.feed.delete(second, key)
        elif self.feed.model.at(second).get(key) != made:
            self.feed.put(second, made)
        else:
            return
        self.writes.append((second, key, made))

    def _lost(self) -> range:
        if self.life.gap is None:
            return range(0)
        return range(BEGAN + max(self.life.gap[0], self.life.followed_from), BEGAN + self.life.gap[1] + 1)

    def _export(self, number: int, export: Full | Incremental) -> str:
        name = f"{number:014d}-aaaaaaaa"
        if isinstance(export, Incremental):
            since, until = BEGAN + export.since, BEGAN + export.until
            changes = net_changes(self.writes, since, until, unchanged=export.unchanged)
            return write_incremental(self.folder, name, self.feed.catalog, since, until, changes)
        writer = ExportWriter(self.folder, name, Codec.GZIP)
        for each in self.feed.model.at(BEGAN + export.at - (not export.inclusive)).values():
            writer.add(each)
        writer.close()
        writer.complete(self.feed.catalog, BEGAN + export.at, began=0, ended=1)
        return name

    def _take(self, name: str) -> None:
        export = Export.open(self.folder, name)
        check_export(self.vault, export)
        parts = BackfillContext(self.clock)
        if export.summary.incremental:
            take_in(self.vault, export, parts, writer="test")
        else:
            backfill(self.vault, FullExport(export, SCHEMA), parts)

    @property
    def vault(self) -> TableVault:
        return TableVault.open(self.store, "items", engines=LocalEngine)

    def restored(self, at: int) -> dict[bytes, bytes]:
        target = MemoryTable(f"restored-{next(self._restored)}", self.clock)
        around = RestoreContext(lambda _name: target, self.clock, Path())
        assert restore(self.vault, RestoreRequest(at=at, target=NewTable(target.name)), around).failed == 0
        return {self.vault.key_of(found): found for page in target.scan() for found in page}

    def shown(self, at: int) -> dict[bytes, bytes]:
        vault = self.vault
        newest = newest_each(vault, KEYS, at, vault.basis(at))
        return {key: vault.image(entry) for key, entry in newest.items() if entry is not None and not entry.removed}


def check(life: Life, layout: Layout) -> int:
    """How many seconds were promised, of which each came back."""
    world = World(life, layout)
    world.live()
    claimed = {
        second
        for each in world.vault.window(world.clock.now()).ranges
        for second in range(each.since, min(each.until, BEGAN + END + 5) + 1)
    }
    told = {at: (at in claimed, world.feed.model.at(at)) for at in range(BEGAN - 1, BEGAN + END + 6)}
    # Wherever something changes, and the second before: between these neither the table nor the claim does.
    for at in (each for each in range(BEGAN, BEGAN + END + 5) if told[each] != told[each - 1] or told[each] != told[each + 1]):
        if at not in claimed:
            with pytest.raises((OutsideWindow, GapInTheWay)):
                world.restored(at)
            continue
        then = world.feed.model.at(at)
        assert world.restored(at) == then, f"at {at - BEGAN}"
        assert world.shown(at) == then, f"one by one, at {at - BEGAN}"
    return len(claimed)


def thoroughly(examples: int, **more: Any) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, **more)


def life(
    *exports: Full | Incremental, writes: Sequence[tuple[int, int, int | None]], gap: tuple[int, int], order: list[int]
) -> Life:
    return Life(writes=list(writes), followed_from=0, gap=gap, arrived_in_gap=[False] * 16, exports=list(exports), order=order)


def hunt(layout: Layout, plans: st.SearchStrategy[list[Full | Incremental]], examples: int, **more: Any) -> None:
    """Run many lives; it raises what it finds. At least a tenth of them must have had something to claim."""
    claims: list[int] = []

    @thoroughly(examples, **more)
    @given(lives(plans))
    def run(lived: Life) -> None:
        claims.append(check(lived, layout))

    run()
    assert sum(map(bool, claims)) > len(claims) / 10, "it claimed too little to be a test"


@pytest.mark.parametrize("layout", Layout)
def test_what_is_claimed_comes_back(layout: Layout) -> None:
    hunt(layout, chains(), 20)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("layout", Layout)
def test_what_is_claimed_comes_back_for_long(layout: Layout) -> None:
    hunt(layout, chains(), 500)


SHORT: list[tuple[int, int, int | None]] = [(12, 0, 1), (18, 0, None)]
TANGLES: dict[str, Life] = {
    "a wider window": life(
        Full(3, inclusive=True),
        Incremental(7, 15, unchanged=True),
        Incremental(6, 35, unchanged=True),
        writes=SHORT,
        gap=(10, 30),
        order=[],
    ),
    "a base backup within a window": life(
        Full(3, inclusive=True),
        Incremental(5, 35, unchanged=True),
        Full(15, inclusive=True),
        writes=SHORT,
        gap=(10, 30),
        order=[],
    ),
    "two windows that say the same of the same items": life(
        Full(0, inclusive=True),
        Incremental(1, 2, unchanged=True),
        Incremental(1, 3, unchanged=True),
        writes=[(0, 0, 0), (1, 0, None)],
        gap=(1, 2),
        order=[],
    ),
}


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("tangle", TANGLES)
def test_tangles_that_were_found(tangle: str, layout: Layout) -> None:
    check(TANGLES[tangle], layout)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("part", range(6))  # so that workers share them; each draws its own
@pytest.mark.parametrize("layout", Layout)
def test_any_tangle_comes_back(layout: Layout, part: int) -> None:  # noqa: ARG001
    hunt(layout, tangles(), 500)


# --- bugs planted: a test that cannot fail is no test -----------------------------------------------------------------------------


def what_an_export_made_up_for_still_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RestoreBase, "counts", lambda _self, _entry: True)


def a_window_builds_on_whatever_there_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Start, "known_at", lambda _self, _second: True)


@pytest.mark.parametrize(
    ("plant", "tangle"),
    [
        (what_an_export_made_up_for_still_counts, "a wider window"),
        (a_window_builds_on_whatever_there_is, "a base backup within a window"),
    ],
)
def test_planted_bugs_are_found_in_tangles(
    plant: Callable[[pytest.MonkeyPatch], None], tangle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(TANGLES[tangle], Layout.LOG)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("plant", "plans"),
    [(what_an_export_made_up_for_still_counts, chains()), (a_window_builds_on_whatever_there_is, tangles())],
)
def test_planted_bugs_are_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    plans: st.SearchStrategy[list[Full | Incremental]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        hunt(Layout.LOG, plans, 400, derandomize=True, database=None, phases=[Phase.generate])
