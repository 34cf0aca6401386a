"""`restore --undo` undoes an in-place restore: exactly the rows that it wrote, each to its state just before.

The restore's own file has the images, so no vault is needed. A row that somebody has changed since is left alone and named. A
second run finds all of it done.
"""

from __future__ import annotations

from pathlib import Path

from backstream.errors import Refused, UsageError
from backstream.model import moment
from backstream.model.values import wire
from backstream.operations.bulk.journal import Noted
from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.migrate.request import MigrationContext, MigrationRequest
from backstream.operations.migrate.undo import TakingBack, Undone, in_file
from backstream.operations.restore import Restored
from backstream.operations.restore.targets.kept import UndoHead, UndoJournal


def undo_restore(path: Path, asked: MigrationRequest, around: MigrationContext) -> Restored:
    """Puts back the rows that a restore in place deleted or overwrote, and deletes the rows that it created; writes only if `live`.

    Raises UsageError if there is no such file. Raises Refused if the live table is not the one that the restore wrote to, unless
    `around.into_another`, or if another process works on it.
    """
    standing = UndoJournal(path)
    head, table = standing.head, around.table
    if head.table != table.name:
        raise UsageError(f"{path} is a restore of {head.table}, not of {table.name}")
    if not around.into_another:
        safety.check_same_table(Identity(head.arn, head.table_id), table.facts(), of="the one that this restore wrote to")
    key_of = wire.KeyReader(table.facts().schema)
    taking_back = TakingBack(standing.last_changes, lambda _: _image, key_of, asked, around)
    undone = in_file(path, standing, asked, lambda: taking_back.run(head.table, head.restore))
    return _report(undone, head)


def _image(noted: Noted) -> bytes | None:
    if noted.before is not None and noted.image is None:
        raise Refused(f"the file does not hold what {noted.key.decode()} was")
    return noted.image


def _report(undone: Undone, head: UndoHead) -> Restored:
    return Restored(
        table=undone.table,
        at=moment.iso(head.began),
        target=undone.table,
        put=undone.put,
        deleted=undone.deleted,
        unchanged=undone.unchanged,
        failed=undone.failed,
        dry_run=not undone.live,
        seconds=undone.seconds,
        failures=undone.failures,
        conflicts=undone.conflicts,
        plan=undone.plan,
    )
