"""`dump`: copies a table's items by a parallel scan, as lines of DynamoDB JSON, and nothing else.

It needs no stream and no vault, so it does not show a single moment. An item that changes while the table is read is in it as it
was before or after. A stopped dump leaves parts without a manifest, which nothing takes for a dump.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from backstream.errors import Failed, Refused
from backstream.model import moment
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate_limited_scan import PacedTable, Stopped, side_by_side
from backstream.operations.bulk.table_pair import ACTIVE
from backstream.ports import Clock, Files, Table, TableFacts
from backstream.vault.dumps.dumps import Compression, DumpManifest, DumpWriter

NOT_A_MOMENT = "no state of any one moment: each item is as it was at some time between `began` and `ended`"


class Dumped(msgspec.Struct, frozen=True):
    """The result of a dump. `url`: its place; `bytes`: the size of its parts, compressed; `began`, `ended`: the time of the read,
    ISO 8601, UTC.

    `read_units`: the consumed read units, as DynamoDB states them; `consistent`: True if each page was read strongly consistent.
    """

    table: str
    id: str
    url: str
    items: int
    files: int
    bytes: int
    segments: int
    consistent: bool
    began: str
    ended: str
    read_units: float
    seconds: float
    warnings: Sequence[str] = ()


class ScanOptions(msgspec.Struct, frozen=True):
    """The options for reading a table. `max_units`: read units a second at most, over all segments."""

    segments: int = 4
    max_units: float | None = None
    consistent: bool = True


def dump(
    table: Table,
    to: Files,
    reading: ScanOptions,
    clock: Clock,
    *,
    compress: Compression = Compression.GZIP,
    progress: Progress | None = None,
) -> Dumped:
    """Copies all items of a table into files.

    Raises TargetNotEmpty and Refused before anything is written, and the errors of both.
    """
    progress, began, facts = progress or Silent(), clock.now(), table.facts()
    if facts.status != ACTIVE:
        raise Refused(f"the table {facts.name} is {facts.status}", hint=f"Try again once it is {ACTIVE}.")
    paced = PacedTable(table, clock, max_units=reading.max_units, consistent=reading.consistent)
    writer = DumpWriter(to, dump_id := uuid.uuid4().hex, compress, reading.segments)
    first = table.server_time()
    writer.start()
    progress.phase(f"reading {facts.name}", facts.items or None)

    def read(number: int, stopped: Stopped) -> None:
        segment = writer.segment(number)
        for page in paced.pages(number, reading.segments, None, stopped):
            for image in page.images:
                segment.add(image)
            progress.advance(len(page.images))
        if not stopped():
            segment.flush()

    side_by_side(reading.segments, read)
    writer.finish()
    last = table.server_time()
    if table.facts().table_id != facts.table_id:
        raise Failed(f"the table {facts.name} was deleted and created again while it was read", hint="Dump it again, elsewhere.")
    told = _manifest(facts, writer, reading, id=dump_id, compression=compress, began=moment.iso(first), ended=moment.iso(last + 1))
    writer.complete(told)
    return Dumped(
        table=facts.name,
        id=dump_id,
        url=to.url,
        items=told.items,
        files=len(told.files),
        bytes=told.bytes,
        segments=reading.segments,
        consistent=told.consistent,
        began=told.began,
        ended=told.ended,
        read_units=paced.units,
        seconds=round(clock.now() - began, 3),
        warnings=[NOT_A_MOMENT],
    )


def _manifest(
    facts: TableFacts,
    writer: DumpWriter,
    reading: ScanOptions,
    *,
    id: str,  # noqa: A002 - the manifest's own word
    compression: Compression,
    began: str,
    ended: str,
) -> DumpManifest:
    return DumpManifest(
        id=id,
        table=facts.name,
        table_arn=facts.arn,
        table_id=facts.table_id,
        key_schema=facts.schema,
        began=began,
        ended=ended,
        consistent=reading.consistent,
        compression=compression,
        items=writer.items,
        bytes=writer.bytes,
        files=writer.files,
        description=msgspec.Raw(facts.description),
    )
