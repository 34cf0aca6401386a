"""Listing the changes of a window, against the engine's reading of the same segments. Both from a folder: no request is in it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import cache

from backstream.apps.cli.look.changes import as_lines
from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.state import State
from backstream.model.changes.change import from_record
from backstream.model.changes.entry import of_change
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext, ChangeWindow
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from benchmarks import canned
from benchmarks.capture import BEGAN, LABEL, catalog, record
from benchmarks.ours import Work
from benchmarks.plan import LISTED

SPAN = ChangeWindow(BEGAN - 1, BEGAN + LISTED // 100)


def listed() -> Work:
    """`changes --ndjson`, into nothing; `count` is how often."""
    vault = vault_of_changes()

    def work(count: int) -> None:
        for _ in range(count):
            found = Changes(vault, SPAN, ChangeCriteria(), ChangesContext(SystemClock()))
            with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
                assert as_lines(found.records()) == LISTED

    return work


def engine() -> Work:
    """The engine's reading, as restore has it: every change into partitions on disk, then each item's state with its image."""
    vault = vault_of_changes()

    def work(count: int) -> None:
        for _ in range(count):
            with State(vault, SPAN.until) as state:
                assert not state.unreadable
                assert sum(entry.image is not None for partition in state for entry in partition.values()) == LISTED

    return work


def partitioned() -> Work:
    """The first part of that: no state is asked for."""
    vault = vault_of_changes()

    def work(count: int) -> None:
        for _ in range(count):
            with State(vault, SPAN.until) as state:
                assert not state.unreadable

    return work


def vault_of_changes() -> TableVault:
    """A log of so many changes, in runs of 1,000; it lies in a folder as long as the process lives."""
    vault = TableVault(DirectoryStore(_folder().name, SystemClock()), catalog(Layout.LOG), engines=LocalEngine)
    after = "nothing"
    for first in range(0, LISTED, canned.BATCH_RECORDS):
        numbers = range(first, first + canned.BATCH_RECORDS)
        entries = [of_change(from_record(record(number), LABEL), None) for number in numbers]
        vault.log.write_run(entries, "shard", after=after, writer="bench")
        after = entries[-1].sequence
    vault.log.write_mark(LABEL, SPAN.until, writer="bench")
    return vault


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()
