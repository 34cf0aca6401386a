"""A state as Parquet files, written where its partitions lie: the rows and columns of an export from one machine."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backstream.errors import PartlyDone, TargetNotEmpty
from backstream.operations.export.run import Exported, ExportOptions, export_state
from backstream.operations.restore import RestoreContext
from backstream.ports import Put
from backstream.stores.folder import FolderFiles
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit import wide_items
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.plain_engine import PlainEngine
from kit.spoil import remove
from kit.stage import Stage

OPTIONS = ExportOptions({"status": 2})


def filled(layout: Layout) -> Stage:
    """A table of items that are all different, captured."""
    clock, source = ManualClock(), random.Random(7)
    made = Stage(clock, layout=layout)
    made.table.write([Put(wide_items.item(source, number)) for number in range(12)])
    clock.move(5)
    made.follow()
    return made


def exported(stage: Stage, folder: Path, options: ExportOptions = OPTIONS, *, spread: bool, lies_here: bool = False) -> Exported:
    """Export from executors, or from here; `lies_here`: the state turns out to lie on this machine after all."""
    vault = TableVault.open(stage.store, stage.table.name, engines=lambda: PlainEngine(spread=spread and not lies_here))
    around = RestoreContext(lambda _: stage.table, stage.clock, folder, memory=SMALL)
    opener = (lambda: FolderFiles(folder)) if spread else None
    return export_state(vault, int(stage.clock.now()) - 2, FolderFiles(folder), around, options, opener)


def contents(folder: Path) -> tuple[list[Any], list[dict[str, Any]], dict[str, Any]]:
    """The columns of each file, all rows by key, and the manifest without what its files are."""
    files = sorted(folder.glob("*.parquet"))
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    manifest = json.loads((folder / "_export.json").read_bytes())
    named = {each["name"]: each["rows"] for each in manifest.pop("files")}
    assert named == {file.name: pq.ParquetFile(file).metadata.num_rows for file in files}
    schemas = [[(field.name, field.type, field.metadata) for field in pq.ParquetFile(file).schema_arrow] for file in files]
    assert all(each == schemas[0] for each in schemas)
    return schemas[0], sorted(rows, key=lambda each: str(each["key"])), manifest


@pytest.mark.parametrize("layout", Layout)
def test_rows_columns_and_manifest_are_the_same(layout: Layout, tmp_path: Path) -> None:
    stage = filled(layout)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = (exported(stage, tmp_path / name, spread=name == "there") for name in ("here", "there"))
    assert (there.rows, there.columns, there.unfit, there.warnings) == (here.rows, here.columns, here.unfit, here.warnings)
    assert (there.rows, there.files) == (12, 2)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    before = {file.name: file.read_bytes() for file in (tmp_path / "there").glob("*.parquet")}
    with pytest.raises(TargetNotEmpty):
        exported(stage, tmp_path / "there", spread=True)
    for name in ("again", "in the end"):
        (tmp_path / name).mkdir()
    assert exported(stage, tmp_path / "in the end", spread=True, lies_here=True).rows == here.rows
    assert contents(tmp_path / "in the end") == contents(tmp_path / "here")
    exported(stage, tmp_path / "again", spread=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").glob("*.parquet")} == before


def test_nothing_is_written_if_an_image_cannot_be_read_unless_that_is_skipped(tmp_path: Path) -> None:
    stage = filled(Layout.ROWS)
    remove(stage.store, min(each.name for each in stage.store.list("flights/")))
    (tmp_path / "there").mkdir()
    with pytest.raises(PartlyDone, match="images that cannot be read"):
        exported(stage, tmp_path / "there", spread=True)
    assert not list((tmp_path / "there").iterdir())
    skipping = ExportOptions(skip_damaged=True)
    (tmp_path / "here").mkdir()
    here, there = (exported(stage, tmp_path / name, skipping, spread=name == "there") for name in ("here", "there"))
    assert (there.rows, there.damaged) == (11, here.damaged)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
