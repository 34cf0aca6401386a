"""A vault of three years, made in seconds: a segment each hour, gaps that stand and many more that are closed, compacted or not."""

from __future__ import annotations

import msgspec

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import of_change
from backstream.operations.base.compact import compact
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock

HOURS = 26_280  # three years
HOUR = 3_600
BEGAN = 1_700_000_000 - 1_700_000_000 % HOUR
SHARD = "shardId-00000001700000000000-0a1b2c3d"
SEQUENCE = 4 * 10**20
ITEMS = 50
RECENT = 48  # hours at the end, without gaps


class LongVault(msgspec.Struct, frozen=True):
    """`clock` stands at its end. `hours`: how many it lived, each with one change; `label`: its stream's."""

    store: ObjectStore
    clock: ManualClock
    label: str
    hours: int

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        """As a command opens it."""
        return TableVault.open(store or self.store, "flights", engines=LocalEngine)

    def sequence(self, hour: int) -> str:
        """The number of the change of that hour."""
        return str(SEQUENCE + hour)

    def second(self, hour: int) -> int:
        """The second of that change."""
        return BEGAN + hour * HOUR + 1_800


def lived(store: ObjectStore, clock: ManualClock, hours: int = HOURS) -> LongVault:
    """So many hours of a tail beside a table that was empty at first."""
    clock.move(BEGAN - clock.now())
    table = MemoryTable("flights", clock, images.SCHEMA)
    table.enable_stream()
    init(store, table, InitOptions(layout=Layout.LOG))
    vault = TableVault.open(store, "flights", engines=LocalEngine)
    found = LongVault(store, clock, vault.catalog.stream, hours)
    after = "start"
    for hour in range(hours):
        clock.move(found.second(hour) - clock.now())
        image = images.image("z", hour % ITEMS, v={"N": str(hour)})
        change = Change(
            stream=found.label,
            sequence=found.sequence(hour),
            micros=found.second(hour) * MICROS,
            event="INSERT" if hour < ITEMS else "MODIFY",
            event_id=f"{hour:032x}",
            actor=None,
            keys=images.key("z", hour % ITEMS),
            old=None if hour < ITEMS else images.image("z", hour % ITEMS, v={"N": str(hour - ITEMS)}),
            new=image,
        )
        vault.log.write_run([of_change(change, None)], SHARD, after=after, writer="tail")
        after = found.sequence(hour)
    clock.move(HOUR // 4)
    vault.log.write_mark(found.label, int(clock.now()), writer="tail", now=clock.now())
    return found


def record_gaps(long: LongVault, *, standing: int, closed: int) -> None:
    """Gaps of one change each, spread over nearly all of its life; the change of a closed one is in the log."""
    for number in range(closed):
        hour = number * (long.hours - RECENT) // closed
        _record(long, hour, long.sequence(hour))
    for number in range(standing):
        hour = number * (long.hours - RECENT) // standing
        _record(long, hour, f"9{long.sequence(hour)}{number}")


def _record(long: LongVault, hour: int, sequence: str) -> None:
    """As every version has recorded gaps, without a look at what is there."""
    gap = Gap("not kept", long.second(hour), long.second(hour), long.label, None, sequence)
    long.store.put(f"_backstream/flights/gaps/{gap.id}.json", msgspec.json.encode(gap), {"format": "1"})


def compacted(long: LongVault) -> None:
    """All of it but the last day."""
    compact(long.vault(), long.clock, until=int(long.clock.now()) - 24 * HOUR)
