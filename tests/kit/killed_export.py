"""Appends a vault's changes to an Iceberg table, and kills itself at one of its requests: `VAULT LAKE REQUEST`.

A request is a read or a write of the vault, of a file of the table, or of the catalog. Odd ones die before it, even ones after it.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFile

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.model.columns.schema import CHANGES
from backstream.operations.changes import ChangesContext
from backstream.operations.export.iceberg.catalogs import open_catalog
from backstream.operations.export.iceberg.follow import append_changes, source_of
from backstream.operations.export.iceberg.table import IcebergTable
from backstream.operations.export.run import ExportOptions
from backstream.stores.directory import DirectoryStore
from backstream.vault.table_vault import TableVault


def dying(function: Callable[..., Any], count: itertools.count[int], last: int) -> Callable[..., Any]:
    """The same function, which kills the process at its call with that number."""

    def called(*args: Any, **words: Any) -> Any:
        number = next(count)
        print(number, function.__qualname__, flush=True)  # noqa: T201 - what a failed test shows
        if number == last and last % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*args, **words)
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return called


def main(vault: str, lake: str, last: int) -> None:
    """One append, if it lives."""
    store = DirectoryStore(Path(vault), SystemClock())
    opened = TableVault.open(store, "flights", engines=LocalEngine)
    catalog = open_catalog(None, f"file://{lake}", {})
    table = IcebergTable(catalog, "backstream.flights_changes", source_of(opened), "changes", CHANGES)
    count = itertools.count(1)
    for owner, names in (
        (DirectoryStore, ("put", "get")),
        (PyArrowFile, ("create", "open")),
        (SqlCatalog, ("commit_table", "create_table", "load_table", "create_namespace")),
    ):
        for name in names:
            setattr(owner, name, dying(getattr(owner, name), count, last))
    append_changes(opened, table, ChangesContext(SystemClock()), ExportOptions())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
