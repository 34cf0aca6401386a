"""`restore --resume`: resumes a restore that was interrupted, or that left something undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from backstream.errors import OthersChanged, UsageError
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore import resume_file
from backstream.operations.restore.report import Restored
from backstream.operations.restore.request import RestoreContext, RestoreJob, RestoreRequest
from backstream.operations.restore.resume_file import Leftovers, Loaded
from backstream.operations.restore.run import PreparedRestore, result_of
from backstream.operations.restore.targets.resumed import Resumed
from backstream.vault.table_vault import TableVault


class Again(msgspec.Struct, frozen=True):
    """The options for resuming a restore; see `RestoreRequest`. `force`: also restore the rows that somebody changed meanwhile.

    `delete_unknown`, `expect_deletes`: also if the restore was begun without; `into_another`: the table may be another one by now;
    `accept_settings`: also make settings that name another account.
    """

    dry_run: bool = False
    patience: float = 30.0
    max_units: float | None = None
    force: bool = False
    into_another: bool = False
    delete_unknown: bool = False
    expect_deletes: int | None = None
    accept_settings: bool = False


def resume(vault: TableVault, path: Path, around: RestoreContext, again: Again) -> Restored:
    """Continues a restore that left something undone, or was interrupted. Its file stays as long as something is left.

    Raises UsageError if there is no such file, or if it belongs to another table; OthersChanged if only rows that somebody else has
    changed are left, unless `force` is set.
    """
    return result_of(prepare_resumed(vault, path, around, again))


def prepare_resumed(
    vault: TableVault, path: Path, around: RestoreContext, again: Again, *, finished: Callable[[], None] = lambda: None
) -> PreparedRestore:
    """Returns the same, checked and read once it is entered. `finished`: see `Leftovers`."""
    loaded = resume_file.load(path)
    if loaded.head.table != vault.catalog.table:
        raise UsageError(f"{path} is what is left of a restore of {loaded.head.table}, not of {vault.catalog.table}")
    if loaded.ended and not again.force and len(loaded.conflicts) == len(loaded.keys):
        raise OthersChanged(
            f"all that is left are {len(loaded.keys)} rows that somebody changed while the restore ran",
            hint="--force brings them back too, and so undoes these changes.",
        )
    left = Leftovers(None if again.dry_run else path, loaded.head, finished)
    return PreparedRestore(RestoreJob(vault, _rest(loaded, again), around), left)


def _rest(loaded: Loaded, again: Again) -> RestoreRequest:
    """Returns the remaining request: the rows that are left or, for an interrupted restore, everything that was requested."""
    head = loaded.head
    passed = loaded.conflicts if loaded.ended and not again.force else []
    return RestoreRequest(
        at=head.at,
        target=Resumed(
            head.target,
            fresh=not (loaded.ended or head.in_place),
            in_place=head.in_place,
            before=None if loaded.ended else head.before,
            into=Identity(head.arn, head.table_id),
            accept_settings=again.accept_settings,
        ),
        keys=[key for key in loaded.keys if key not in passed] if loaded.ended else [bytes(key) for key in head.keys],
        tenant=head.tenant,
        partition=head.partition,
        where=head.where,
        dry_run=again.dry_run,
        allow_gap=True,  # that it was asked for, or that there was none, was settled when the restore began
        patience=again.patience,
        max_units=again.max_units,
        force=again.force,
        conflicts=passed,
        into_another=again.into_another,
        delete_unknown=again.delete_unknown or head.delete_unknown,
        expect_deletes=head.expect_deletes if again.expect_deletes is None else again.expect_deletes,
    )
