"""The segments of the change log: their names, which are the log's manifest and its checkpoint, and their bytes.

    log/dt=2026-11-23/hour=04/STREAM_SHARD_FIRST-LAST_COUNT_MINTIME-MAXTIME.ndjson.zst

A name describes its segment's contents, so a reader or a returning tail needs only a LIST. The SHARD field identifies the writer:
it is a shard's own id for a tail's unbroken run, and a fixed word for every other kind (see `SegmentKind`).
"""

from __future__ import annotations

import enum
import gzip
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec
import zstandard

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.entry import SCANNED, Entry, from_line, to_line
from backstream.model.values import object_limits
from backstream.vault import decompression
from backstream.vault.decompression import UNREADABLE
from backstream.vault.log.naming.name_fields import compact_label, escape, label_in, shard_in

FORMAT = "2"  # in the metadata of objects with lines: since 2 they carry digests; objects of 1 do not, and stay readable
ZSTD_LEVEL = 3
GZIP_LEVEL = 6
NO_STREAM = "-"  # in the name of a segment of scanned images
FRAME_BYTES = 64 << 10  # of lines in a frame of a compacted object, before compression; the last line may reach beyond


class Codec(enum.StrEnum):
    """The compression of a segment."""

    ZSTD = "zstd"
    GZIP = "gzip"

    @property
    def suffix(self) -> str:
        """The last part of a segment's name: `zst` or `gz`."""
        return "zst" if self is Codec.ZSTD else "gz"

    def compress(self, data: bytes | bytearray) -> bytes:
        """Returns the compressed data. The same data give the same bytes: they contain no time."""
        if self is Codec.GZIP:
            return gzip.compress(data, GZIP_LEVEL, mtime=0)
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(data)


class SegmentKind(enum.StrEnum):
    """The writer of a segment, which decides what its name proves."""

    TAIL = "tail"  # an unbroken run of its shard from FIRST to LAST: the checkpoint
    MARK = "mark"  # no changes: a watermark; a tail or the witness had read every shard up to MAXTIME
    LAMBDA = "lambda"  # one batch of an event source mapping that delivers each shard in order
    PARALLEL = "lambda-parallel"  # one batch of a mapping with several invocations per shard: order between batches is unknown
    REBUILT = "rebuilt"  # made again from the row objects
    REPAIR = "repair"  # what `verify --repair` found in the table
    KINESIS = "kinesis"  # of a tail of a Kinesis stream: all up to a position in a shard, by arrival
    ADOPTED = "adopted"  # what an older tool had written, in the order of its arrival
    EXPORT = "export"  # the net changes of an incremental export
    WITNESS = "witness"  # records of the stream that the witness found missing in the log


MADE_AGAIN = frozenset((SegmentKind.REBUILT, SegmentKind.ADOPTED))
"""Made from other objects of the bucket, and made again if they are lost. So they name no predecessor: made in another order it
would be another one, and those that are still there would name one that never comes back."""


class Segment(msgspec.Struct, frozen=True):
    """The statements in a segment's name. Times are seconds, both ends included; sequence numbers are digits as received."""

    stream: str
    shard: str
    first: str
    last: str
    count: int
    min_time: int
    max_time: int
    codec: Codec = Codec.ZSTD

    @property
    def kind(self) -> SegmentKind:
        """The kind of its writer, by its SHARD field."""
        word = self.shard.partition(".")[0]
        return SegmentKind(word) if word in _OTHER_KINDS else SegmentKind.TAIL

    @property
    def position(self) -> str | None:
        """For a tail of a Kinesis stream: the record of its shard up to which everything is durable; None if none is stated."""
        found = _ARRIVALS.fullmatch(self.shard)
        return (found["position"] or None) if found else None

    @property
    def kinesis_shard(self) -> str | None:
        """For a tail of a Kinesis stream: the shard that was read."""
        found = _ARRIVALS.fullmatch(self.shard)
        return found["shard"] if found else None

    @property
    def witnessed(self) -> bool:
        """True if it is a watermark of the witness. Its body holds the witness's position in each shard."""
        return self.shard.startswith(_WITNESSED)

    @property
    def path(self) -> str:
        """Its name below the log's folder, in the partition of its hour."""
        day, hour = moment.day_and_hour(self.min_time)
        times = f"{moment.compact(self.min_time)}-{moment.compact(self.max_time)}"
        run = f"{compact_label(self.stream)}_{escape(self.shard)}_{self.first}-{self.last}_{self.count}_{times}"
        return f"dt={day}/hour={hour}/{run}.ndjson.{self.codec.suffix}"


_OTHER_KINDS = frozenset(kind.value for kind in SegmentKind if kind is not SegmentKind.TAIL)
_WITNESSED = f"{SegmentKind.MARK}.witness-"
_ARRIVALS = re.compile(r"kinesis\.(?P<shard>[^.]+)\.(?P<position>\d*)\.[0-9a-f]+")
_NAME = re.compile(
    r"dt=(\d{4})-(\d\d)-(\d\d)/hour=(\d\d)/([^_/]+)_([^_/]+)_(\d{1,40})-(\d{1,40})"
    r"_(0|[1-9]\d*)_((\d{4})(\d\d)(\d\d)T(\d\d)\d{4}Z)-(\d{8}T\d{6}Z)\.ndjson\.(zst|gz)",
    re.ASCII,
)


def parse_path(path: str) -> Segment | None:
    """The inverse of `Segment.path`. Returns None for any other name: that is a foreign object.

    Every listing of a log reads each of its names, so each field is checked as text, and none is formatted again.
    """
    match = _NAME.fullmatch(path)
    if match is None:
        return None
    *partition, stream, shard, first, last, count, start, year, month, day, hour, end, codec = match.groups()
    if partition != [year, month, day, hour]:
        return None
    try:
        return Segment(
            stream=label_in(stream),
            shard=shard_in(shard),
            first=first,
            last=last,
            count=int(count),
            min_time=moment.parse_compact(start),
            max_time=moment.parse_compact(end),
            codec=Codec.ZSTD if codec == "zst" else Codec.GZIP,
        )
    except ValueError:  # a thirteenth month, a sign escaped that needs it not: the shape of a segment's name, but not one
        return None


def of_run(entries: Sequence[Entry], shard: str, codec: Codec = Codec.ZSTD) -> Segment:
    """Returns the segment of a shard's unbroken run. `entries` are in the shard's order, from one stream, all in one hour."""
    return _segment(entries, entries, shard, codec)


def of_batch(entries: Sequence[Entry], kind: SegmentKind, codec: Codec = Codec.ZSTD) -> Segment:
    """Returns the segment of changes that are not a run. Its SHARD carries their digest, so other changes get another name."""
    ordered = sorted(entries, key=lambda entry: entry.order)
    return _segment(entries, ordered, f"{kind.value}.{_digest(ordered)}", codec)


def of_arrivals(entries: Sequence[Entry], shard: str, position: str | None, codec: Codec = Codec.ZSTD) -> Segment:
    """Returns the segment of changes from a Kinesis shard. Its SHARD has the shard, the position and the digest of the changes."""
    ordered = sorted(entries, key=lambda entry: entry.order)
    return _segment(entries, ordered, f"{SegmentKind.KINESIS.value}.{shard}.{position or ''}.{_digest(ordered)}", codec)


def _digest(ordered: Sequence[Entry]) -> str:
    return digest_of(map(_mark_of, ordered))


def digest_of(marks: Iterable[bytes]) -> str:
    """Returns the part of a name that tells which changes a segment holds: from `marks`, a sequence number each, in order."""
    return hashlib.sha256(b" ".join(marks)).hexdigest()[:12]


def _mark_of(entry: Entry) -> bytes:
    """Returns the identity of an entry: its sequence number, or, for a scanned state, its item, when it was read, and its reader.

    Two exports with overlapping windows hold the same state of an item, and each counts by itself: see `Window.superseded`.
    """
    if not entry.scanned:
        return entry.sequence.encode()
    said = "" if entry.event == SCANNED and not entry.event_id else f"-{entry.event}-{entry.event_id}"
    return b"%d-%d-%s%s" % (entry.since, entry.micros, entry.keys, said.encode())


def _segment(entries: Sequence[Entry], ordered: Sequence[Entry], shard: str, codec: Codec) -> Segment:
    times = [entry.seconds for entry in entries]
    return Segment(
        stream=ordered[0].stream or NO_STREAM,
        shard=shard,
        first=ordered[0].sequence,
        last=ordered[-1].sequence,
        count=len(entries),
        min_time=min(times),
        max_time=max(times),
        codec=codec,
    )


def mark(stream: str, seconds: int, ending: str = "") -> Segment:
    """Returns the name that states: every shard of this stream has been read up to this second.

    `ending`: the writer that stops with it.
    """
    shard = f"{SegmentKind.MARK}.end-{hashlib.sha256(ending.encode()).hexdigest()[:8]}" if ending else str(SegmentKind.MARK)
    return Segment(stream=stream, shard=shard, first="0", last="0", count=0, min_time=seconds, max_time=seconds)


def witnessed(stream: str, seconds: int, body: bytes) -> Segment:
    """Returns the name of a watermark of the witness. Another body gives another name."""
    shard = f"{_WITNESSED}{hashlib.sha256(body).hexdigest()[:12]}"
    return msgspec.structs.replace(mark(stream, seconds), shard=shard)


def by_hour(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Returns the entries in their order, split at each change of hour: no segment spans two hours."""
    runs: list[list[Entry]] = []
    for entry in entries:
        if not runs or entry.seconds // 3600 != runs[-1][-1].seconds // 3600:
            runs.append([])
        runs[-1].append(entry)
    return runs


# --- bytes ------------------------------------------------------------------------------------------------------------------


def pack(entries: Iterable[Entry], codec: Codec) -> bytes:
    """Returns the bytes of a segment."""
    return codec.compress(b"".join(to_line(entry) + b"\n" for entry in entries))


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True):
    """The statements about an object's lines, from its name or index.

    `ends`: the stream and the sequence number of the first change by their order, and the sequence number of the last; `seconds`:
    the first and the last second. Both are None if the name does not state them. `frames`: the sizes of its zstd frames, if there
    are many (see `frames`). `filter`: of its items, from its metadata (see `filters`); empty without one.
    """

    codec: Codec
    count: int
    ends: tuple[str, str, str] | None = None
    seconds: tuple[int, int] | None = None
    frames: tuple[int, ...] | None = None
    filter: str = ""


def claim_of(segment: Segment, filter_text: str = "") -> SegmentHeader:
    """Returns the header that a segment's name states."""
    if not segment.count:
        return SegmentHeader(segment.codec, 0)
    stream = "" if segment.stream == NO_STREAM else segment.stream
    ends = stream, segment.first, segment.last
    return SegmentHeader(segment.codec, segment.count, ends, (segment.min_time, segment.max_time), filter=filter_text)


_stream, _sequence, _micros = attrgetter("stream"), attrgetter("sequence"), attrgetter("micros")


class LineTally:
    """Counts lines block by block, to compare them with their object's header."""

    def __init__(self) -> None:
        self._count = 0
        self._orders: list[tuple[str, int]] = []
        self._seconds: list[int] = []

    def add(self, entries: Sequence[Entry], most: int | None = None) -> None:
        """Counts these too. Raises Damaged if the total exceeds `most`: nobody has to read on."""
        if not entries:
            return
        streams, numbers = map(_stream, entries), map(int, map(_sequence, entries))
        orders = list(zip(streams, numbers, strict=True))
        self._count += len(entries)
        if most is not None and self._count > most:
            raise Damaged(f"it holds more than the {most} changes that its name says")
        self._orders = [each(self._orders + orders) for each in (min, max)]
        ends = [each(entries, key=_micros).seconds for each in (min, max)]
        self._seconds = [each(self._seconds + ends) for each in (min, max)]

    def check(self, claim: SegmentHeader) -> None:
        """Raises Damaged if the header says something else."""
        if self._count != claim.count:
            raise Damaged(f"it holds {self._count} changes, its name says {claim.count}")
        if claim.ends is not None and self._ends() != (claim.ends[0], *map(int, claim.ends[1:])):
            raise Damaged("its first and last sequence numbers differ from its name")
        if claim.seconds is not None and self._seconds != list(claim.seconds):
            raise Damaged("its changes are not of the time that its name says")

    def _ends(self) -> tuple[str, int, int]:
        first, last = self._orders
        return (*first, last[1])


def read(claim: SegmentHeader, body: bytes) -> list[Entry]:
    """Returns the entries of compressed lines. Raises Damaged if they are cut, altered, or differ from the header."""
    return select(claim, body, lambda _: True)


def select(
    claim: SegmentHeader, body: bytes, wanted: Callable[[Entry], bool], taken: Callable[[Entry], Entry] | None = None
) -> list[Entry]:
    """Returns the wanted entries of compressed lines, with one block in memory at a time. Raises Damaged like `read`.

    `taken`: what is returned in place of each wanted entry, so that a large part of it need not stay in memory.
    """
    tally, found = LineTally(), list[Entry]()
    for block in blocks(claim, body):
        entries = [from_line(line) for line in block.splitlines()]
        tally.add(entries, claim.count)
        chosen = filter(wanted, entries)
        found += chosen if taken is None else map(taken, chosen)
    tally.check(claim)
    return found


def blocks(claim: SegmentHeader, body: bytes) -> Iterator[bytes]:
    """Yields whole lines, some MB at a time, so that an object of any size takes little memory.

    Raises Damaged if they are cut, altered, or beyond a limit, which may show only at the end.
    """
    try:
        yield from decompression.whole_lines(_pieces(claim, body))
    except UNREADABLE as error:
        raise Damaged(f"not {claim.codec} data ({error})") from error


def check_frames(claim: SegmentHeader, body: bytes) -> None:
    """Raises Damaged if frames are cut or altered, by their checksums, or hold another number of lines than stated.

    No line is read.
    """
    lines = 0
    try:
        for piece in _pieces(claim, body):
            in_piece = piece.count(b"\n")
            lines += in_piece
            if not in_piece or lines > claim.count:
                break
    except UNREADABLE as error:
        raise Damaged(f"not {claim.codec} data ({error})") from error
    if lines != claim.count:
        raise Damaged(f"it does not hold the {claim.count} lines that its index says")


def _pieces(claim: SegmentHeader, body: bytes) -> Iterator[bytes]:
    if claim.count > object_limits.lines_in(len(body)):
        raise Damaged(f"it is too small to hold the {claim.count} changes that its name says")
    if claim.codec is Codec.GZIP:
        pieces = decompression.gunzipped(body)
    elif claim.frames is None:
        pieces = decompression.zstd(body)
    else:
        pieces = decompression.frames(body, claim.frames, FRAME_BYTES + object_limits.LINE)
    return decompression.bounded(pieces, object_limits.expanded(len(body)))
