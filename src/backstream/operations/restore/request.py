"""The request and the report of a restore."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backstream.model.tables.grants import Grant
from backstream.model.tables.setup import Todo
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.operations.inspect.safety import Identity
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore.plan import Planned
from backstream.operations.restore.targets.sinks import Sink


class NewTable(msgspec.Struct, frozen=True):
    """Restores into a table of this name: created with the settings that the catalog holds, or existing and empty.

    `indexes`: with its global and local ones; `settings_only`: without items; `bare`: the caller has created it for this alone, so
    its settings are not reported.
    """

    name: str
    indexes: bool = True
    settings_only: bool = False
    accept_settings: bool = False
    bare: bool = False


class InPlace(msgspec.Struct, frozen=True):
    """Restores into the table itself: puts and deletes, only for differing items."""


class ToFile(msgspec.Struct, frozen=True):
    """Restores into a file of `{"Item":...}` lines, as AWS's full export writes them."""

    path: Path


class Into(msgspec.Struct, frozen=True):
    """Restores into the sink that `begin` makes once the moment has been checked; `name`: its name in reports."""

    name: str
    begin: Callable[[], Sink]


class Resumed(msgspec.Struct, frozen=True):
    """Restores differing items into the table of this name, which an earlier restore left incomplete.

    `fresh`: the earlier restore created it, and was interrupted before it had all of its settings; `in_place`: it is the table
    itself; `before`: the moment before the earlier restore began, if that was interrupted: a row that has neither its state of that
    time nor its restored state was changed by somebody else; `into`: the table that the earlier one wrote to.
    """

    name: str
    fresh: bool = False
    in_place: bool = False
    before: int | None = None
    into: Identity = Identity("", "")
    accept_settings: bool = False


Target = NewTable | InPlace | ToFile | Into | Resumed


class RestoreRequest(msgspec.Struct, frozen=True):
    """The selection, the moment and the target of a restore.

    `keys`: canonical keys, only these rows; `tenant`: only that tenant's rows (the value of the catalog's tenant attribute);
    `partition`: only the rows of that hash key; `where`: only rows that satisfy the condition (see `model.condition`). A row must
    pass all given filters; without any it is the whole table. `allow_gap`: restore what is known, although something is uncertain.
    `patience`: seconds without any progress after which it gives up; `max_units`: write units a second at most; `force`: in place,
    overwrite what somebody changes meanwhile; `conflicts`: keys that an earlier attempt found changed, and that stay so.
    `resumable`: True to keep a file for resuming.

    For a restore in place: `into_another`: the live table may differ from the vault's (account, region or table id);
    `delete_unknown`: also delete live rows that may or may not have existed at the moment; `keep_unknown`: such rows are outside of
    the request, so leaving them counts as done; `expect_deletes`: the most rows that may be deleted, required if that is most of
    the table.
    """

    at: int
    target: Target
    keys: Sequence[bytes] = ()
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


class Failure(msgspec.Struct, frozen=True):
    """One thing that was not restored, or not read, with a name by which it can be found: an item's key, an object's name."""

    what: str
    why: str


class Restored(msgspec.Struct, frozen=True):
    """The result of a restore (with `dry_run`: its plan). Counts are items; `warnings`: the uncertainties.

    `settings`: when a new table's settings were saved in the vault; `todo`: those that are not set; `grants`: the principals and
    resources in them. `left`: the file that names every item left out, for resuming; `failures` names the first ten thousand of
    `failed`; `conflicts`: the number of these that somebody changed while the restore ran. `plan`: its estimate; `undo`: the
    command that undoes an in-place restore. `missing`: items that lack a change in the vault.

    For a restore in place: `spared`: the number of live rows that were left alone because the vault does not prove their state;
    `sparing` names the first ten thousand. Rows that should have been written also count as `failed`, rows in an accepted gap as
    `unchanged`. `needs_expect_deletes`: the number that `--expect-deletes` requires for that many deletes; None if none is
    required. `covered`: what signatures cover, and the vault's head. `expired`: the number of `put` rows whose time to live has
    passed since the moment.
    """

    table: str
    at: str
    target: str
    put: int
    deleted: int
    unchanged: int
    failed: int
    dry_run: bool
    seconds: float
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    left: str | None = None
    conflicts: int = 0
    plan: Planned | None = None
    undo: str | None = None
    settings: str | None = None
    todo: Sequence[Todo] = ()
    grants: Sequence[Grant] = ()
    spared: int = 0
    sparing: Sequence[Failure] = ()
    needs_expect_deletes: int | None = None
    expired: int = 0
    missing: Sequence[MissingChange] = ()
    covered: SignedCover = SignedCover()
