"""A restore whose target takes nothing more stops reading the vault: what is left is named, not fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backstream.engine.local.engine import LocalEngine
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.restore import Into, RestoreContext, RestoreRequest, restore
from backstream.ports import StoredObject, Write
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.computed_vault import AT, BEGAN, TABLE, ComputedStore

ROWS, TAKEN = 3_000, 10


class Full:
    """A sink that takes a few writes."""

    touched = False

    def __init__(self) -> None:
        self.count = 0

    @property
    def gave_up_reason(self) -> str:
        return "the table is gone" if self.count >= TAKEN else ""

    def add(self, write: Write, live: bytes | None) -> None:
        assert (write is not None, live) == (True, None)
        self.count += 1

    def finish(self) -> Sequence[LeftOut[Write]]:
        return []

    def abandon(self) -> None:
        raise AssertionError("it was not broken off")


class Counting(ComputedStore):
    """`read`: how many rows were read."""

    read = 0

    def get(self, name: str, version: str | None = None) -> StoredObject:
        self.read += name.startswith(f"{TABLE}/row-")
        return super().get(name, version)


def test_nothing_more_is_read_and_all_that_is_left_is_named(tmp_path: Path) -> None:
    store, sink, clock = Counting(ROWS), Full(), ManualClock(BEGAN + 7_200)
    around = RestoreContext(lambda name: MemoryTable(name, clock), clock, tmp_path)
    report = restore(
        TableVault.open(store, TABLE, engines=LocalEngine), RestoreRequest(AT, Into("elsewhere", lambda: sink)), around
    )
    assert report.put == sink.count
    assert TAKEN <= sink.count <= TAKEN + 64
    assert report.put + report.failed == ROWS
    assert store.read <= TAKEN + 64
    assert {failure.why for failure in report.failures} == {"the table is gone"}
