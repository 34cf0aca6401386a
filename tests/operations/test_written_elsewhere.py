"""A new table and a snapshot, written where the partitions of a state lie: the same items and report, all left out named."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Failed
from backstream.model.tables.creation import on_demand
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.operations.restore.snapshot import Snapshot, snapshot
from backstream.operations.restore.targets.table_part import TablePart
from backstream.ports import Clock, Files, Table, Write
from backstream.ports.engine import WorkPlace
from backstream.stores.folder import FolderFiles
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.lived import lived
from kit.plain_engine import PlainEngine, PlainState
from kit.spoil import remove
from kit.stage import Stage


class Elsewhere:
    """A stage's vault whose partitions lie elsewhere, and a table there. `written`: by whom the table was filled."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.stage, seconds = lived(layout=layout)
        self.at = seconds[1]
        self.folder = folder
        self.vault = TableVault.open(self.stage.store, self.stage.table.name, engines=lambda: PlainEngine(spread=True))
        self.target = Counted("restored", self.stage.clock)
        self.around = RestoreContext(
            lambda _: self.target.of("here"), self.stage.clock, folder, opener_of=lambda _: self.open, notice=lambda _: None
        )

    def open(self) -> tuple[Table, Clock]:
        return self.target.of("there"), self.stage.clock

    def files(self) -> Files:
        return FolderFiles(self.folder)

    def taken(self) -> Snapshot:
        return snapshot(self.vault, self.at, self.files(), self.around, opener=self.files)


class Counted(MemoryTable):
    """A table that notes which side has written to it."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, clock)
        self.side, self.written = "here", {"here": 0, "there": 0}

    def of(self, side: str) -> Counted:
        self.side = side
        return self

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        self.written[self.side] += len(writes)
        return super().write(writes, took)


def lose_an_image(stage: Stage, vault: TableVault, at: int) -> bytes:
    """Remove the row object of one item of the state, its log untouched; the item's key."""
    with PlainState(vault, at, None, None) as state:
        key, entry = next((key, entry) for part in state for key, entry in part.items() if not entry.removed)
    assert entry.place is not None
    remove(stage.store, entry.place.name)
    return key


@pytest.mark.parametrize("layout", Layout)
def test_a_new_table(layout: Layout, tmp_path: Path) -> None:
    there = Elsewhere(layout, tmp_path)
    report = restore(there.vault, RestoreRequest(there.at, NewTable("restored")), there.around)
    expected = there.stage.expected(there.at)
    assert {there.vault.key_of(image): image for page in there.target.scan() for image in page} == expected
    assert (report.put, report.failed, report.left) == (len(expected), 0, None)
    assert there.target.written == {"here": 0, "there": len(expected)}


def test_what_is_left_out_elsewhere_is_named_and_resumed(tmp_path: Path) -> None:
    there = Elsewhere(Layout.ROWS, tmp_path)
    lost = lose_an_image(there.stage, there.vault, there.at)
    report = restore(there.vault, RestoreRequest(there.at, NewTable("restored"), allow_gap=True), there.around)
    assert [each.what for each in report.failures] == [lost.decode()]
    assert report.put == len(there.stage.expected(there.at)) - 1
    assert report.left is not None
    assert Path(report.left).exists()


def test_a_selection_is_written_from_here(tmp_path: Path) -> None:
    there = Elsewhere(Layout.LOG, tmp_path)
    key = next(iter(there.stage.expected(there.at)))
    restore(there.vault, RestoreRequest(there.at, NewTable("restored"), keys=[key]), there.around)
    assert there.target.written == {"here": 1, "there": 0}


def test_the_budget_is_divided_by_those_who_write_beside(tmp_path: Path) -> None:
    there = Elsewhere(Layout.LOG, tmp_path)
    with PlainState(there.vault, there.at, None, None) as state:
        part = max((state.partition(number) for number in range(state.partitions)), key=len)
        began = there.stage.clock.now()
        there.target.create(on_demand(there.vault.catalog.key_schema))
        TablePart(there.open, 30.0, 2.0)(there.vault, part, WorkPlace(0, 4))
    items = there.target.written["there"]
    assert there.stage.clock.now() - began >= (items - 2) / 0.5


def test_a_snapshot_has_a_file_of_each_partition(tmp_path: Path) -> None:
    there = Elsewhere(Layout.ROWS, tmp_path)
    taken = there.taken()
    files = sorted((tmp_path / f"AWSDynamoDB/{taken.id}/data").iterdir())
    assert [each.name for each in files] == ["p000000.json.gz", "p000001.json.gz"]
    lines = [
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        for each in files
        for line in gzip.decompress(each.read_bytes()).splitlines()
    ]
    assert sorted(bytes(each["Item"]) for each in lines) == sorted(there.stage.expected(there.at).values())
    assert (taken.complete, taken.items, taken.files) == (True, len(lines), 2)
    again = {each.name: each.read_bytes() for each in files}
    second = there.taken()
    assert {each.name: each.read_bytes() for each in (tmp_path / f"AWSDynamoDB/{second.id}/data").iterdir()} == again


def test_a_snapshot_without_an_image_is_not_complete(tmp_path: Path) -> None:
    there = Elsewhere(Layout.ROWS, tmp_path)
    lost = lose_an_image(there.stage, there.vault, there.at)
    taken = there.taken()
    assert (taken.complete, taken.failed, [each.what for each in taken.failures]) == (False, 1, [lost.decode()])
    folder = tmp_path / f"AWSDynamoDB/{taken.id}"
    assert sum(each.name.endswith("-incomplete.json.gz") for each in (folder / "data").iterdir()) == 1
    assert not (folder / "manifest-summary.json").exists()


def test_an_error_elsewhere_ends_it_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Elsewhere(Layout.LOG, tmp_path)

    def refused(*_: object) -> tuple[Table, Clock]:
        raise Failed("no table there", hint="Look.")

    monkeypatch.setattr(there, "open", refused)
    with pytest.raises(Failed, match="no table there") as raised:
        restore(there.vault, RestoreRequest(there.at, NewTable("restored")), there.around)
    assert "--resume" in raised.value.hint
