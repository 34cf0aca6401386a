"""A vault of any size whose every byte can be worked out again: the images of an item are a function of its number and version."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator

from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.prefetch import batches
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Entry, ImagePlace, Scanned, of_change, of_scanned
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.tables.memory import MemoryTable
from backstream.vault import bases
from backstream.vault.bases import Base, BasePlan, CompletionRecord
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

TABLE = "big"
STREAM = "2026-11-01T00:00:00.000"
SHARD = "shardId-00000001793491200000-0a1b2c3d"
BEGAN = 1_793_500_000  # the base backup's first second
FIRST = BEGAN + 600  # the first change's
A_SECOND = 500  # changes
BATCH = 1_000
PART = 5_000
SEQUENCE = 4_000_000_000_000_000_000_000
_NUMBER = b'{"id":{"S":"flight-'
STEP = 2_654_435_761  # a prime: which item a change is of looks like chance

# What a JSON library would write otherwise: escapes, spaces, digits that no float keeps, text that is no ASCII.
ODD = (
    rb'{"S":"caf\u00e9 \/ \"quoted\" \ud83d\ude00"}',
    b'{"N":"12345678901234567890123456789012345678"}',
    b'{"L": [ {"NULL":true}, {"M":{}} ]}',
    '{"S":"naïve 😀 \u2028"}'.encode(),
    b'{"B":"AAH+/w=="}',
    b'{"NS":["1E+3","-0.0010"]}',
    b'{"BOOL":false}',
)


def vault_in(store: ObjectStore) -> TableVault:
    """A new vault, of the log layout, for a table of its own."""
    table = MemoryTable(TABLE, ManualClock(BEGAN - 60), KeySchema(KeyAttribute("id", "S")))
    table.enable_stream()
    init(store, table, InitOptions(layout=Layout.LOG))
    return TableVault.open(store, TABLE, engines=LocalEngine)


def keys_of(item: int) -> bytes:
    """An item's key, canonical as it stands."""
    return b'{"id":{"S":"flight-%08d"}}' % item


def image_of(item: int, version: int) -> bytes:
    """An item's image, some 300 bytes of it. `version`: 0 as scanned, else the number of the change, from 1."""
    mixed = (item * STEP + version * 40_503) & 0xFFFFFFFF
    return (
        b'{"id":{"S":"flight-%08d"},"version":{"N":"%d"},"carrier":{"S":"%02X"},"tailnum":{"S":"N%05d"},"origin":{"S":"JFK"},'
        b'"dep_time":{"N":"%d"},"arr_time":{"N":"%d"},"distance":{"N":"%d"},"note":{"S":"%08x%08x"},"odd":%s,"air":{"BOOL":true}}'
    ) % (
        item,
        version,
        mixed & 0xFF,
        mixed % 99_991,
        mixed % 2_400,
        mixed % 2_399,
        mixed % 4_983,
        mixed,
        mixed ^ 0x5BD1E995,
        ODD[mixed % len(ODD)],
    )


Placing = Callable[[int, int], ImagePlace | None]  # where the image of an item's version lies; None: in the line itself


def inline(_item: int, _version: int) -> None:
    """Every image in its line: the log layout."""


def fill(vault: TableVault, items: int, changes: int, place: Placing = inline) -> array[int]:
    """A base backup of so many items, and so many changes since, in a tail's segments. Gives the newest version of each item."""
    _scan(vault, items, place)
    newest = array("q", bytes(8 * items))
    add(vault, newest, changes, place=place)
    return newest


def add(vault: TableVault, newest: array[int], changes: int, *, batch: int = BATCH, place: Placing = inline) -> int:
    """So many changes more, in segments of so many, noting the newest version of each item; how many."""
    number = max(newest, default=0)
    after = _sequence(number) if number else "start"
    for together in batches(_changes(newest, number + 1, number + changes, place), batch):
        vault.log.write_run(together, SHARD, after=after, writer="fill")
        after = together[-1].sequence
    return changes


def _sequence(number: int) -> str:
    return str(SEQUENCE + number * 3)


def assert_restored(lines: Iterable[bytes], newest: array[int]) -> None:
    """Each line is an item as `restore --to-file` writes it, byte for byte, and each item is there once."""
    left = array("b", b"\1" * len(newest))
    for line in lines:
        item = int(line[line.index(_NUMBER) + len(_NUMBER) :][:8])
        assert line == b'{"Item":%s}\n' % image_of(item, newest[item])
        assert left[item], f"item {item} is there twice"
        left[item] = 0
    assert sum(left) == 0, "items that are missing"


def last_second(changes: int) -> int:
    """That of the last change."""
    return FIRST + max(changes - 1, 0) // A_SECOND


def _scan(vault: TableVault, items: int, place: Placing) -> None:
    vault.bases.begin(BasePlan(format=bases.FORMAT, id="big", kind=bases.BaseKind.SCAN, source="big", segments=1, began=BEGAN))
    parts = range(0, items, PART)
    for number, first in enumerate(parts):
        rows = [
            of_scanned(Scanned(keys_of(item), image_of(item, 0), BEGAN, BEGAN * MICROS), place(item, 0))
            for item in range(first, min(first + PART, items))
        ]
        vault.bases.write_part("big", 0, number, rows, last=number == len(parts) - 1)
    base = Base(bases.BaseKind.SCAN, "big", BEGAN, BEGAN + 60)
    vault.bases.finish(base, CompletionRecord(format=bases.FORMAT, source="big", rows=items, parts=len(parts)))


def _changes(newest: array[int], first: int, last: int, place: Placing) -> Iterator[Entry]:
    for number in range(first, last + 1):
        item = number * STEP % len(newest)
        change = Change(
            stream=STREAM,
            sequence=_sequence(number),
            micros=(FIRST + (number - 1) // A_SECOND) * MICROS,
            event="MODIFY",
            event_id=f"{number:032x}",
            actor=None,
            keys=keys_of(item),
            old=image_of(item, newest[item]),
            new=image_of(item, number),
        )
        yield of_change(change, place(item, number))
        newest[item] = number
