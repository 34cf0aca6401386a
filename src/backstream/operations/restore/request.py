"""What a restore is asked, and what it answers."""

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
    """Into a table of this name: created with the settings that the catalog holds, or empty already.

    `indexes`: with its global and local ones; `settings_only`: without items; `bare`: the caller has made it for this alone, so
    there is nothing to be said of its settings.
    """

    name: str
    indexes: bool = True
    settings_only: bool = False
    accept_settings: bool = False
    bare: bool = False


class InPlace(msgspec.Struct, frozen=True):
    """Into the table itself: puts and deletes, only where it differs."""


class ToFile(msgspec.Struct, frozen=True):
    """Into a file of `{"Item":...}` lines, as AWS's full export writes them."""

    path: Path


class Into(msgspec.Struct, frozen=True):
    """Into whatever `begin` makes once the moment has been checked; `name`: what reports call it."""

    name: str
    begin: Callable[[], Sink]


class Resumed(msgspec.Struct, frozen=True):
    """Into the table of this name, which an earlier restore left incomplete: only what differs.

    `fresh`: it was created by the earlier one, which was interrupted before it had all of its settings; `in_place`: it is the table
    itself; `before`: the moment before the earlier restore began, where that was interrupted: a row
    that is neither as it was then nor as it is to be was changed by somebody else; `into`: the table that the earlier one wrote to.
    """

    name: str
    fresh: bool = False
    in_place: bool = False
    before: int | None = None
    into: Identity = Identity("", "")
    accept_settings: bool = False


Target = NewTable | InPlace | ToFile | Into | Resumed


class RestoreRequest(msgspec.Struct, frozen=True):
    """What to bring back, to which second, and where to.

    `keys`: canonical keys, only these rows; `tenant`: only that tenant's rows (the value of the catalog's tenant attribute);
    `partition`: only the rows of that hash key; `where`: only rows that satisfy the condition (see `model.condition`). A row has to
    pass all that are given; without any it is the whole table. `allow_gap`: restore what is known where something is uncertain.
    `patience`: seconds without any progress after which it gives up; `max_units`: write units a second at most; `force`: in place,
    overwrite what somebody changes meanwhile; `conflicts`: keys that an earlier attempt found so changed, and that stay so.
    `resumable`: whether it keeps a file to go on with.

    In place: `into_another`: the live table may be another than the vault's (account, region or table id); `delete_unknown`: delete
    also live rows of which nothing tells whether they existed at the moment; `keep_unknown`: such rows are no part of what is
    asked, so leaving them counts as done; `expect_deletes`: at most so many rows may be deleted, needed where that is most of the
    table.
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
        """Whether only some rows are asked for."""
        return bool(self.keys) or any(each is not None for each in (self.tenant, self.partition, self.where))


class Failure(msgspec.Struct, frozen=True):
    """One thing that was not restored, or not read, named so that it can be found: an item's key, an object's name."""

    what: str
    why: str


class Restored(msgspec.Struct, frozen=True):
    """What a restore did (`dry_run`: would do). Counts are items; `warnings`: what is uncertain.

    `settings`: when those that a new table was given were kept; `todo`: what of them is not set;
    `grants`: whom and what they name. `left`: the file that names every
    item left out, to be resumed; `failures` names the first ten thousand of `failed`; `conflicts`: how many of these somebody
    changed while the restore ran. `plan`: what it takes; `undo`: the command that takes an in-place restore back.
    `missing`: items of which the vault lacks a change.

    In place: `spared`: how many live rows were left alone because the vault does not prove what they were; `sparing` names the
    first ten thousand. Those that should have been written are part of `failed`, those in a gap that was allowed of `unchanged`.
    `needs_expect_deletes`: the number without which (`--expect-deletes`) so many deletes are refused; None where none is needed.
    `covered`: what signatures cover, and the vault's head.
    `expired`: how many of `put` are rows whose time to live has passed since the moment.
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
