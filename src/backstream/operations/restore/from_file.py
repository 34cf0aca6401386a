"""`restore --from-file`: restores the items that files hold into a new table, an existing table, or a file.

The files become a vault of their own, in a temporary folder. The restore of that vault makes all checks and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from backstream.errors import Damaged, Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names, settings
from backstream.model.tables.naming import Naming
from backstream.model.tables.settings import TableSettings
from backstream.model.values.schema import KeySchema
from backstream.operations.inspect import safety
from backstream.operations.restore.report import Restored
from backstream.operations.restore.request import RestoreContext, RestoreRequest
from backstream.operations.restore.run import restore
from backstream.operations.restore.targets.in_place import InPlace
from backstream.stores.directory import DirectoryStore
from backstream.temporary_folders import TemporaryFolder
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Adopted, Catalog, Layout
from backstream.vault.dumps.held import HeldPage, HeldTable, checked, described_by, keys_of
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import Engines, TableVault

LINES_AT_ONCE = 10**6  # in one microsecond of sequence numbers


class StillClock:
    """A clock that stands still: everything made from a dump has the dump's age."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        """Returns the same time always."""
        return self._seconds

    def sleep(self, seconds: float) -> None:
        """Does nothing, because nothing here waits."""


class KeysFrom(msgspec.Struct, frozen=True):
    """The source of the keys for items whose files do not tell them.

    `schema`: the keys; `like`: the name of a live table, whose settings a new table gets, too.
    """

    schema: KeySchema | None = None
    like: str | None = None


class _Described(msgspec.Struct, frozen=True):
    """The table of the items: DescribeTable's `Table`, and the settings for a new one."""

    description: Mapping[str, Any]
    settings: TableSettings


def restore_held(
    held: HeldTable, table: str, request: RestoreRequest, around: RestoreContext, engines: Engines, keys: KeysFrom | None = None
) -> Restored:
    """Restores the items in files. The request's moment is the files' own.

    Raises UsageError if nothing tells the table's keys, and Damaged if a file cannot be read. Raises Refused if something is
    missing, unless the request allows a gap, or if the files are another table's; and the errors of `restore`. Items that could
    not be restored are in `failures` of the answer. A second run does no harm.
    """
    facts = held.facts
    _check_table(held, table, request)
    described = _described(held, table, request, around, keys or KeysFrom())
    with TemporaryFolder() as temporary:
        vault, items = _taken_in(held, described, table, temporary.path, engines)
        missing = held.missing()
        if missing and not request.allow_gap:
            raise Refused(
                f"{facts.what} of {table} in {facts.url} is not whole: {'; '.join(missing)}",
                hint="--allow-gap restores what is there (a dump that was made with --limit is such a one).",
            )
        fixed = msgspec.structs.replace(request, at=facts.at, resumable=False, into_another=True, keep_unknown=True)
        report = restore(vault, fixed, around)
        kept = [each for each in report.warnings if each != safety.LIMITS]
        twice = [] if request.selects else _repeated(items, report)
        return msgspec.structs.replace(report, warnings=[facts.limits, *missing, *twice, *kept], undo=None)


def _check_table(held: HeldTable, table: str, request: RestoreRequest) -> None:
    """Raises Refused if the files tell that they are another table's."""
    facts = held.facts
    if facts.table not in ("", table) and not request.into_another:
        raise Refused(
            f"{facts.url} holds the table {facts.table}, not {table}",
            hint=f"Restore {facts.table}; or give --into-another with --in-place, if {table} is to get its items.",
        )


def _described(held: HeldTable, table: str, request: RestoreRequest, around: RestoreContext, keys: KeysFrom) -> _Described:
    """Returns what tells the keys: a live table that was named, the files, the table itself, or a key schema that was given."""
    facts = held.facts
    if keys.like is not None:
        live = around.table_of(keys.like)
        found = _Described(msgspec.json.decode(live.facts().description), live.settings())
    elif facts.description is not None:
        found = _of(facts.description)
    elif isinstance(request.target, InPlace):
        found = _of(msgspec.json.decode(around.table_of(table).facts().description))
    elif keys.schema is not None:
        found = _of(described_by(keys.schema, table, facts.table_arn))
    else:
        raise UsageError(
            f"{facts.url} does not tell the keys of {table}",
            hint="--key-schema id:S (or zone:S,number:N, the hash key first), or --like TABLE for the keys of a live table.",
        )
    told = keys_of(found.description, facts.url).schema
    if keys.schema not in (None, told):
        words = ", ".join(f"{each.name}:{each.type}" for each in told.attributes)
        raise UsageError(f"--key-schema is not the key of {table}, which is {words}", hint="Leave it out.")
    return found


def _of(description: Mapping[str, Any]) -> _Described:
    return _Described(description, TableSettings(settings.table_of(description)))


def _repeated(items: int, report: Restored) -> list[str]:
    """Describes keys that more than one item has: only their last item is restored."""
    more = items - report.put - report.unchanged - report.failed
    if more <= 0 or report.failed:
        return []
    return [f"{more:,} items have the key of a later one in the files: the later one counts"]


def _taken_in(held: HeldTable, described: _Described, table: str, folder: Path, engines: Engines) -> tuple[TableVault, int]:
    """Returns a vault that holds the items, and the number of items that were read less those that are deleted later."""
    at = held.facts.at
    store = DirectoryStore(folder, StillClock(at))
    catalog = catalog_of(described.description, table, at)
    catalogs.save(store, msgspec.structs.replace(catalog, settings=catalogs.encode_settings(described.settings)), None)
    vault = TableVault.open(store, table)
    log, read, gone = ChangeLog(store, table), 0, 0
    for page in held.pages(keys_of(described.description, held.facts.url)):
        entries = [*entries_of(vault, page, at, read + gone), *_removed(vault, page, at, read + gone)]
        if entries:
            log.write_batch(entries, SegmentKind.ADOPTED, writer="dump")
        read += len(page.images)
        gone += len(page.deleted)
    return TableVault.open(store, table, engines=engines), 0 if held.facts.rows is None and held.facts.moment else read


def entries_of(vault: TableVault, page: HeldPage, at: int, before: int = 0) -> Iterator[Entry]:
    """Yields the entries of a page's images. `before`: the number of items read before it: a later one counts more.

    Raises Damaged if one is not an item of the table.
    """
    for number, (key, image) in enumerate(checked(page, vault.catalog.key_schema)):
        yield _entry(key, image, at, before + number)


def _removed(vault: TableVault, page: HeldPage, at: int, before: int) -> Iterator[Entry]:
    for number, keys in enumerate(page.deleted, len(page.images)):
        try:
            yield _entry(vault.key_of(keys), None, at, before + number)
        except Damaged as error:
            raise error.of(page.name) from error


def _entry(key: bytes, image: bytes | None, at: int, number: int) -> Entry:
    more, position = divmod(number, LINES_AT_ONCE)
    return Entry(
        stream=legacy_names.STREAM,
        sequence=legacy_names.sequence(at * MICROS + more, position, key),
        micros=at * MICROS,
        event="REMOVE" if image is None else "INSERT",
        event_id="",
        actor=None,
        keys=key,
        image=image,
    )


def catalog_of(described: Mapping[str, Any], table: str, at: int) -> Catalog:
    """Returns the catalog of a vault that is made from a file of second `at`. `described`: as DescribeTable says it.

    Raises Damaged if it does not tell the keys.
    """
    time = moment.iso(at)
    return Catalog(
        format=catalogs.FIRST_FORMAT,
        table=table,
        table_arn=str(described.get("TableArn", "")),
        table_id=str(described.get("TableId", "")),
        key_schema=keys_of(described, "the dump's description").schema,
        layout=Layout.LOG,
        naming=Naming.SHA256,
        tenant_attribute=None,
        compress=Codec.ZSTD,
        stream="",
        stream_arn="",
        initialised=time,
        complete_from=None,
        settings=catalogs.encode_settings(TableSettings(settings.table_of(described))),
        adopted=Adopted(time, time, 0, f"{table}/"),
    )
