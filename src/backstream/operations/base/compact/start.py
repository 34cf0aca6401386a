"""Begins a compaction: on this machine, or with the executors of the vault's engine."""

from __future__ import annotations

from backstream.engine.local.memory import Memory
from backstream.operations.base.compact.run import Compaction, CompactionRun
from backstream.operations.base.compact.spread import SpreadCompaction
from backstream.operations.bulk.progress import Progress, Silent
from backstream.ports import Clock
from backstream.vault.log.compacted import Generation
from backstream.vault.table_vault import TableVault


def compact(
    vault: TableVault, clock: Clock, *, until: int | None = None, memory: Memory | None = None, progress: Progress | None = None
) -> Compaction:
    """Merges the lines of small objects into sets, sorted by key. Safe beside writers, readers and another compaction.

    `until`: only segments whose changes were all made up to that second. Raises Overtaken if another compaction was faster.
    """
    kind = CompactionRun if vault.executors is None else SpreadCompaction
    return kind(vault, clock, until, memory or Memory(), progress or Silent()).run()


def settle(vault: TableVault, clock: Clock) -> Generation:
    """Hides what an interrupted compaction has not hidden yet, and returns the generation in force."""
    return CompactionRun(vault, clock, None, Memory(), Silent()).settled()
