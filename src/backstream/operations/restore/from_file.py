"""`restore --from-file`: restores a dynamodump dump into a new table, an existing table, or a file.

The dump becomes a vault of its own, in a temporary folder. The restore of that vault makes all checks and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backstream.errors import Damaged, Failed, Refused
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names, settings
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.operations.inspect import safety
from backstream.operations.restore import RestoreContext, Restored, RestoreRequest, restore
from backstream.ports import Clock
from backstream.stores.directory import DirectoryStore
from backstream.stores.dumps import SCHEMA, DynamodumpDump
from backstream.tables.answers import DescribedTable, key_schema
from backstream.temporary_folders import TemporaryFolder
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Adopted, Catalog, Layout
from backstream.vault.dumps.dump_pages import Pages, description_of
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import Engines, TableVault

LIMITS = (
    "from a dump: each of its pages is of the moment in which it was read, the settings are what DescribeTable said, and rows that "
    "are not in it are left alone"
)


class StillClock:
    """A clock that stands still: everything made from a dump has the dump's age."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        """Returns the same time always."""
        return self._seconds

    def sleep(self, seconds: float) -> None:
        """Does nothing, because nothing here waits."""


def restore_dump(path: Path, table: str, request: RestoreRequest, around: RestoreContext, engines: Engines) -> Restored:
    """Restores a dump's items of a table. The request's moment is the time when the dump's last file was written.

    Raises NotFound or Damaged if it is not a dump, or cannot be read; Refused if it is incomplete, unless the request allows a gap;
    and the errors of `restore`. Items that could not be restored are in `failures` of the answer. A second run does no harm.
    """
    dump = DynamodumpDump(path, table)
    schema = dump.schema()
    with TemporaryFolder() as temporary:
        vault, warnings = _taken_in(dump, description_of(schema.body, schema.name), table, temporary.path, around.clock, engines)
        if warnings and not request.allow_gap:
            raise Refused(
                f"the dump of {table} in {path} is not whole: {'; '.join(warnings)}",
                hint="--allow-gap restores what is there (a dump that was made with --limit is such a one).",
            )
        at = moment.parse_iso_micros(vault.catalog.initialised) // MICROS
        report = restore(
            vault, msgspec.structs.replace(request, at=at, resumable=False, into_another=True, keep_unknown=True), around
        )
        kept = [each for each in report.warnings if each != safety.LIMITS]
        return msgspec.structs.replace(report, warnings=[LIMITS, *warnings, *kept], undo=None)


def _taken_in(
    dump: DynamodumpDump, described: dict[str, Any], table: str, folder: Path, clock: Clock, engines: Engines
) -> tuple[TableVault, list[str]]:
    """Returns a vault that holds the dump, and the list of what the dump lacks."""
    now, written = int(clock.now()), [min(int(clock.now()), int(each.member.modified)) for each in dump.pages()]
    at = max(written, default=now)
    store = DirectoryStore(folder, StillClock(at))
    catalogs.save(store, catalog_of(described, table, at), None)
    vault = TableVault.open(store, table)
    pages = Pages()
    log = ChangeLog(store, table)
    for page in dump.pages():
        name = page.member.name
        entries = list(entries_of(vault, pages.read(page.number, page.member.body, name), name, at))
        if entries:
            log.write_batch(entries, SegmentKind.ADOPTED, writer="dump")
    return TableVault.open(store, table, engines=engines), pages.missing()


def entries_of(vault: TableVault, images: Sequence[bytes], name: str, at: int) -> Iterator[Entry]:
    """Yields the entries of images that were read from a file of that name. Raises Damaged if one is not an item of the table."""
    for image in images:
        try:
            key = vault.key_of(image)
            broken = not all(map(wire.well_formed, wire.decode(image).values()))
        except Damaged as error:
            raise error.of(name) from error
        if broken:
            raise Damaged(f"{name}: {key.decode()} is not an item in DynamoDB JSON")
        yield Entry(
            stream=legacy_names.STREAM,
            sequence=legacy_names.sequence(at * MICROS, 0, key),
            micros=at * MICROS,
            event="INSERT",
            event_id="",
            actor=None,
            keys=key,
            image=wire.one_line(image),
        )


def catalog_of(described: dict[str, Any], table: str, at: int) -> Catalog:
    """Returns the catalog of a vault that is made from a file of second `at`. `described`: as DescribeTable says it."""
    time = moment.iso(at)
    return Catalog(
        format=catalogs.FIRST_FORMAT,
        table=table,
        table_arn=str(described.get("TableArn", "")),
        table_id=str(described.get("TableId", "")),
        key_schema=_keys(described),
        layout=Layout.LOG,
        naming=Naming.SHA256,
        tenant_attribute=None,
        compress=Codec.ZSTD,
        stream="",
        stream_arn="",
        initialised=time,
        complete_from=None,
        settings=catalogs.encode_settings(settings.TableSettings(settings.table_of(described))),
        adopted=Adopted(time, time, 0, f"{table}/"),
    )


def _keys(described: dict[str, Any]) -> KeySchema:
    try:
        return key_schema(msgspec.convert(described, DescribedTable))
    except (msgspec.ValidationError, Failed) as error:
        raise Damaged(f"the dump's {SCHEMA} does not tell the table's key schema: {error}") from error
