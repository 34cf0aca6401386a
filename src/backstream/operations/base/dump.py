"""`dump`: a copy of a table's items by a parallel scan, as lines of DynamoDB JSON, for those who want just that.

It needs no stream and no vault, and so it is of no single moment: an item that changes while the table is read is in it as it was
before or after. Stopped, it leaves parts without a manifest, which nothing takes for a dump.
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
from backstream.ports import Clock, Files, Table
from backstream.vault.dumps.dumps import Compression, DumpWriter, Manifest

NOT_A_MOMENT = "no state of any one moment: each item is as it was at some time between `began` and `ended`"


class Dumped(msgspec.Struct, frozen=True):
    """What a dump did. `url`: where it lies; `bytes`: of its parts, compressed; `began`, `ended`: of the read, ISO 8601, UTC.

    `read_units`: what the reading took, as DynamoDB says; `consistent`: whether each page was read strongly consistent.
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
    """How a table is read. `max_units`: read units a second at most, from all segments together."""

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
    """Copy all items of a table into files. TargetNotEmpty and Refused come before anything is written; raises what both raise."""
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
    manifest = Manifest(
        id=dump_id,
        table=facts.name,
        table_arn=facts.arn,
        table_id=facts.table_id,
        key_schema=facts.schema,
        began=moment.iso(first),
        ended=moment.iso(last + 1),
        consistent=reading.consistent,
        compression=compress,
        items=writer.items,
        bytes=writer.bytes,
        files=writer.files,
        description=msgspec.Raw(facts.description),
    )
    writer.complete(manifest)
    return Dumped(
        table=facts.name,
        id=dump_id,
        url=to.url,
        items=manifest.items,
        files=len(manifest.files),
        bytes=manifest.bytes,
        segments=reading.segments,
        consistent=manifest.consistent,
        began=manifest.began,
        ended=manifest.ended,
        read_units=paced.units,
        seconds=round(clock.now() - began, 3),
        warnings=[NOT_A_MOMENT],
    )
