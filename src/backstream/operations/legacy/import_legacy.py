"""Imports an older tool's objects into the log: its bucket is read once, and nothing in it is changed.

Each version of an object becomes a change with the time and order of its arrival, and each delete marker a REMOVE. These changes
belong to a stream before every real one, so changes captured later are newer, whatever the clocks say. See
docs/notes/0017-older-tools-buckets.md.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.errors import NotFound, Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry, ImagePlace, to_line
from backstream.model.clocks import CLOCKS_APART
from backstream.model.tables import legacy_names
from backstream.model.tables.legacy_names import Style
from backstream.model.values.schema import KeySchema
from backstream.operations.base.rebuild import write_hours
from backstream.operations.setup.legacy_contents import LegacyContents
from backstream.ports import Clock, ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault.bases import Bases
from backstream.vault.catalog import Catalog
from backstream.vault.log.compacted import Compacted
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.legacy_rows import LegacyVersion, OlderBucket

PARTITIONS = 64
SAMPLE = 200  # objects that tell how the tool made its folders
IN_ONE_SLICE = 1_000_000  # changes of one hour that are in memory at once
NAMED = 20
FOREVER = 10**11  # a second later than any
_OWN = (SegmentKind.TAIL, SegmentKind.MARK, SegmentKind.LAMBDA, SegmentKind.PARALLEL)


class _Step(msgspec.Struct, frozen=True, array_like=True):
    """One version, spilled by its item's key.

    `position`: among the versions of its object; `image`: the corrected one, if it was corrected.
    """

    micros: int
    name: str
    position: int
    version: str
    gone: bool
    image: bytes | None


class _Counts:
    """The counts while everything is read."""

    def __init__(self) -> None:
        self.foreign = self.unreadable = self.mended = self.objects = self.unsure = self.deletes = self.items = self.versions = 0
        self.named: list[str] = []
        self.styles: dict[Style, int] = {}
        self.since: int | None = None
        self.until = 0

    def name(self, what: str) -> None:
        """Names the first few."""
        if len(self.named) < NAMED:
            self.named.append(what)

    def saw(self, styles: Sequence[Style]) -> None:
        """Notes the possible styles of an object's name."""
        for style in styles:
            self.styles[style] = self.styles.get(style, 0) + 1

    def took(self, entry: Entry) -> None:
        """Counts a change for the log."""
        self.versions += 1
        self.deletes += entry.removed
        self.since = entry.seconds if self.since is None else min(self.since, entry.seconds)
        self.until = max(self.until, entry.seconds)


def folder_of(table: str, folder: str | None) -> str:
    """Returns the objects' folder, below the vault's root: the table's name, unless another is given (`.`: the root)."""
    if folder is None:
        return f"{table}/"
    inner = folder.strip("/")
    return "" if inner in ("", ".") else f"{inner}/"


def take_in(
    store: ObjectStore, table: str, schema: KeySchema, clock: Clock, *, folder: str, tenant: str | None, writer: str
) -> tuple[LegacyContents, int]:
    """Writes the log of an older tool's bucket. Also returns the second up to which everything is in it.

    Raises Refused if there is nothing of an older tool's; UsageError if the attribute that makes the folders must be given.
    """
    if next(OlderBucket(store, schema, folder).names(FOREVER), None) is None:
        raise _nothing(store, table, folder, _Counts())
    clock.sleep(CLOCKS_APART + 1)  # so that the seconds in which anything arrived that we are to take are over
    taken = _taken(store, table)
    before = min(int(clock.now()) - CLOCKS_APART, max(_followed_from(store, table), taken + 1))
    in_log = taken if taken >= 0 and _is_in_log(store, table) else -1
    bucket = OlderBucket(store, schema, folder, tenant)
    if tenant is None:
        bucket.tenant = _tenant(bucket, before, table)
    counts = _Counts()
    with Pairs(PARTITIONS) as by_key, Pairs(PARTITIONS) as by_hour:
        _read(bucket, before, by_key, counts)
        if not counts.styles:
            raise _nothing(store, table, folder, counts)
        slices = max(1, counts.objects // IN_ONE_SLICE)
        for partition in range(PARTITIONS):
            for entry in _entries(by_key, partition, counts):
                if entry.seconds <= in_log:
                    continue
                part = int.from_bytes(hashlib.sha256(entry.keys).digest()[:4], "big") % slices
                by_hour.add(b"%d-%d" % (entry.seconds // 3600, part), to_line(entry))
        log = ChangeLog(store, table)
        for partition in range(PARTITIONS):
            write_hours(log, by_hour, partition, SegmentKind.ADOPTED, writer=writer)
    style = max(counts.styles, key=lambda each: counts.styles[each])
    return _found(counts, style, bucket.tenant), before - 1


def _found(counts: _Counts, style: Style, tenant: str | None) -> LegacyContents:
    return LegacyContents(
        since=counts.since or 0,
        until=counts.until,
        versions=counts.versions,
        items=counts.items,
        deletes=counts.deletes,
        mended=counts.mended,
        unsure=counts.unsure,
        foreign=counts.foreign,
        unreadable=counts.unreadable,
        named=counts.named,
        style=style,
        tenant=tenant,
    )


def _followed_from(store: ObjectStore, table: str) -> int:
    """Returns the second from which this tool itself knows the changes: from there its log is better than older objects."""
    log, known = ChangeLog(store, table), [FOREVER]
    own = (each.segment for each in log.listing() if each.segment is not None and each.segment.kind in _OWN)
    known += [segment.min_time for segment in itertools.islice(own, 1)]
    known += [base.begin for base in Bases(store, table).complete()]
    catalog = _known(store, table)
    known += [] if catalog is None or catalog.complete_from is None else [catalog.complete_from - CLOCKS_APART]
    return min(known)


def _known(store: ObjectStore, table: str) -> Catalog | None:
    try:
        return catalogs.load(store, table)
    except NotFound:
        return None


def _taken(store: ObjectStore, table: str) -> int:
    """Returns the second up to which everything was taken in before; -1 if nothing was."""
    catalog = _known(store, table)
    if catalog is None or catalog.adopted is None:
        return -1
    return moment.parse_iso_micros(catalog.adopted.until) // MICROS


def _is_in_log(store: ObjectStore, table: str) -> bool:
    """True if the log still holds what was taken in, as segments or compacted; a lost log is written anew."""
    log = ChangeLog(store, table)
    segments = any(each.segment is not None and each.segment.kind is SegmentKind.ADOPTED for each in log.listing())
    return segments or bool(Compacted(store, table).current().changes)


def _tenant(bucket: OlderBucket, before: int, table: str) -> str | None:
    """Returns the attribute by which the folders were made."""
    found = bucket.tenants(list(itertools.islice(bucket.names(before), SAMPLE)))
    if len(found) > 1:
        raise UsageError(
            f"the objects of {table} lie in folders, which may be of any of these attributes: {', '.join(found)}",
            hint="Say which with --tenant-attribute (the older tool's MultiTenancyColumn).",
        )
    return found[0] if found else None


def _nothing(store: ObjectStore, table: str, folder: str, counts: _Counts) -> Refused:
    where = f"{store.url}/{folder}"
    if not counts.objects:
        return Refused(
            f"nothing lies in {where}: there is nothing to adopt",
            hint=f"The vault's URL ends before the table's folder ({table}/); objects elsewhere below it: --adopt-folder.",
        )
    shown = f": {counts.named[0]}" if counts.named else ""
    return Refused(
        f"none of the {counts.objects} objects in {where} is named as an older tool names the rows of {table}{shown}",
        hint="Is this the table's key schema? Are its rows split by an attribute (--tenant-attribute)?",
    )


# --- reading ----------------------------------------------------------------------------------------------------------------------


def _read(bucket: OlderBucket, before: int, spill: Pairs, counts: _Counts) -> None:
    for versions in bucket.versions(before):
        counts.objects += bool(versions)
        counts.saw(next((each.body.styles for each in versions if each.body is not None and each.body.styles), ()))
        for position, version in enumerate(versions):
            step = _step(version, position, counts)
            if step is not None and version.key is not None:
                spill.add(version.key, msgspec.msgpack.encode(step))


def _step(version: LegacyVersion, position: int, counts: _Counts) -> _Step | None:
    """Returns a step; None for a version that is left alone.

    An unreadable version still counts for its item: nothing older may pass for it.
    """
    body, listed = version.body, version.listed
    if body is not None and body.foreign:
        counts.foreign += 1
        counts.name(f"{listed.name}: not named as an older tool would name this item")
        return None
    if body is not None and body.why:
        counts.unreadable += 1
        counts.name(f"{listed.name} (version {listed.version}): {body.why}")
    if version.key is None:
        return None  # of an object without a single item: a hash does not tell which item it was
    mended = body is not None and body.mended
    counts.mended += mended
    gone = body is None or body.gone
    return _Step(version.micros, listed.name, position, listed.version, gone, None if body is None else body.image)


def _entries(spill: Pairs, partition: int, counts: _Counts) -> Iterator[Entry]:
    """Yields the changes of each item in one partition."""
    items: dict[bytes, list[_Step]] = {}
    for key, value in spill.read(partition):
        items.setdefault(key, []).append(_steps.decode(value))
    for key, steps in items.items():
        steps.sort(key=lambda each: (each.micros, each.name, each.position))
        pairs = itertools.pairwise(steps)
        counts.unsure += sum(one.micros == other.micros and one.name != other.name for one, other in pairs)
        counts.items += 1
        for entry in _of_item(key, steps):
            counts.took(entry)
            yield entry


_steps = msgspec.msgpack.Decoder(_Step)


def _of_item(key: bytes, steps: Sequence[_Step]) -> Iterator[Entry]:
    """Yields one item's changes. A delete of a missing item adds nothing."""
    last: _Step | None = None  # the item, while it exists
    micros, position = -1, 0
    for step in steps:
        position = position + 1 if step.micros == micros else 0
        micros = step.micros
        if step.gone and last is None:
            continue
        event = "REMOVE" if step.gone else "INSERT" if last is None else "MODIFY"
        told = last if step.gone and last is not None else step
        yield Entry(
            stream=legacy_names.STREAM,
            sequence=legacy_names.sequence(micros, position, key),
            micros=micros,
            event=event,
            event_id="",
            actor=None,
            keys=key,
            image=None if step.gone else told.image,
            old=told.image if step.gone else None,
            place=ImagePlace(told.name, told.version) if told.image is None else None,
        )
        last = None if step.gone else step
