"""The request of a restore: the rows to bring back, the second, and the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from backstream.engine.local.memory import Memory
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.restore.plan import Planning
from backstream.operations.restore.report import TargetOutcome
from backstream.operations.restore.resume_file import Leftovers
from backstream.operations.restore.targets.sinks import Sink
from backstream.ports import Clock, Table
from backstream.vault.table_vault import TableVault


class RestoreContext(msgspec.Struct, frozen=True):
    """The context of a restore besides the vault.

    `folder`: the place of its resumable file; `notice` receives, before the first write, the command that resumes it after an
    interruption. `budget`: write units that several restores share; None if each has its request's own. `opener_of`: returns
    what opens a table on another machine, with the clock there; None if the engine is on this one.
    """

    table_of: Callable[[str], Table]
    clock: Clock
    folder: Path
    progress: Progress = Silent()
    memory: Memory = Memory()
    notice: Callable[[str], None] = lambda _: None
    budget: Budget | None = None
    opener_of: Callable[[str], Callable[[], tuple[Table, Clock]]] | None = None


class RestoreTarget(Protocol):
    """The place that one restore writes to. Each kind has a class in `targets/`; nobody asks which kind a target is.

    The order of calls: `check`, `compare` any number of times, `planning`, and for each pass `open_sink` (unless it is a dry run),
    `watch` and `finish`; `close` in any case. Nothing is touched before `open_sink`.
    """

    @property
    def name(self) -> str:
        """Returns its name in reports: a table's name, a file's path."""

    @property
    def in_place(self) -> bool:
        """True for the vault's own table: rows may be deleted, and every write can be taken back."""

    @property
    def resumable(self) -> bool:
        """True if a file names what is left undone, from which `--resume` continues."""

    @property
    def continues(self) -> bool:
        """True if the restore continues an earlier one."""

    @property
    def wants_items(self) -> bool:
        """True if items are asked for at all."""

    @property
    def before(self) -> int | None:
        """The second before an interrupted restore began, in which every row was its owner's; None where that does not matter."""

    def check(self) -> None:
        """Check that it can be written, and plan how. `TargetNotEmpty`, `Refused` and others where it cannot."""

    def compare(self) -> Table | None:
        """Return the table of whose rows only those are written that differ; None where all are. Refused for other keys."""

    def planning(self) -> Planning | None:
        """Return what counts the cost of the writes; None where no table is written."""

    def open_sink(self, left: Leftovers) -> Sink:
        """Return what takes the writes. The first touch: a table is created, and the files to resume and to undo with begin."""

    def watch(self, sink: Sink) -> Sink:
        """Return the sink, or one around it that counts what time to live would delete again."""

    def finish(self, *, dry_run: bool) -> TargetOutcome:
        """Do what comes after the items, and tell what there is to tell. In a dry run: only tell."""

    def close(self) -> None:
        """Let go of its files; they stay where they tell anything."""


class TargetRequest(msgspec.Struct, frozen=True):
    """The target as a request names it. The kinds are in `targets/`."""

    def bind(self, job: RestoreJob) -> RestoreTarget:
        """Return the target of one restore."""
        raise NotImplementedError


class RestoreRequest(msgspec.Struct, frozen=True):
    """The selection, the moment and the target of a restore.

    `keys`: canonical keys, only these rows; `tenant`: only that tenant's rows (the value of the catalog's tenant attribute);
    `partition`: only the rows of that hash key; `where`: only rows that satisfy the condition (see `model.condition`). A row must
    pass all given filters; without any it is the whole table. `keys_of_others`: the keys may be other tables' rows, so one that was
    never seen is no failure. `allow_gap`: restore what is known, although something is uncertain.
    `patience`: seconds without any progress after which it gives up; `max_units`: write units a second at most; `force`: in place,
    overwrite what somebody changes meanwhile; `conflicts`: keys that an earlier attempt found changed, and that stay so.
    `resumable`: True to keep a file for resuming.

    For a restore in place: `into_another`: the live table may differ from the vault's (account, region or table id);
    `delete_unknown`: also delete live rows that may or may not have existed at the moment; `keep_unknown`: such rows are outside of
    the request, so leaving them counts as done; `expect_deletes`: the most rows that may be deleted, required if that is most of
    the table.
    """

    at: int
    target: TargetRequest
    keys: Sequence[bytes] = ()
    keys_of_others: bool = False
    tenant: str | None = None
    partition: str | None = None
    where: str | None = None
    dry_run: bool = False
    allow_gap: bool = False
    patience: float = 30.0
    max_units: float | None = None
    force: bool = False
    conflicts: Sequence[bytes] = ()
    resumable: bool = True
    into_another: bool = False
    delete_unknown: bool = False
    keep_unknown: bool = False
    expect_deletes: int | None = None

    @property
    def selects(self) -> bool:
        """True if only some rows are requested."""
        return bool(self.keys) or any(each is not None for each in (self.tenant, self.partition, self.where))


class RestoreJob(msgspec.Struct, frozen=True):
    """One restore: the vault, the request, and what it needs besides."""

    vault: TableVault
    request: RestoreRequest
    around: RestoreContext
