"""The change log of one table: immutable segments, the truth about order. Its listing is the manifest, and a tail's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain, takewhile

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry
from backstream.model.changes.plain_batch import PlainLine
from backstream.model.sealing import NONE
from backstream.model.values.wire import KeyReader
from backstream.ports import ListedObject, ObjectStore, ObjectVersion, StoredObject
from backstream.vault import below_markers
from backstream.vault.below_markers import First, Newest
from backstream.vault.catalog import folder
from backstream.vault.log import chains, segments, taken_names, writer_chains
from backstream.vault.log.chains import Run
from backstream.vault.log.filters.filter_metadata import BODY, FILTER, with_filter
from backstream.vault.log.heads import Head, head_by, head_of, heads_of
from backstream.vault.log.passed import passed_over
from backstream.vault.log.plain_lines import segments_of
from backstream.vault.log.positions import Positions, decode, encode
from backstream.vault.log.segments import Codec, Segment, SegmentHeader, SegmentKind
from backstream.vault.log.writer_chains import Link

HOUR = 3_600
DAY = 86_400
LATE = 300  # seconds by which a change is taken to reach a Kinesis stream after later ones, at most: AWS states no bound
MOST_DIGITS = 20  # of a counter
COMPARED = 20  # later versions of one segment that are read, to see whether they say the same
CHECKPOINT_DAYS = 2  # a stream keeps one day: what a tail must find again is in the last two


class LogListing(msgspec.Struct, frozen=True):
    """One object of a log's listing. `segment` is None for a foreign object. `modified`: when the store received it.

    `markers`: delete markers on top of it; `version`: the version below them, see `below_markers.Newest`. `first`: the version that
    counts. Both are empty if they were not looked for. `damage`: why it does not count, if it is a later version of a segment.
    """

    name: str
    size: int
    modified: float
    segment: Segment | None
    markers: tuple[ObjectVersion, ...] = ()
    version: str = ""
    first: str = ""
    damage: str = ""

    @property
    def strange(self) -> str:
        """The reason why it is not read, though it lies in the log; empty for a segment."""
        return self.damage or ("a foreign object in the change log" if self.segment is None else "")

    @property
    def seconds(self) -> tuple[int, int] | None:
        """The first and the last second of its changes; None for a foreign object."""
        return None if self.segment is None else (self.segment.min_time, self.segment.max_time)


class FetchedSegment(msgspec.Struct, frozen=True):
    """A segment's bytes, the header from its name, its run or its `link` in its writer's chain, and the version that was read."""

    claim: SegmentHeader
    body: bytes
    run: Run | None
    version: str
    link: Link | None = None


class ChangeLog:
    """Reads and writes the log of one table."""

    def __init__(self, store: ObjectStore, table: str, codec: Codec = Codec.ZSTD, key_of: KeyReader | None = None) -> None:
        """`key_of`: with it, large segments get a filter of their items: see `filters`."""
        self._store = store
        self._key_of = key_of
        self._prefix = folder(table) + "log/"
        self._codec = codec
        self._heads = heads_of(store, table)

    # --- writing ---

    def write_run(
        self, entries: Sequence[Entry], shard: str, *, after: str, writer: str, passed: Sequence[Change] = ()
    ) -> list[Segment]:
        """Makes an unbroken run of a shard durable, in order: one segment, or one per hour if the run crosses hours.

        `after`: the number before the run, or the word in its place (the oldest record, a gap). `passed`: what it drops at its end.
        """
        parts = [(segments.of_run(part, shard, self._codec), part) for part in segments.by_hour(entries)]
        for segment, part in [*parts, *passed_over(passed, shard, self._codec)]:
            self._put(segment, part, {"after": after, "writer": writer}, chain=f"{segment.stream} {shard}")
            after = segment.last
        return [segment for segment, _ in parts]

    def write_batch(self, entries: Sequence[Entry], kind: SegmentKind, *, writer: str) -> list[Segment]:
        """Makes changes durable that are not an unbroken run: one segment per hour."""
        written = []
        for part in _by_hour(entries):
            segment = segments.of_batch(part, kind, self._codec)
            self._put(segment, part, {"writer": writer})
            written.append(segment)
        return written

    def write_plain(self, lines: Sequence[PlainLine], stream: str, kind: SegmentKind, *, writer: str) -> None:
        """Does as `write_batch`, for changes of one stream that are lines already."""
        for segment, body, keys in segments_of(lines, stream, kind, self._codec):
            self._put_body(segment, body, {"writer": writer}, chain=_chain_of(segment, writer), keys=keys)

    def write_arrivals(
        self, entries: Sequence[Entry], shard: str, *, before: str | None, position: str, writer: str
    ) -> list[Segment]:
        """Makes changes from a Kinesis shard durable, after `before` and up to `position`: one segment per hour.

        Only the last segment to be written states that everything up to `position` is durable.
        """
        written = []
        hours = _by_hour(entries)
        for number, part in enumerate(hours, start=1):
            segment = segments.of_arrivals(part, shard, position if number == len(hours) else before, self._codec)
            self._put(segment, part, {"writer": writer})
            written.append(segment)
        return written

    def write_mark(self, stream: str, seconds: int, *, writer: str, now: float = 0.0, closing: bool = False) -> None:
        """Writes that every shard of the stream has been read up to this second. `closing`: True if the writer stops after this."""
        ending = {"closing": "yes"} if closing else {}
        self._put(
            segments.mark(stream, seconds, writer if closing else ""), [], self._said_of_heads(writer, max(now, seconds)) | ending
        )

    def write_watermark(self, stream: str, seconds: int, positions: Positions, *, writer: str, now: float = 0.0) -> None:
        """Writes the same for the witness, with its position in each shard, from which its next run continues."""
        body = encode(positions)
        self._put_body(
            segments.witnessed(stream, seconds, body), body, self._said_of_heads(writer, max(now, seconds)) | {"closing": "yes"}
        )

    def _said_of_heads(self, writer: str, now: float) -> dict[str, str]:
        """Returns a watermark's metadata besides its second: the latest heads of this process's chains."""
        heads = self._heads.named()
        return {"writer": writer, "counter": str(self._heads.count(now)), **({"heads": heads} if heads else {})}

    def _put(self, segment: Segment, entries: Sequence[Entry], metadata: Mapping[str, str], *, chain: str = "") -> None:
        chain = chain or (_chain_of(segment, metadata["writer"]) if entries else "")
        self._put_body(segment, segments.pack(entries, segment.codec), metadata, chain=chain, keys=[each.keys for each in entries])

    def _put_body(
        self, segment: Segment, body: bytes, metadata: Mapping[str, str], *, chain: str = "", keys: Sequence[bytes] = ()
    ) -> None:
        name = self._prefix + segment.path
        said = {"format": segments.FORMAT, **metadata, **(self._said_of_chain(segment, chain) if chain else {})}
        digest = sha256(body).hexdigest()
        said = with_filter(said, len(body), digest, map(self._key_of, keys)) if self._key_of and keys else said
        if chain:
            self._heads.forget(chain)  # until it is known what lies there: what is written after a failure names no predecessor
        try:
            self._store.put(name, body, said, if_absent=True)
        except AlreadyExists:
            # Another tail, or this one before a crash, may have written the same changes first.
            first = taken_names.check(self._store, name, segment, body, map(self._key_of, keys) if self._key_of else ())
            digest, said = sha256(first.body).hexdigest(), dict(first.info.metadata)
        if chain:
            self._heads.note(chain, head_by(name, digest, said), segment.path)

    def _said_of_chain(self, segment: Segment, chain: str) -> dict[str, str]:
        before = self._heads.before(chain)
        if before.path == segment.path:
            before = Head(NONE, "")  # it was lost, and is made again: none comes before itself
        upon = before.path and segment.kind is not SegmentKind.TAIL
        return {"previous": before.digest, **({"upon": before.path} if upon else {})}

    # --- reading ---

    def listing(self, *, since: int | None = None, until: int | None = None, hidden_since: int = 0) -> Iterator[LogListing]:
        """Yields the log's objects whose hour lies between two seconds, in order of their hours; all objects without bounds.

        From the hour of `hidden_since` on, it includes objects that a delete marker hides, compacted ones too.
        """
        after = "" if since is None else self._prefix + _hour(since)
        end = None if until is None else self._prefix + _hour(until + 3600)
        for listed in self._listed(after, self._prefix + _hour(hidden_since)):
            segment = segments.parse_path(listed.name.removeprefix(self._prefix))
            if end is not None and segment is not None and listed.name >= end:
                return
            if isinstance(listed, First):
                yield from self._versions(listed, segment)
            else:
                yield LogListing(listed.name, listed.size, listed.modified, segment)

    def _listed(self, after: str, seen_through: str) -> Iterator[ListedObject]:
        """Yields the objects that follow a name; after `seen_through`, hidden ones too."""
        if after < seen_through and seen_through > self._prefix + _hour(0):
            yield from takewhile(lambda each: each.name <= seen_through, self._store.list(self._prefix, after=after))
            after = seen_through
        yield from below_markers.firsts(self._store, self._prefix, after=after)

    def _versions(self, found: First, segment: Segment | None) -> Iterator[LogListing]:
        """Yields the version that counts, and later versions of the segment with other contents."""
        if segment is None and found.markers:
            return  # a foreign object that somebody has taken away
        newest = found.later[0].version if found.later else found.version
        yield LogListing(found.name, found.size, found.modified, segment, found.markers, newest, found.version)
        for each in self._planted(found, segment) if segment is not None and found.later else ():
            yield LogListing(
                below_markers.later_version(each), each.size, each.modified, None, version=each.version, damage=below_markers.LATER
            )

    def _planted(self, found: First, segment: Segment) -> Sequence[ObjectVersion]:
        """Returns the later versions with other changes. A second tail may have written them too, with its own rows."""
        later = found.later[:COMPARED]
        others = [each for each in later if not self._says_the_same(found, each, segment)]
        return [*others, *found.later[COMPARED:]]

    def _says_the_same(self, found: First, other: ObjectVersion, segment: Segment) -> bool:
        one, two = (self._store.get(found.name, each.version).body for each in (found, other))
        return taken_names.says_the_same(self._store, segment, one, two)

    def with_versions(self, listed: Sequence[LogListing]) -> list[LogListing]:
        """Returns the same segments, with all versions of those whose version the listing did not state: a request each."""
        found = list[LogListing]()
        for each in listed:
            rows = [] if each.first or each.segment is None else list(self._store.versions_of(each.name))
            found += self._versions(below_markers.first_of(rows), each.segment) if rows else [each]
        return found

    def current_names(self) -> Iterator[str]:
        """Yields the names of all objects that are not hidden."""
        return (each.name for each in self._store.list(self._prefix))

    def strays(self) -> Iterator[LogListing]:
        """Yields foreign objects beside the log's days, which a listing of some hours may not reach: two requests, as a rule."""
        days = self._prefix + "dt="
        before = takewhile(lambda each: each.name < days, self._store.list(self._prefix))
        for listed in chain(before, self._store.list(self._prefix, after=self._prefix + "dt>")):  # ">" follows "="
            yield LogListing(listed.name, listed.size, listed.modified, None)

    def read(self, listed: LogListing) -> list[Entry]:
        """Returns a segment's entries. Raises Damaged, naming the object, if contents differ from its name, or it is foreign."""
        return self.entries(listed, self.fetch(listed))

    def entries(self, listed: LogListing, fetched: FetchedSegment, wanted: Callable[[Entry], bool] = lambda _: True) -> list[Entry]:
        """Returns the wanted entries of a segment that was fetched already."""
        try:
            return segments.select(fetched.claim, fetched.body, wanted)
        except Damaged as error:
            raise error.of(listed.name) from error

    def fetch(self, listed: LogListing) -> FetchedSegment:
        """Returns a segment's bytes, not yet checked. Raises Damaged, naming the object, if it is a foreign object."""
        if listed.segment is None:
            raise Damaged(f"{listed.name}: {listed.strange}")
        stored = self._pinned(listed)
        said, version = stored.info.metadata, listed.version or stored.info.version
        if listed.segment.witnessed:
            return FetchedSegment(segments.claim_of(listed.segment), segments.pack([], listed.segment.codec), None, version)
        digest = sha256(stored.body).hexdigest()
        if listed.segment.count and said.get(BODY, digest) != digest:  # without lines, `erase` of an older version has copied it
            raise Damaged(f"{listed.name}: its bytes are not those that its metadata name (another SHA-256)")
        run, link = linked(listed.name, listed.segment, said, digest)
        return FetchedSegment(segments.claim_of(listed.segment, said.get(FILTER, "")), stored.body, run, version, link)

    def heads_of(self, name: str) -> list[str] | None:
        """Returns the heads of all readable versions of a segment; None if there is none."""
        found = [each for each in self._store.versions_of(name) if not each.marker]
        return [head for each in found[-COMPARED:] if (head := self._head(each)) is not None] if found else None

    def _head(self, version: ObjectVersion) -> str | None:
        with suppress(Damaged, MissingObject):
            stored = self._store.get(version.name, version.version)
            return head_of(version.name, stored.body, stored.info.metadata)
        return None

    def segment_of(self, name: str) -> Segment | None:
        """Returns the segment that an object's name states; None if it is not a segment of this log."""
        return segments.parse_path(name.removeprefix(self._prefix)) if name.startswith(self._prefix) else None

    def version(self, name: str) -> str:
        """Returns the version of a log object that is current, or hidden. Raises MissingObject if there is none."""
        return below_markers.head(self._store, name).version

    def metadata(self, listed: LogListing) -> Mapping[str, str]:
        """Returns what the writer stated of a segment besides its name: `after`, `writer`, `closing`."""
        info = below_markers.head(self._store, listed.name)
        if listed.first and info.version != listed.first:
            info = self._store.head(listed.name, listed.first)
        return info.metadata

    def _pinned(self, listed: LogListing) -> StoredObject:
        """The version that counts."""
        if not listed.first:
            return below_markers.get(self._store, listed.name)
        return below_markers.pinned(self._store, Newest(listed.name, listed.size, listed.modified, listed.first, listed.markers))

    def counter(self, listed: LogListing) -> int | None:
        """Returns the counter of a watermark; None if an older version wrote it."""
        said = self.metadata(listed).get("counter", "")
        return int(said) if said.isdecimal() and len(said) <= MOST_DIGITS else None

    def vouch(self, listed: LogListing) -> None:
        """Returns if a segment may be trusted by its name alone. Raises NotSigned if it lacks a required signature."""
        below_markers.vouch(self._store, listed.name, listed.first or None)

    def positions(self, stream: str, now: float, retention: int) -> Positions:
        """Returns the positions of the last witness of this stream; empty if none has run for as long as the stream keeps records.

        Raises Damaged, naming the object, if its watermark cannot be read.
        """
        for back in (HOUR, CHECKPOINT_DAYS * DAY, retention + DAY):
            found = [each for each in self.listing(since=max(0, int(now) - back)) if _is_witnessed(each, stream)]
            if found:
                newest = max(found, key=_reach)
                try:
                    return decode(self._pinned(newest).body)
                except Damaged as error:
                    raise error.of(newest.name) from error
        return {}

    def recent(self, now: float, *, since: float = float("inf")) -> list[LogListing]:
        """Returns the listing of the last two days, or from a day before `since` on, and everything later (from a faster clock).

        A Kinesis stream may keep records for longer than a day, so a tail may continue from an old position.
        """
        oldest = min(int(now) - CHECKPOINT_DAYS * DAY, since - DAY)
        return [each for each in self.listing(since=max(0, int(oldest))) if each.segment is not None]

    def newest_first_days(self, now: float, oldest: int) -> Iterator[list[LogListing]]:
        """Yields the listing in pieces, newest first, each piece reaching further back, until `oldest` (seconds) is covered."""
        end: int | None = None
        days = CHECKPOINT_DAYS
        while True:
            since = max(oldest, int(now) - days * DAY)
            piece = self.listing(since=since, until=None if end is None else end - 3600)
            yield [each for each in piece if each.segment is not None]
            if since <= oldest:
                return
            end, days = since - since % 3600, days * 8


def _chain_of(segment: Segment, writer: str) -> str:
    return "" if segment.kind in segments.MADE_AGAIN else f"writer {writer}"


def linked(name: str, segment: Segment, said: Mapping[str, str], digest: str) -> tuple[Run | None, Link | None]:
    """Returns the run or the link of a segment, by its metadata. `digest`: the SHA-256 of its bytes, in hex."""
    head = head_by(name, digest, said) if "previous" in said else ""
    return chains.stated_run(segment, said, head), writer_chains.stated_link(segment, name, said, head)


def _is_witnessed(listed: LogListing, stream: str) -> bool:
    return listed.segment is not None and listed.segment.witnessed and listed.segment.stream == stream


def _reach(listed: LogListing) -> tuple[int, float]:
    return (0 if listed.segment is None else listed.segment.max_time), listed.modified


def _by_hour(entries: Sequence[Entry]) -> list[list[Entry]]:
    hours: dict[int, list[Entry]] = {}
    for entry in entries:
        hours.setdefault(entry.seconds // 3600, []).append(entry)
    return list(hours.values())


def _hour(seconds: int) -> str:
    day, hour = moment.day_and_hour(max(seconds, 0))
    return f"dt={day}/hour={hour}/"


def reached(listing: Sequence[LogListing], stream: str) -> dict[str, Segment]:
    """Returns a tail's positions: for each shard of the stream the tail's segment with the greatest sequence number."""
    found: dict[str, Segment] = {}
    for each in listing:
        segment = each.segment
        if segment is None or segment.kind is not SegmentKind.TAIL or segment.stream != stream:
            continue
        if segment.shard not in found or int(segment.last) > int(found[segment.shard].last):
            found[segment.shard] = segment
    return found


def arrived(listing: Sequence[LogListing], stream: str) -> dict[str, Segment]:
    """Returns the positions of a tail of a Kinesis stream: for each shard the segment with the greatest position."""
    found: dict[str, Segment] = {}
    for each in listing:
        segment = each.segment
        if segment is None or segment.kinesis_shard is None or segment.stream != stream or segment.position is None:
            continue
        known = found.get(segment.kinesis_shard)
        if known is None or int(segment.position) > int(known.position or 0):
            found[segment.kinesis_shard] = segment
    return found
