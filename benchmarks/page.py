"""The page that is written: docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.model import prices
from benchmarks.plan import BACKUP, CAPTURE, EXPORT, LISTING, REQUESTS, RESTORE, Contest
from benchmarks.results import Results
from benchmarks.table import promises, table

HEAD = """\
# Benchmarks

Written by `make bench`, in about {minutes:.0f} minutes: run it to have your own machine's figures. It installs what it compares
with, all but `wrk`, a load tool in C, which shows the limit where it is there.

Every figure is the median of {rounds} runs, each in a process of its own, the sides of a comparison in turns. CPU is the client's
user and system time, from when it is ready and warm; what a server takes is not in it. Memory is the process's peak, with Python
and all that is imported.
"""
OF_REQUESTS = """\
## Requests

Against a stub on loopback that answers at once, one request after another where nothing else is said: what is left is the client's
own cost. Backstream's rows are what its operations do, through the same ports (`S3Store`, `DynamoTable`), with their retries and
checksums; boto3's are plain clients in their default configuration. With us images go in and come out as bytes; boto3's client
gets dicts that are parsed already, and gives dicts. One more row shows what it takes to write images with a `Table`, as its manual
has it. Requests are signed on every side but wrk's; there is no TLS.

Client and stub take turns on one core (Linux only), so that it is the client's work that is measured. With a core each, every
answer wakes a sleeping core and crosses to it, which costs all sides more, and ours, one request after another, far more in
proportion. Those figures stand beside the others without a promise, since no operation sends many requests one after another.
Restore, verify and snapshot read row images by `get_each`, one thread with 32 requests in flight. It is held to its promise in
both settings, against boto3's cheapest way. The rows layout writes from 16 threads.
"""
OF_CAPTURE = """\
## Capturing

Batches of 1,000 records go through the function behind the Lambda handler, with 16 writers, against the same stub. Every item is
new to the vault, so the rows layout asks once for each object's content. Requests are counted by the stub; dollars are their list
price in {region} ({as_of}), without storage.
"""
OF_LISTING = """\
## Listing changes

`changes --ndjson` over a window in the log layout: every line with both images, in the order of time, and the names of the
attributes that differ. Against what the engine takes to read the same segments for a restore: into partitions on disk, then each
item's state with its image. Every change is of an item of its own, and of one kind: the same attribute changes. All from a folder.
"""
OF_EXPORT = """\
## Exporting changes

`export --changes` of the same window into Parquet files with typed columns: read, decoded, spooled, written. Against the same
reading of the engine. From a folder, into a folder.
"""
OF_TABLES = """\
## Whole tables

On ministack, which answers slowly: wall time is mostly the server's, and here and there a wait of the client's. Backstream keeps
the table in the log layout in S3, then restores it to a new table. That is the catalog with the table's settings, a base backup,
and the stream followed to its end. The script scans into a file of lines, and writes those with `batch_write_item`; dynamodump
does much the same, once it has started 25 threads a second apart. Clients are made within the measured time on every side: with a
table of this size that is a good part of it.
"""


def page(results: Results, facts: Mapping[str, str], rounds: int, seconds: float, many: Sequence[str] = ()) -> str:
    """All of it, but for what was not asked for. `many`: the lines about many tables."""
    parts = [
        [HEAD.format(minutes=max(1, seconds / 60), rounds=rounds)],
        [f"- {name}: {value}" for name, value in facts.items()],
        [
            "",
            "## What is promised",
            "",
            *promises([each for each in (*REQUESTS, CAPTURE, LISTING, EXPORT) if results.tried(each)], results),
        ],
        _section(OF_REQUESTS, REQUESTS, results),
        _section(OF_CAPTURE.format(region=prices.REGION, as_of=prices.AS_OF), [CAPTURE], results),
        _section(OF_LISTING, [LISTING], results),
        _section(OF_EXPORT, [EXPORT], results),
        _section(OF_TABLES, [BACKUP, RESTORE], results),
        ["", *many] if many else [],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _section(text: str, contests: Sequence[Contest], results: Results) -> list[str]:
    tried = [each for each in contests if results.tried(each)]
    return ["", text, *table(tried, results)] if tried else []
