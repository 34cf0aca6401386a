"""The report of a restore."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model.tables.grants import Grant
from backstream.model.tables.setup import Todo
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore.plan import Planned


class Failure(msgspec.Struct, frozen=True):
    """One thing that was not restored, or not read, with a name by which it can be found: an item's key, an object's name."""

    what: str
    why: str


class Restored(msgspec.Struct, frozen=True):
    """The result of a restore (with `dry_run`: its plan). Counts are items; `warnings`: the uncertainties.

    `settings`: when a new table's settings were saved in the vault; `todo`: those that are not set; `grants`: the principals and
    resources in them; `sets`: a line for each setting that a new table gets. `left`: the file that names every item left out, for
    resuming; `failures` names the first ten thousand of `failed`; `conflicts`: the number of these that somebody changed while the
    restore ran. `plan`: its estimate; `undo`: the command that undoes an in-place restore. `missing`: items that lack a change in
    the vault.

    For a restore in place: `spared`: the number of live rows that were left alone because the vault does not prove their state;
    `sparing` names the first ten thousand. Rows that should have been written also count as `failed`, rows in an accepted gap as
    `unchanged`. `needs_expect_deletes`: the number that `--expect-deletes` requires for that many deletes; None if none is
    required. `erased`: the number of rows that existed at the moment and were erased since; of a selection other than by keys it
    counts the whole table's. `covered`: what signatures cover, and the vault's head. `expired`: the number of `put` rows whose
    time to live has passed since the moment, or more than a week before it.
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
    sets: Sequence[str] = ()
    spared: int = 0
    sparing: Sequence[Failure] = ()
    needs_expect_deletes: int | None = None
    expired: int = 0
    missing: Sequence[MissingChange] = ()
    erased: int = 0
    covered: SignedCover = SignedCover()


class TargetOutcome(msgspec.Struct, frozen=True):
    """A target's report once its items are in; see `Restored`. `notes`: words for its `warnings`."""

    notes: Sequence[str] = ()
    todo: Sequence[Todo] = ()
    grants: Sequence[Grant] = ()
    settings: str | None = None
    expired: int = 0
    undo: str | None = None
    sets: Sequence[str] = ()
