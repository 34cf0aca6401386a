"""The items that a migration runs over: from the live table, a snapshot of it, or the vault at a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from backstream.engine.local.prefetch import ahead, batches
from backstream.errors import Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import table_name
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.operations.base.backfill.scan import TableScan
from backstream.operations.base.backfill.source import SegmentPosition
from backstream.operations.bulk.held_items import HeldItems
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.migrate.reading import side_by_side
from backstream.operations.restore import Failure, Into, RestoreContext, RestoreRequest, restore
from backstream.ports import Put, Table, Write
from backstream.vault.aws_export import Export
from backstream.vault.dumps.held import HeldTable, TableKeys
from backstream.vault.table_vault import TableVault

FETCHERS, FETCHED = 4, 100

Give = Callable[[bytes], None]
Reader = Callable[[Give], None]


class SourceRow(msgspec.Struct, frozen=True):
    """An item. `seen`: its image in the source; `live`: its image in the table, None if it is not there (any more)."""

    key: bytes
    seen: bytes
    live: bytes | None


class ItemSource(Protocol):
    """The source of items.

    `name`: its description; `failures`: unreadable objects, complete once everything was read; `warnings` likewise.
    """

    name: str
    failures: list[Failure]
    warnings: list[str]

    def rows(self) -> Generator[SourceRow]:
        """Yields every item once, in no order. Closed early, it stops reading."""


class LiveTable:
    """The live table, by a parallel, strongly consistent scan."""

    def __init__(self, scan: TableScan, table: Table) -> None:
        self._scan = scan
        self._table = table
        self.name = f"the live table {table.name}"
        self.failures: list[Failure] = []
        self.warnings: list[str] = []

    def rows(self) -> Generator[SourceRow]:
        """See `ItemSource`."""
        stop = threading.Event()

        def reader(segment: int) -> Callable[[Callable[[SourceRow], None]], None]:
            def read(give: Callable[[SourceRow], None]) -> None:
                for page in self._scan.pages(segment, self._scan.segments, SegmentPosition(), stop.is_set):
                    for each in page:
                        if each.image is not None:
                            give(SourceRow(each.keys, each.image, each.image))

            return read

        with side_by_side([reader(number) for number in range(self._scan.segments)], stop) as found:
            yield from found


class Earlier:
    """An earlier state: each item with the table's present image of it. `images` yields them all."""

    def __init__(self, name: str, table: Table, schema: KeySchema, images: Reader) -> None:
        self._table = table
        self._schema = schema
        self._images = images
        self.name = name
        self.failures: list[Failure] = []
        self.warnings: list[str] = []

    def rows(self) -> Generator[SourceRow]:
        """See `ItemSource`."""
        with (
            side_by_side([self._images], threading.Event()) as found,
            ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch") as pool,
        ):
            for batch, fetching in ahead(pool, self._with_live, batches(found, FETCHED), FETCHERS):
                del batch
                yield from fetching()

    def _with_live(self, images: Sequence[bytes]) -> list[SourceRow]:
        keyed = [(wire.key_of(self._schema, image), image) for image in images]
        live = {wire.key_of(self._schema, image): image for image in self._table.fetch([key for key, _ in keyed])}
        return [SourceRow(key, image, live.get(key)) for key, image in keyed]


def of_export(export: Export, url: str, table: Table, schema: KeySchema) -> Earlier:
    """Returns a snapshot as a source, this tool's or AWS's.

    Raises UsageError if it is an incremental export, Refused if it belongs to another table.
    """
    if export.summary.incremental:
        raise UsageError(f"an incremental export holds changes, not items: {url}", hint="Give a snapshot, or a full export.")
    if (name := table_name(export.summary.table_arn)) != table.name:
        raise Refused(f"{url} is a snapshot of {name}, not of {table.name}")

    def read(give: Give) -> None:
        for file in export.files:
            for image in export.images(file):
                give(image)

    return Earlier(f"the snapshot {url}", table, schema, read)


def of_held(held: HeldTable, table: Table, keys: TableKeys) -> Earlier:
    """Returns what files hold as a source, each key once. Raises Refused if the files tell that they are another table's."""
    facts = held.facts
    if facts.table not in ("", table.name):
        raise Refused(f"{facts.url} holds the table {facts.table}, not {table.name}")

    def read(give: Give) -> None:
        with HeldItems(held, keys) as items:
            for page in items.images():
                for _, image in page:
                    give(image)

    return Earlier(f"{facts.what}, {facts.url}", table, keys.schema, read)


def of_moment(vault: TableVault, at: int, table: Table, around: RestoreContext, *, allow_gap: bool) -> Earlier:
    """Returns the vault at a second as a source: the same checks, and the same fold, as a restore's."""

    def read(give: Give) -> None:
        into = Into("the migration", lambda: _Given(give))
        report = restore(vault, RestoreRequest(at=at, target=into, allow_gap=allow_gap), around)
        source.failures += report.failures
        source.warnings += report.warnings

    source = Earlier(f"{table.name} as it was at {moment.iso(at)}", table, vault.catalog.key_schema, read)
    return source


class _Given:
    """A restore's sink that passes each image on. See `operations.restore.targets.sinks.Sink`."""

    gave_up_reason = ""
    touched = False

    def __init__(self, give: Give) -> None:
        self._give = give

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - a moment's state is compared by whoever takes it
        """Passes it on."""
        if isinstance(write, Put):
            self._give(write.image)

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Returns nothing, since nothing was written."""
        return []

    def abandon(self) -> None:
        """Does nothing."""
