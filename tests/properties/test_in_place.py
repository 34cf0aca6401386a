"""No in-place restore deletes a row that existed at the moment, whatever the vault has not heard of.

Random histories of a few rows. Some changes never come, and a mark claims no more than what came before the first of them, unless a
gap is recorded. Whatever an in-place restore does at any moment is held against a dict.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstream.errors import NotFound, Refused
from backstream.operations.restore import InPlace, RestoreContext, Restored, RestoreRequest, restore
from backstream.ports import Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import SCHEMA, image, key

BEGAN = 1_700_000_000
ROWS = 4
END = 40  # seconds after the beginning

Step = tuple[int, bool, bool]  # which row, whether it is put, whether the change comes


def steps() -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(st.integers(0, ROWS - 1), st.booleans(), st.booleans()), max_size=12)


class History:
    """Writes, one a second. From the first lost change on nothing is proven, unless a gap says that it is lost."""

    def __init__(self, layout: Layout, told: list[Step], *, gaps: bool, empty: bool) -> None:
        self._told = told
        self.clock = ManualClock(BEGAN)
        self.feed = Feed(MemoryStore(self.clock), "flights", began=BEGAN, layout=layout, empty=empty)
        self._came: list[tuple[int, bytes, bool]] = []  # second, row, whether the row was there before: the changes that came
        proven: int | None = None
        for second, (number, put, comes) in enumerate(told, BEGAN + 2):
            row = self.feed.vault.key_of(key("row", number))
            there = row in self.feed.model.at(second)
            if put:
                self.feed.put(second, image("row", number, v={"N": str(second)}))
            elif there:
                self.feed.delete(second, key("row", number))
            if comes:
                if put or there:
                    self._came.append((second, row, there))
                self.feed.deliver(now=float(second))
                continue
            if self.feed.take() and gaps:
                self.feed.vault.gaps.record(Gap(reason="lost", since=second, until=second, stream=self.feed.label))
            elif proven is None:
                proven = second - 1
        self.clock.move(END)
        self.proven = BEGAN + END - 2 if proven is None else proven
        self.feed.reached(self.proven)

    def heard_after(self, second: int) -> set[bytes]:
        """The rows of which a change after a second has come."""
        return {
            self.feed.vault.key_of(key("row", number))
            for when, (number, _, comes) in enumerate(self._told, BEGAN + 2)
            if comes and when > second
        }

    def shown_at(self, second: int) -> set[bytes]:
        """The rows whose first change after a second, of those that came, is a MODIFY or a REMOVE: the row was there."""
        firsts: dict[bytes, bool] = {}
        for when, row, there in self._came:
            if when > second:
                firsts.setdefault(row, there)
        return {row for row, there in firsts.items() if there}

    def live(self) -> MemoryTable:
        """The table as it is now."""
        table = MemoryTable("flights", self.clock, SCHEMA)
        for each in self.feed.model.at(BEGAN + END).values():
            table.write([Put(each)])
        return table


@pytest.mark.parametrize("layout", Layout)
@given(
    told=steps(),
    at=st.integers(1, END - 1),
    gaps=st.booleans(),
    empty=st.booleans(),
    by_key=st.booleans(),
    delete_unknown=st.booleans(),
)
@example(
    told=[(0, True, False), (0, False, True), (0, True, True)], at=1, gaps=False, empty=True, by_key=False, delete_unknown=False
)
@settings(max_examples=30)
def test_no_row_that_existed_is_deleted(
    layout: Layout, told: list[Step], at: int, *, gaps: bool, empty: bool, by_key: bool, delete_unknown: bool
) -> None:
    history = History(layout, told, gaps=gaps, empty=empty)
    table, second = history.live(), BEGAN + at
    before, then = contents(history, table), history.feed.model.at(second)
    request = RestoreRequest(
        at=second,
        target=InPlace(),
        keys=[history.feed.vault.key_of(key("row", number)) for number in range(ROWS)] if by_key else (),
        allow_gap=True,
        expect_deletes=ROWS,
        into_another=True,
        delete_unknown=delete_unknown,
    )
    report = restored(history, table, request)
    after = contents(history, table)
    if report is None:
        assert after == before
        return
    gone = before.keys() - after.keys()
    if not delete_unknown:
        assert not gone & then.keys(), "a row that existed at the moment was deleted"
    if empty and second <= history.proven and not (gaps and not all(comes for *_, comes in told)):
        kept = {each: before[each] for each in before.keys() & history.shown_at(second) - then.keys()}
        assert after == {**then, **kept}, "what is proven comes back exactly, but no row goes that a later change says was there"
        assert report.spared == len(kept)
    written = {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)}
    if second > history.proven and not delete_unknown:
        assert not gone, "beyond the proven second nothing is deleted"
        assert written <= history.heard_after(second), "nor is anything reverted that the vault has merely not heard of"


def restored(history: History, table: MemoryTable, request: RestoreRequest) -> Restored | None:
    """What it did; None where it was refused."""
    with tempfile.TemporaryDirectory() as folder:
        around = RestoreContext(lambda _: table, history.clock, Path(folder))
        try:
            dry = restore(history.feed.vault, msgspec.structs.replace(request, dry_run=True), around)
            done = restore(history.feed.vault, request, around)
        except (Refused, NotFound):
            return None
        names = ("put", "deleted", "unchanged", "failed", "spared")
        assert [getattr(dry, each) for each in names] == [getattr(done, each) for each in names]
        return done


def contents(history: History, table: MemoryTable) -> Mapping[bytes, bytes]:
    """Every row."""
    return {history.feed.vault.key_of(found): found for page in table.scan() for found in page}
