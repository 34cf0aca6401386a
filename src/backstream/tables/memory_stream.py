"""A DynamoDB stream in memory: the reference of `ports.ChangeStream`, small, exact and deterministic.

It imitates the difficult parts of AWS's streams: several shards that split, numbers that must not be compared as text or across
shards, iterators that expire, records that are trimmed.
"""

from __future__ import annotations

import threading
import zlib
from itertools import pairwise

import msgspec

from backstream.errors import Failed, IteratorExpired, NotFound, RecordsTrimmed
from backstream.model.changes.change import MICROS, VIEW, Change, stream_label
from backstream.model.values.decoding import UNDECODABLE
from backstream.ports import Clock, RecordsPage, Shard, StreamFacts

ITERATOR_SECONDS = 15 * 60
PLACES = 2**32  # keys are spread over the shards by their CRC-32

# 21 digits, and 22 after five records: code that compares sequence numbers as text fails.
FIRST_SEQUENCE = 10**21 - 5


class _MemoryShard(msgspec.Struct):
    """The shard of the keys placed in [low, high); its sequence numbers are `base` + the stream's count of records."""

    id: str
    parent: str | None
    base: int
    low: int
    high: int
    first: int
    last: int | None = None  # once closed
    records: list[Change] = []
    trimmed: int = 0  # how many records were dropped off the front, and
    horizon: int = -1  # the sequence number of the last of them
    aged: bool = False  # whether a day has passed since its last record, if it ever had one

    def is_forgotten(self) -> bool:
        """True if it is closed and everything is trimmed: streams no longer list such a shard."""
        return self.last is not None and self.aged and not self.records

    def facts(self) -> Shard:
        return Shard(self.id, self.parent, str(self.first), None if self.last is None else str(self.last))


class _Place(msgspec.Struct):
    """The contents of an iterator's text: a position in a shard, and when and in which era it was given out."""

    shard: str
    position: int
    issued: float
    era: int


class MemoryStream:
    """See `ports.ChangeStream`.

    It is fed by a `MemoryTable` (`append`), and steered by tests (`split`, `trim`, `expire_iterators`, `close`).
    """

    def __init__(self, arn: str, clock: Clock, *, shards: int = 2, page_records: int = 1000) -> None:
        self.arn = arn
        self._label = stream_label(arn)
        self._clock = clock
        self._page_records = page_records
        self._lock = threading.RLock()
        self._made = 0  # records
        self._era = 0  # of iterators
        self.enabled = True
        self._shards: dict[str, _MemoryShard] = {}
        for index in range(shards):
            # The bases fall from shard to shard: the order of numbers of different shards has no meaning in time.
            self._open(None, FIRST_SEQUENCE * (shards - index), PLACES * index // shards, PLACES * (index + 1) // shards)

    # --- as a table feeds it ------------------------------------------------------------------------------------------------------

    def append(self, keys: bytes, old: bytes | None, new: bytes | None, *, actor: str | None = None) -> None:
        """Adds the record of one change, made now. `keys`: the item's canonical key, which selects the shard."""
        with self._lock:
            place = zlib.crc32(keys)
            shard = next(each for each in self._shards.values() if each.last is None and each.low <= place < each.high)
            self._made += 1
            change = Change(
                stream=self._label,
                sequence=str(shard.base + self._made),
                micros=int(self._clock.now()) * MICROS,
                event="REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
                event_id=f"{self._made:032x}",
                actor=actor,
                keys=keys,
                old=old,
                new=new,
            )
            shard.records.append(change)

    # --- as tests steer it --------------------------------------------------------------------------------------------------------

    def split(self, shard: str, *, into: int = 2) -> list[str]:
        """Closes an open shard, opens its children, which share its keys, and returns their ids. `into=1` is a mere roll-over."""
        with self._lock:
            parent = self._known(shard)
            if parent.last is not None:
                raise ValueError(f"shard {shard} is closed already")
            self._close(parent)
            width = parent.high - parent.low
            bounds = [parent.low + width * part // into for part in range(into + 1)]
            return [self._open(shard, parent.base, low, high) for low, high in pairwise(bounds)]

    def trim(self, shard: str, *, keep: int = 0) -> None:
        """Drops all but the last `keep` records, as 24 hours do. A closed shard without records is no longer listed."""
        with self._lock:
            found = self._known(shard)
            count = len(found.records) - keep
            found.aged = keep == 0 and found.last is not None
            if count > 0:
                found.horizon = int(found.records[count - 1].sequence)
                found.trimmed += count
                del found.records[:count]

    def expire_iterators(self) -> None:
        """Lets every iterator given out so far expire."""
        with self._lock:
            self._era += 1

    def close(self) -> None:
        """Disables the stream: every shard ends; its records stay readable."""
        with self._lock:
            self.enabled = False
            for shard in self._shards.values():
                self._close(shard)

    # --- ports.ChangeStream -------------------------------------------------------------------------------------------------------

    def facts(self) -> StreamFacts:
        """Returns the stream with all its shards."""
        with self._lock:
            shards = [shard.facts() for shard in self._shards.values() if not self._is_forgotten(shard)]
            return StreamFacts(self.arn, self._label, self.enabled, VIEW, shards)

    def iterator(self, shard: str, after: str | None) -> str:
        """Returns the iterator to read on with: after that sequence number, or at the oldest record held."""
        with self._lock:
            found = self._known(shard)
            position = found.trimmed if after is None else self._position_after(found, int(after))
            return self._token(found, position)

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """Returns the next records of the iterator's shard."""
        with self._lock:
            place = _parse(iterator)
            if place.era != self._era or self._clock.now() - place.issued >= ITERATOR_SECONDS:
                raise IteratorExpired(f"the iterator of shard {shard} of stream {self.arn} has expired")
            found = self._shards[place.shard]  # even if it is listed no longer: what was missed is to be said
            if place.position < found.trimmed:
                raise self._trimmed(found)
            start = place.position - found.trimmed
            changes = found.records[start : start + self._page_records]
            ended = found.last is not None and start + len(changes) == len(found.records)
            return RecordsPage(changes, None if ended else self._token(found, place.position + len(changes)), self._clock.now())

    # --- shards -------------------------------------------------------------------------------------------------------------------

    def _open(self, parent: str | None, base: int, low: int, high: int) -> str:
        name = f"shardId-{len(self._shards):020d}-{low:08x}"
        self._shards[name] = _MemoryShard(name, parent, base, low, high, first=base + self._made)
        return name

    def _close(self, shard: _MemoryShard) -> None:
        if shard.last is None:
            shard.last = shard.base + self._made

    def _is_forgotten(self, shard: _MemoryShard) -> bool:
        """True if it is no longer listed: a shard never disappears before its parent."""
        if not shard.is_forgotten():
            return False
        parent = None if shard.parent is None else self._shards.get(shard.parent)
        return parent is None or self._is_forgotten(parent)

    def _known(self, shard: str) -> _MemoryShard:
        found = self._shards.get(shard)
        if found is None or self._is_forgotten(found):
            raise NotFound(f"no shard {shard} in stream {self.arn}")
        return found

    def _position_after(self, shard: _MemoryShard, after: int) -> int:
        if after <= shard.horizon:
            raise self._trimmed(shard)
        if after > shard.base + self._made:
            raise Failed(f"shard {shard.id} of stream {self.arn} has no sequence number {after}")
        return shard.trimmed + sum(int(each.sequence) <= after for each in shard.records)

    def _trimmed(self, shard: _MemoryShard) -> RecordsTrimmed:
        return RecordsTrimmed(f"shard {shard.id} of stream {self.arn} begins after what was asked for: it was trimmed")

    def _token(self, shard: _MemoryShard, position: int) -> str:
        return msgspec.json.encode(_Place(shard.id, position, self._clock.now(), self._era)).decode()


def _parse(iterator: str) -> _Place:
    try:
        return msgspec.json.decode(iterator, type=_Place)
    except UNDECODABLE as error:
        raise Failed(f"not a shard iterator: {iterator!r:.200}") from error
