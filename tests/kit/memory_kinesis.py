"""A Kinesis stream in memory: shards that split, records that age, as `ports.ChangeStream` of one table."""

from __future__ import annotations

from dataclasses import dataclass, field

from backstream.errors import NotFound, RecordsTrimmed
from backstream.model.changes.change import VIEW
from backstream.model.changes.kinesis import from_data, table_of
from backstream.ports import Clock, RecordsPage, Shard, StreamFacts

FIRST = 49_600_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000
PAGE = 7
HASHES = 1 << 128


@dataclass
class _Shard:
    parent: str | None
    low: int
    high: int
    records: list[tuple[int, float, bytes]] = field(default_factory=list)  # position, arrival, data
    trimmed: int = 0
    closed: bool = False


class MemoryKinesis:
    """`retention`: seconds. An item's records go to the open shard that its hash falls to."""

    def __init__(self, clock: Clock, arn: str, table: str, label: str, *, shards: int = 2, retention: int = 86_400) -> None:
        self._clock = clock
        self._arn, self._table, self._label = arn, table, label
        self._retention = retention
        self._shards = {
            f"shardId-{number:012d}": _Shard(None, HASHES * number // shards, HASHES * (number + 1) // shards - 1)
            for number in range(shards)
        }
        self.created = int(clock.now())
        self.unlisted: set[str] = set()  # shards that are there, and that the list does not show yet
        self._next = FIRST

    def put(self, content: bytes, key: int) -> None:
        """As DynamoDB does."""
        lanes = sorted(name for name, shard in self._shards.items() if not shard.closed)
        self._next += 1
        self._shards[lanes[key % len(lanes)]].records.append((self._next, self._clock.now(), content))

    def split(self) -> None:
        """Close an open shard: two others follow it."""
        name = min(name for name, shard in self._shards.items() if not shard.closed)
        parent = self._shards[name]
        parent.closed = True
        middle = (parent.low + parent.high) // 2
        for low, high in ((parent.low, middle), (middle + 1, parent.high)):
            self._shards[f"shardId-{len(self._shards):012d}"] = _Shard(name, low, high)

    def facts(self) -> StreamFacts:
        """As `ports.ChangeStream`."""
        shards = [
            Shard(name, each.parent, str(FIRST), "1" if each.closed else None, hashes=(each.low, each.high))
            for name, each in self._shards.items()
            if name not in self.unlisted
        ]
        return StreamFacts(self._arn, self._label, enabled=True, view=VIEW, shards=shards, created=self.created)

    def iterator(self, shard: str, after: str | None) -> str:
        """As `ports.ChangeStream`."""
        held = self._held(shard)
        if after is not None and int(after) < held.trimmed:
            raise RecordsTrimmed("older than the oldest record")
        return after or "0"

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """As `ports.ChangeStream`."""
        held = self._held(shard)
        left = [each for each in held.records if each[0] > int(iterator)]
        page = left[:PAGE]
        ours = [each for each in page if table_of(each[2]) == self._table]
        after = str(page[-1][0]) if page else iterator
        return RecordsPage(
            changes=[from_data(content, self._label, str(position)) for position, _, content in ours],
            next=None if held.closed and len(left) <= PAGE else after,
            server_time=float(int(self._clock.now())),
            positions=[str(position) for position, _, _ in ours],
            arrivals=[arrived for _, arrived, _ in ours],
            reached=after if page else None,
            behind=float(len(left) - len(page)),
        )

    def _held(self, shard: str) -> _Shard:
        if shard not in self._shards:
            raise NotFound(f"no shard {shard}")
        held = self._shards[shard]
        while held.records and held.records[0][1] < self._clock.now() - self._retention:
            held.trimmed = held.records.pop(0)[0]
        return held
