"""`restore --via import`: loads a new table from a snapshot by DynamoDB's own ImportTable, without any write capacity.

The snapshot goes into the vault's bucket, below the vault's own folder for the table, and stays there. A table that cannot be
imported whole is not imported at all: BatchWriteItem can do with less, see `operations.restore`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat

import msgspec

from backstream.errors import Failed, MissingTable, Refused, TargetNotEmpty, Unavailable, UsageError
from backstream.model.counts import counted
from backstream.model.tables.creation import Creation, on_demand
from backstream.operations.restore import NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.restore.failures import named_destination
from backstream.operations.restore.request import RestoreJob
from backstream.operations.restore.snapshot import Snapshot, snapshot
from backstream.ports import Files, Importer, ImportState
from backstream.vault import catalog as catalogs
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault

FOLDER = "snapshots/"
RUNNING = ("IN_PROGRESS", "CANCELLING")
FIRST_POLL, LONGEST_POLL = 0.25, 15.0  # seconds; an import takes minutes at least, on AWS


class Importing(msgspec.Struct, frozen=True):
    """The context of an import besides a restore's. `files`: returns the files at a URL."""

    importer: Importer
    files: Callable[[str], Files]


def restore_by_import(
    vault: TableVault, new: NewTable, request: RestoreRequest, around: RestoreContext, importing: Importing
) -> Restored:
    """Bring the whole table back into a new one. `request`: into `new`, without any selection.

    UsageError where it selects rows, or the vault is not in S3; Refused where the table had local indexes, or its new
    name is taken; then what `snapshot` refuses. Failed, saying where DynamoDB's log is, where not every item was imported.
    """
    began = around.clock.now()
    _check(vault, new, request)
    _check_free(around, new.name)
    if request.dry_run:
        return restore(vault, request, around)
    files = importing.files(f"{vault.store.url}/{catalogs.folder(vault.catalog.table)}{FOLDER}")
    setup, named = new.setup(RestoreJob(vault, request, around)), named_destination(vault)
    setup.prepare(settings_only=new.settings_only, bare=new.bare)
    taken = snapshot(vault, request.at, files, around, compress=Codec.GZIP, allow_gap=request.allow_gap)
    if taken.complete:
        creation = setup.creation or on_demand(vault.catalog.key_schema)
        _import(taken, creation, new.name, around, importing.importer)
        setup.finish_import()
    return Restored(
        table=taken.table,
        at=taken.at,
        target=new.name,
        put=taken.items if taken.complete else 0,
        deleted=0,
        unchanged=0,
        failed=taken.failed,
        dry_run=False,
        seconds=round(around.clock.now() - began, 3),
        failures=taken.failures,
        warnings=[*taken.warnings, *setup.notes, _what_stays(taken)],
        settings=setup.settings,
        todo=[*setup.todo, *named.todo],
        grants=[*setup.grants, *named.grants],
        sets=setup.sets(time_to_live=False),
    )


def _what_stays(taken: Snapshot) -> str:
    if taken.complete:
        return f"the snapshot stays in {taken.url}: delete it when you do not need it"
    return "nothing was imported, since not everything could be read: without --via import, `restore` writes what can be"


# --- what is refused --------------------------------------------------------------------------------------------------------------


def _check(vault: TableVault, new: NewTable, request: RestoreRequest) -> None:
    if request.keys or any(each is not None for each in (request.tenant, request.partition, request.where)):
        raise UsageError("an import is of a whole table: rows cannot be selected", hint="Restore them without --via import.")
    if request.max_units is not None:
        raise UsageError("an import takes no write units", hint="Leave out --max-write-units, or --via import.")
    if not vault.store.url.startswith("s3://"):
        raise UsageError(
            f"DynamoDB imports from S3 only, and the vault is in {vault.store.url}",
            hint="Restore without --via import, or write a snapshot into a bucket and import that.",
        )
    if new.indexes and catalogs.settings_of(vault.catalog).table.get("LocalSecondaryIndexes"):
        raise Refused(
            f"{vault.catalog.table} has local secondary indexes, which ImportTable cannot make",
            hint="Restore without --via import, or with --no-indexes.",
        )


def _check_free(around: RestoreContext, name: str) -> None:
    try:
        around.table_of(name).facts()
    except MissingTable:
        return
    raise TargetNotEmpty(f"the table {name} exists, and an import makes the table itself", hint="Give --to another name.")


# --- the import -------------------------------------------------------------------------------------------------------------------


def _import(taken: Snapshot, creation: Creation, name: str, around: RestoreContext, importer: Importer) -> None:
    """Returns when every item of the snapshot has been imported. Raises Failed otherwise."""
    bucket, _, folder = taken.url.removeprefix("s3://").partition("/")
    around.progress.phase("importing", taken.items)
    arn = importer.begin(name, creation, bucket, f"{folder}/data/", taken.id)
    shown = 0
    for delay in _polls():
        state = _state(importer, arn)
        around.progress.advance(state.processed - shown)
        shown = state.processed
        if state.status not in RUNNING:
            break
        around.clock.sleep(delay)
    if (state.status, state.imported, state.errors) != ("COMPLETED", taken.items, 0):
        raise _failed(taken, name, arn, state)


def _polls() -> Iterator[float]:
    delay = FIRST_POLL
    while delay < LONGEST_POLL:
        yield delay
        delay *= 2
    yield from repeat(LONGEST_POLL)


def _state(importer: Importer, arn: str) -> ImportState:
    try:
        return importer.state(arn)
    except Unavailable as error:
        hint = f"The import itself goes on: aws dynamodb describe-import --import-arn {arn}"
        raise Unavailable(f"how the import is going cannot be seen: {error.message}", hint=hint) from error


def _failed(taken: Snapshot, name: str, arn: str, state: ImportState) -> Failed:
    why = f" ({state.why})" if state.why else ""
    counts = f"{state.imported:,} of {counted(taken.items, 'item')} imported, {counted(state.errors, 'error')}"
    log = f" DynamoDB's log of it: {state.log}." if state.log else ""
    return Failed(
        f"the import into {name} ended {state.status}: {counts}{why}",
        hint=f"{arn}.{log} The table may be there, not whole: delete it before you try again. The snapshot is {taken.url}.",
    )
