"""What a revert is asked, and what it answers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backstream.engine.local.memory import Memory
from backstream.model.changes.merge import Merge
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import ChangeCriteria, ChangeWindow
from backstream.operations.restore import Failure
from backstream.ports import Clock, Table


class OnConflict(enum.StrEnum):
    """What becomes of an item that the window and others both changed.

    SKIP: it is left and named; the others are written. STOP: nothing is written where one is known before, and nothing more once
    one shows. OVERWRITE: what the window changed is taken back all the same.
    """

    SKIP = "skip"
    STOP = "stop"
    OVERWRITE = "overwrite"


class Request(msgspec.Struct, frozen=True):
    """Which changes to take back. `to_now`: the window ends now, so its last seconds need not be proven yet.

    `into_another`: the live table may be another than the vault's.
    """

    span: ChangeWindow
    asked: ChangeCriteria = ChangeCriteria()
    merge: Merge = Merge.ATTRIBUTES
    on_conflict: OnConflict = OnConflict.SKIP
    allow_gap: bool = False
    to_now: bool = False
    into_another: bool = False


class Writing(msgspec.Struct, frozen=True):
    """How to write. `max_units`: write units a second at most; `patience`: seconds without any progress after which it gives up.

    `expect_deletes`: at most so many rows may be deleted, needed where that is most of the table.
    """

    max_units: float | None = None
    patience: float = 30.0
    expect_deletes: int | None = None


class Around(msgspec.Struct, frozen=True):
    """What a revert needs besides the vault. `folder`: where its files go.

    `notice` is told, before the first write, how to go on, should it be interrupted.
    """

    table: Table
    clock: Clock
    folder: Path
    memory: Memory = Memory()
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None


class Reverted(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """What a revert did (`dry_run`: would do). Counts are items; `since` and `until` (`from` and `to` in JSON): the window.

    `put`: brought back; `updated`: attributes of them were reset; `deleted`: created by the window; `unchanged`: already as they
    are to be; `conflicts`: left alone since others have changed the same, `conflicting` names the first ten thousand of them, and
    `failures` says why; `gone`: those that somebody has deleted since, which are left alone and are no failure; `failed`: not
    written for another reason. `expired`: how many of those written have a time to live that has passed.

    `undo`: the command that takes the revert itself back; `resume`: the one that goes on with what is left; `file`: its journal.
    `needs_expect_deletes`: the number without which (`--expect-deletes`) so many deletes are refused; None where none is needed.
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
