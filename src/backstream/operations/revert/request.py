"""The request and the report of a revert."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backstream.engine.local.memory import Memory
from backstream.model.changes.merge import Merge
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.changes import ChangeCriteria, ChangeWindow
from backstream.operations.restore import Failure
from backstream.ports import Clock, Table


class OnConflict(enum.StrEnum):
    """The treatment of an item that the window and others both changed.

    SKIP: it is left and named; the others are written. STOP: nothing is written if a conflict is known before, and nothing more
    once one appears. OVERWRITE: the window's changes are undone all the same.
    """

    SKIP = "skip"
    STOP = "stop"
    OVERWRITE = "overwrite"


class RevertRequest(msgspec.Struct, frozen=True):
    """The changes to undo. `to_now`: the window ends now, so its last seconds need not be proven yet.

    `into_another`: the live table may differ from the vault's.
    """

    span: ChangeWindow
    asked: ChangeCriteria = ChangeCriteria()
    merge: Merge = Merge.ATTRIBUTES
    on_conflict: OnConflict = OnConflict.SKIP
    allow_gap: bool = False
    to_now: bool = False
    into_another: bool = False


class Writing(msgspec.Struct, frozen=True):
    """The options of writing. `max_units`: write units a second at most; `patience`: seconds without any progress after which it
    gives up.

    `expect_deletes`: the most rows that may be deleted, required if that is most of the table. `budget`: write units that several
    tables share; None if `max_units` is this table's own.
    """

    max_units: float | None = None
    patience: float = 30.0
    expect_deletes: int | None = None
    budget: Budget | None = None


class Around(msgspec.Struct, frozen=True):
    """The context of a revert besides the vault. `folder`: the place of its files.

    `notice` receives, before the first write, the command that resumes it after an interruption.
    """

    table: Table
    clock: Clock
    folder: Path
    memory: Memory = Memory()
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None


class Reverted(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """The result of a revert (with `dry_run`: its plan). Counts are items; `since` and `until` (`from` and `to` in JSON): the
    window.

    `put`: brought back; `updated`: some attributes were reset; `deleted`: created by the window; `unchanged`: already in their
    reverted state; `conflicts`: left alone since others have changed the same, `conflicting` names the first ten thousand of them,
    and `failures` says why; `gone`: deleted by somebody since, left alone and not a failure; `failed`: not written for another
    reason. `expired`: the number of written items whose time to live has passed.

    `undo`: the command that undoes the revert itself; `resume`: the command that continues with the rest; `file`: its journal.
    `needs_expect_deletes`: the number that `--expect-deletes` requires for that many deletes; None if none is required.
    """

    table: str
    since: str
    until: str
    put: int
    updated: int
    deleted: int
    unchanged: int
    conflicts: int
    failed: int
    dry_run: bool
    seconds: float
    conflicting: Sequence[msgspec.Raw] = ()
    gone: Sequence[msgspec.Raw] = ()
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    write_units: int = 0
    dollars: float = 0.0
    estimated_seconds: float = 0.0
    expired: int = 0
    undo: str | None = None
    resume: str | None = None
    file: str | None = None
    needs_expect_deletes: int | None = None
