"""Lambda's on-failure destination, which holds discarded batches. They are missing from the vault until they are redriven.

The destination is not part of the vault. It is another bucket, which may keep no versions, and which a reader may be unable to
reach.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from backstream.errors import AccessDenied, BackstreamError, Damaged, MissingObject
from backstream.model.changes import invocation_record
from backstream.model.changes.deliveries import place_of
from backstream.model.changes.invocation_record import ASYNCHRONOUS, FOLDER, InvocationRecord, StreamKind
from backstream.ports import ListedObject, ObjectStore
from backstream.vault.gaps.gaps import Gap, note_of
from backstream.vault.log.log import DAY

GLANCE = 8192  # bytes that hold all of an invocation record but its payload
READERS = 8

Destinations = Callable[[str, str | None], ObjectStore]  # the bucket of a URL, and the account that it has to be of; None: any


class FailedBatch(msgspec.Struct, frozen=True):
    """One batch in the destination. `record` is None if the object cannot be read. `why` states why the batch is there, or why it
    cannot be read.

    `since`, `until`: the seconds between which its changes were made, both included. `shared`: True if it also holds other tables'
    records.
    """

    name: str
    since: int
    until: int
    why: str
    record: InvocationRecord | None = None
    shared: bool = False


class _FailedObject(msgspec.Struct, frozen=True):
    """The contents of an object. `record` is None if it belongs to another table."""

    record: InvocationRecord | None
    shared: bool = False


class Destination:
    """The batches of one table in a bucket. Batches of other tables and functions are skipped.

    `vault` is the table's. It holds notes of finished batches that also carry other tables' records.
    """

    def __init__(self, store: ObjectStore, vault: ObjectStore, table: str, table_arn: str) -> None:
        self._store = store
        self._vault = vault
        self._table = table
        self._streams = f"{table_arn}/stream/"
        self._known: dict[ListedObject, _FailedObject] = {}  # what stands there never changes, and is asked for often
        self._one_whole = threading.Lock()  # megabytes each: one at a time

    @property
    def url(self) -> str:
        """The bucket's URL."""
        return self._store.url

    def waiting(self) -> list[FailedBatch]:
        """Returns the waiting batches of this table, oldest first. An object that cannot be read counts as one of them.

        Costs one LIST if there are none, else a read of a few thousand bytes of each. Raises the errors of the store's listing.
        """
        with ThreadPoolExecutor(READERS, thread_name_prefix="destination") as pool:
            listed = (each for each in self._store.list(FOLDER) if not each.name.startswith(ASYNCHRONOUS))
            found = list(pool.map(self._looked_at, listed))
        return sorted((each for each in found if each is not None), key=lambda each: (each.since, each.until, each.name))

    def records(self, batch: FailedBatch) -> Sequence[Any]:
        """Returns all records of a batch.

        Raises Damaged if they are missing, and MissingObject if the batch has been redriven meanwhile.
        """
        record, records = invocation_record.read(self._store.get(batch.name).body)
        if not records:
            raise Damaged("it carries no records: only a destination in S3 is given them")
        if record.size is not None and len(records) < record.size:
            raise Damaged(f"it carries {len(records)} records of a batch of {record.size}")
        return records

    def done(self, batch: FailedBatch) -> None:
        """Marks a batch as finished: all of it is in the vault, or in its gaps. A second call does no harm.

        The note in the vault closes the batch's recorded gap. A batch that other tables wait for too stays in the bucket.
        """
        self._vault.put(note_of(self._table, batch.name), batch.name.encode(), {"format": "1"})
        if not batch.shared:
            self._store.delete(batch.name)

    def _is_noted(self, name: str) -> bool:
        try:
            self._vault.head(note_of(self._table, name))
        except MissingObject:
            return False
        return True

    def _looked_at(self, listed: ListedObject) -> FailedBatch | None:
        try:
            if listed not in self._known:
                self._known[listed] = self._record(listed)
            seen = self._known[listed]
        except MissingObject:
            return None  # redriven since it was listed
        except BackstreamError as error:
            return self._unreadable(listed, error)
        if seen.record is None or (seen.shared and self._is_noted(listed.name)):
            return None
        return self._told(listed, seen.record, shared=seen.shared)

    def _record(self, listed: ListedObject) -> _FailedObject:
        if listed.size == 0:
            raise Damaged("it is empty")
        record = invocation_record.at_a_glance(self._store.get_range(listed.name, 0, GLANCE))
        if record is not None and record.source is StreamKind.DYNAMODB and record.since is not None:
            return _FailedObject(record if record.stream_arn.startswith(self._streams) else None)
        with self._one_whole:
            record, records = invocation_record.read(self._store.get(listed.name).body)
        if record.source is StreamKind.DYNAMODB:
            return _FailedObject(record if record.stream_arn.startswith(self._streams) else None)
        # A Kinesis stream may carry several tables, and its records name theirs. An object without readable records may belong to
        # this table or to any other.
        named = invocation_record.tables_named(records)
        return _FailedObject(record if not named or self._table in named else None, named != {self._table})

    def _told(self, listed: ListedObject, record: InvocationRecord, *, shared: bool) -> FailedBatch:
        until = int(listed.modified) if record.until is None else record.until
        since = until - DAY if record.since is None else record.since
        return FailedBatch(listed.name, since, until, record.condition, record, shared)

    def _unreadable(self, listed: ListedObject, error: BackstreamError) -> FailedBatch:
        """Returns the batch for an object that cannot be read. It may hold any time that a stream held when it was written."""
        until = int(listed.modified)
        return FailedBatch(listed.name, until - DAY, until, f"cannot be read: {error.message}")

    def gap(self, batch: FailedBatch) -> Gap:
        """Returns the gap that stands as long as the batch waits."""
        reason = (
            f"Lambda gave up a batch ({batch.why}), which waits for `backstream redrive {self._table}`: {self.url}/{batch.name}"
        )
        stream = "" if batch.record is None else batch.record.stream_arn.rpartition("/stream/")[2]
        return Gap(reason=reason, since=batch.since, until=batch.until, stream=stream, batch=batch.name)

    def lasting_gap(self, batch: FailedBatch) -> Gap:
        """Returns the same gap with the numbers of its changes, if they can be read, so that it can be recorded.

        Raises the errors of the store's reading.
        """
        gap = self.gap(batch)
        if batch.record is None or batch.record.source is not StreamKind.DYNAMODB:
            return gap
        try:
            numbers = tuple(map(place_of, self.records(batch)))
        except (Damaged, AccessDenied):
            return gap
        return msgspec.structs.replace(gap, sequences=numbers if all(numbers) else ())
