"""A compacted vault of millions of changes, in the form that a compaction leaves: minutes, where changes one by one take hours.

    python -m kit.compacted_vault FOLDER [CHANGES]

Each item has as many versions as the next. The set's sources are named, and no longer there: as after a lifecycle rule. Some
segments follow that a tail has brought since.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Entry, of_change
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout, folder
from backstream.vault.log import frames
from backstream.vault.log.chains import Run
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.generation import Generation, Set
from backstream.vault.log.naming.set_names import partition_of, set_id
from backstream.vault.log.segments import Segment
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

TABLE = "big"
BEGAN = 1_761_955_200  # 2025-11-01
CHANGES = 10_000_000
VERSIONS = 20  # of each item
A_SECOND = 50  # changes: ten million are two days and a half
SEGMENT = 1_000  # changes of a source
PARTITIONS = 256
SEQUENCE = 4 * 10**21
SHARD = "shardId-00000001761955200000-0a1b2c3d"
RECENT = 3  # segments after the set

_IMAGE = b'{"flight":{"S":"flight-%08d"},"status":{"S":"leg %d"},"delay":{"N":"%d"},"carrier":{"S":"UA"},"note":{"S":"gate %08x"}}'
_LINE = (
    b'{"Metadata":{"WriteTimestampMicros":{"N":"%d"},"Stream":{"S":"%s"},"SequenceNumber":{"S":"%d"},"EventName":{"S":"%s"},'
    b'"EventID":{"S":"%032x"}},"Keys":{"flight":{"S":"flight-%08d"}}%s,"NewImage":%s}'
)


def key_of(item: int) -> bytes:
    """An item's key, canonical."""
    return b'{"flight":{"S":"flight-%08d"}}' % item


def image_of(item: int, version: int) -> bytes:
    """An item's image. `version`: from 0."""
    return _IMAGE % (item, version, (item + version) % 97, item * 2_654_435_761 + version & 0xFFFFFFFF)


class Written:
    """The vault's measures. Change number N is version N // `items` of item N % `items`, made in second `second(N)`."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.items = changes // VERSIONS

    def second(self, number: int) -> int:
        """The second of a change."""
        return BEGAN + 60 + number // A_SECOND

    def sequence(self, number: int) -> int:
        """The sequence number of a change."""
        return SEQUENCE + number * 7


def write(store: ObjectStore, changes: int = CHANGES) -> Written:
    """Writes the vault: a catalog, one set of all changes but the recent ones, and these."""
    made = Written(changes)
    table = MemoryTable(TABLE, ManualClock(BEGAN), KeySchema(KeyAttribute("flight", "S")))
    table.enable_stream()
    init(store, table, InitOptions(layout=Layout.LOG))
    vault = TableVault.open(store, TABLE, engines=LocalEngine)
    _write_set(vault, made)
    _add_recent(vault, made)
    return made


def _write_set(vault: TableVault, made: Written) -> None:
    prefix = folder(TABLE)
    names = {f"{prefix}log/{_source(vault.catalog.stream, made, first).path}": "1" for first in range(0, made.changes, SEGMENT)}
    which = set_id(1, [f"{name} {version}" for name, version in names.items()])
    vault.compacted.write_sources(which, names)
    by_partition: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for item in range(made.items):
        by_partition[partition_of(key_of(item), PARTITIONS)].append(item)
    size = 0
    for number, items in enumerate(by_partition):
        body, _ = frames.pack(_lines(vault.catalog.stream.encode(), made, items))
        vault.compacted.write_part(which, number, PARTITIONS, body)
        size += len(body)
    since, until = made.second(0), made.second(made.changes - 1)
    ends = str(made.sequence(0)), str(made.sequence(made.changes - 1))
    run = Run(vault.catalog.stream, SHARD, *ends, "start", since, until)  # which the first recent segment follows
    one = Set(which, PARTITIONS, made.changes, size, since, until)
    _settle(vault, Generation(number=1, sets=[one], runs=[run]))


def _settle(vault: TableVault, first: Generation) -> None:
    """Puts it in force as a compaction does: what it replaces is hidden, and so is its own record, once the next one is there."""
    vault.compacted.commit(first)
    settled = msgspec.structs.replace(first, number=2)
    vault.compacted.commit(settled)
    for name in vault.compacted.dead(settled):
        vault.store.delete(name)


def _source(stream: str, made: Written, first: int) -> Segment:
    last = first + SEGMENT - 1
    ends = str(made.sequence(first)), str(made.sequence(last))
    return Segment(stream, SHARD, *ends, SEGMENT, made.second(first), made.second(last))


def _lines(stream: bytes, made: Written, items: list[int]) -> Iterator[FrameLine]:
    for item in items:
        key, before = key_of(item), b""
        for version in range(VERSIONS):
            number, second = version * made.items + item, made.second(version * made.items + item)
            image = image_of(item, version)
            event, old = (b"MODIFY", b',"OldImage":' + before) if version else (b"INSERT", b"")
            text = _LINE % (second * MICROS, stream, made.sequence(number), event, number, item, old, image)
            yield FrameLine(key, second, text)
            before = image


def _add_recent(vault: TableVault, made: Written) -> None:
    after = str(made.sequence(made.changes - 1))
    for number in range(made.changes, made.changes + RECENT * SEGMENT, SEGMENT):
        together = [_recent(vault.catalog.stream, made, each) for each in range(number, number + SEGMENT)]
        vault.log.write_run(together, SHARD, after=after, writer="tail")
        after = together[-1].sequence
    last = made.second(made.changes + RECENT * SEGMENT)
    vault.log.write_mark(vault.catalog.stream, last + 60, writer="tail", now=last + 61)


def _recent(stream: str, made: Written, number: int) -> Entry:
    item, version = number % made.items, number // made.items
    return of_change(
        Change(
            stream=stream,
            sequence=str(made.sequence(number)),
            micros=made.second(number) * MICROS,
            event="MODIFY",
            event_id=f"{number:032x}",
            actor=None,
            keys=key_of(item),
            old=image_of(item, version - 1),
            new=image_of(item, version),
        ),
        None,
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True)
    write(DirectoryStore(place, ManualClock(BEGAN)), int(sys.argv[2]) if len(sys.argv) > 2 else CHANGES)
