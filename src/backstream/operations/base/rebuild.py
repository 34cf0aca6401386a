"""`rebuild`: makes the change log again from the row objects alone, after the log was lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.engine.local.spill import Pairs
from backstream.errors import BackstreamError, Damaged
from backstream.model.changes.entry import Entry, from_line, to_line
from backstream.model.values import digests
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.row_versions import entry_of, keys_in, parse_metadata

PARTITIONS = 64
READERS = 16
SEGMENT_CHANGES = 5_000
PAGE = 1_000


class Rebuilt(msgspec.Struct, frozen=True):
    """The result of a rebuild.

    `changes`: the number in the rebuilt log; `foreign`: versions of other tools; `damaged`: unreadable versions.
    """

    changes: int
    foreign: int
    damaged: list[str]


def rebuild(store: ObjectStore, table: str, *, writer: str) -> Rebuilt:
    """Writes a log with every change found among the table's row versions. It needs no catalog; a second run changes nothing.

    Its segments are nobody's checkpoint and claim no window, because the row objects do not show which changes they lack.
    """
    log = ChangeLog(store, table)
    foreign, damaged, changes = 0, list[str](), 0
    with Pairs(PARTITIONS) as spill, ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
        rows = (version for version in store.versions(f"{table}/") if not version.marker)
        for page in batches(rows, PAGE):
            for found in pool.map(lambda version: _read(store, version), page):
                if isinstance(found, Entry):
                    spill.add(str(found.seconds // 3600).encode(), to_line(found))  # one hour, one partition
                elif found is None:
                    foreign += 1
                else:
                    damaged.append(found.message)
        for partition in range(PARTITIONS):
            changes += write_hours(log, spill, partition, SegmentKind.REBUILT, writer=writer)
    return Rebuilt(changes, foreign, damaged)


def _read(store: ObjectStore, version: ObjectVersion) -> Entry | BackstreamError | None:
    try:
        stored = store.get(version.name, version.version)
        row = parse_metadata(stored.info)
        return None if row is None else _told_by(entry_of(row, keys_in(row, stored.body)), stored.body)
    except Damaged as error:
        return error


def _told_by(entry: Entry, body: bytes) -> Entry:
    """Returns the entry with the digests that its row object proves: the state after it, and no state before an INSERT.

    The state before a MODIFY is in another object, and a tombstone need not hold the one before a REMOVE, so these stay unknown.
    """
    tells = not (entry.removed or (entry.scanned and entry.event_id))
    return msgspec.structs.replace(
        entry,
        before=digests.ABSENT if entry.event == "INSERT" and not entry.scanned else None,
        after=digests.of_state_if_sound(body) if tells else None,
        body=digests.of_body(body),
    )


def write_hours(log: ChangeLog, spill: Pairs, partition: int, kind: SegmentKind, *, writer: str) -> int:
    """Writes the lines of one partition, spilled by their hour, as segments. Returns the number of their changes."""
    hours: dict[bytes, list[Entry]] = {}
    for hour, line in spill.read(partition):
        hours.setdefault(hour, []).append(from_line(line))
    count = 0
    for entries in hours.values():
        # A change that was delivered twice may be in its object twice: the log needs it once.
        unique = {(entry.order, entry.since, entry.micros, entry.place.name if entry.place else ""): entry for entry in entries}
        ordered = [unique[each] for each in sorted(unique)]
        streams = dict.fromkeys(entry.stream for entry in ordered)
        for stream in streams:
            of_stream = [entry for entry in ordered if entry.stream == stream]
            for start in range(0, len(of_stream), SEGMENT_CHANGES):
                log.write_batch(of_stream[start : start + SEGMENT_CHANGES], kind, writer=writer)
        count += len(ordered)
    return count
