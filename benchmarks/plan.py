"""What is compared with what, how much of it is done at a time, and what this project promises of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks import canned

OURS, PLAIN, DYNAMODUMP, LIMIT = "Backstream", "boto3", "dynamodump", "wrk, 32 connections: the limit"


@dataclass(frozen=True)
class Side:
    """One way to do the work: what `work.py` is told to run, `count` times after `warm` to begin with, each time so many items."""

    label: str
    work: str
    count: int
    each: int = 1
    warm: int = 1


@dataclass(frozen=True)
class Contest:
    """The same work done in several ways.

    `target`: how many times less processor time the first side is to take than the one labelled `against`; 0: nothing is promised.
    `wrk`: the kind of request, where the load tool does it too, and `each` how many items are in one. `apart`: see `cores`.
    """

    title: str
    item: str
    sides: tuple[Side, ...]
    target: float
    against: str = PLAIN
    wrk: str = ""
    each: int = 1
    apart: bool = False


def _requests(title: str, work: str, counts: tuple[int, int, int], target: float) -> Contest:
    """PUT or GET of small objects: of ours, of our transport alone, of boto3."""
    ours, alone, theirs = counts
    return Contest(
        title,
        "object",
        (
            Side(OURS, f"ours.{work}", ours, warm=100),
            Side(PLAIN, f"plain.{work}", theirs, warm=20),
            Side(f"{OURS}'s transport, 32 in flight", f"ours.exchange_{work}s", alone, warm=100),
        ),
        target,
        wrk=work,
    )


def _apart(contest: Contest, target: float) -> Contest:
    """The same with client and server on a core each."""
    return replace(contest, title=f"{contest.title}, client and server on a core each", wrk="", apart=True, target=target)


PUTS = _requests("PutObject, 500 bytes", "put", (4_000, 6_000, 400), 15)
GETS = _requests("GetObject, 500 bytes", "get", (4_000, 6_000, 400), 15)
THREADED = Contest(
    "PutObject, 500 bytes, from 16 threads",
    "object",
    (Side(OURS, "ours.put_from_threads", 3_200, warm=160), Side(PLAIN, "plain.put_from_threads", 320, warm=32)),
    target=0,
)
MANY_GETS = Contest(
    "GetObject, 500 bytes, through the port, many at a time (get_each)",
    "object",
    (
        Side(OURS, "ours.get_each", 6_000, warm=100),
        Side(f"{PLAIN}, one after another", "plain.get", 400, warm=20),
        Side(f"{PLAIN}, from 16 threads", "plain.get_from_threads", 320, warm=32),
    ),
    target=15,
    against=f"{PLAIN}, one after another",
)
BATCHES = Contest(
    f"BatchWriteItem, {canned.BATCH} images of 500 bytes",
    "item",
    (
        Side(OURS, "ours.write", 3_000, canned.BATCH, warm=50),
        Side(PLAIN, "plain.write", 80, canned.BATCH, warm=4),
        Side(f"{OURS}'s transport, 32 in flight", "ours.exchange_writes", 4_000, canned.BATCH, warm=100),
        Side(f"{PLAIN}, Table.batch_writer from images", "plain.write_by_resource", 60, canned.BATCH, warm=4),
    ),
    target=30,
    wrk="BatchWriteItem",
    each=canned.BATCH,
)
SCANS = Contest(
    "Scan, pages of 2,000 items (1 MB)",
    "item",
    (Side(OURS, "ours.scan", 100, canned.PAGE_ITEMS, warm=4), Side(PLAIN, "plain.scan", 4, canned.PAGE_ITEMS, warm=1)),
    target=50,
    wrk="Scan",
    each=canned.PAGE_ITEMS,
)
LISTINGS = Contest(
    "ListObjectVersions, pages of 1,000",
    "version",
    (
        Side(OURS, "ours.versions", 30 * canned.PAGE_VERSIONS, warm=canned.PAGE_VERSIONS),
        Side(PLAIN, "plain.versions", 4 * canned.PAGE_VERSIONS, warm=canned.PAGE_VERSIONS),
    ),
    target=8,
    wrk="versions",
    each=canned.PAGE_VERSIONS,
)
REQUESTS = (
    PUTS,
    _apart(PUTS, 0),  # no operation sends one after another
    THREADED,
    _apart(THREADED, 0),
    GETS,
    _apart(GETS, 0),
    MANY_GETS,
    _apart(MANY_GETS, MANY_GETS.target),
    LISTINGS,
    BATCHES,
    SCANS,
)

LOG, ROWS = f"{OURS}, log layout", f"{OURS}, rows layout"
CAPTURE = Contest(
    "Capturing a stream's batches of 1,000 records",
    "change",
    (
        Side(LOG, "capture.log", 10, canned.BATCH_RECORDS),
        Side(ROWS, "capture.rows", 3, canned.BATCH_RECORDS),
        Side(f"{ROWS}, new items", "capture.new_rows", 3, canned.BATCH_RECORDS),
        Side(f"{LOG}, a tail's shard", "capture.tail", 10, canned.BATCH_RECORDS),
        Side("msgspec and zstd of both images: the limit", "capture.limit", 20, canned.BATCH_RECORDS),
        Side("boto3, put_object of each image", "plain.capture", 1, canned.BATCH_RECORDS, warm=0),
    ),
    target=5,
    against=ROWS,
)
LISTED = 1_000_000
ENGINE = "the engine's reading of the same segments, to every item's state"
PARTITIONED = "of that, into partitions on disk"
LISTING = Contest(
    f"Listing {LISTED:,} changes of the log layout",
    "change",
    (
        Side(f"{OURS}, changes --ndjson", "changes.listed", 1, LISTED, warm=0),
        Side(ENGINE, "changes.engine", 1, LISTED, warm=0),
        Side(PARTITIONED, "changes.partitioned", 1, LISTED, warm=0),
    ),
    target=1 / 1.3,  # no more than 1.3 times as much
    against=ENGINE,
)
EXPORT = Contest(
    f"Exporting {LISTED:,} changes of the log layout",
    "change",
    (
        Side(f"{OURS}, export --changes, Parquet with typed columns", "export.parquet", 1, LISTED, warm=0),
        Side(ENGINE, "changes.engine", 1, LISTED, warm=0),
    ),
    target=1 / 2.5,  # no more than 2.5 times as much
    against=ENGINE,
)
CAPTURE_REQUESTS_TARGET = 50  # times fewer, log layout against rows

TABLE_ITEMS = 5_000
_TABLE = f"a table of {TABLE_ITEMS:,} items"


def _whole_table(what: str) -> Contest:
    """Its sides are run by `whole.py`, which knows how they follow upon each other."""
    sides = tuple(Side(label, "", 1, TABLE_ITEMS) for label in (OURS, f"{PLAIN}, a script", DYNAMODUMP))
    return Contest(f"{what} {_TABLE}", "item", sides, target=0, against=DYNAMODUMP)


BACKUP, RESTORE = _whole_table("Backing up"), _whole_table("Restoring")
