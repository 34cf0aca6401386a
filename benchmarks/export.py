"""`export --changes` of the changes that `changes.py` lists: Parquet files with typed columns, from a folder into a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from backstream.clock import SystemClock
from backstream.operations.changes import ChangesContext
from backstream.operations.export.run import ExportOptions, export_changes
from backstream.stores.folder import FolderFiles
from benchmarks.changes import SPAN, vault_of_changes
from benchmarks.ours import Work
from benchmarks.plan import LISTED


def parquet() -> Work:
    """The export, from the log's objects to finished files; `count` is how often."""
    vault = vault_of_changes()

    def work(count: int) -> None:
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder:
                done = export_changes(vault, SPAN, FolderFiles(Path(folder)), ChangesContext(SystemClock()), ExportOptions())
            assert (done.rows, done.unfit, done.doubtful) == (LISTED, 0, 0)

    return work
