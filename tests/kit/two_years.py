"""A vault of two years, made in minutes, and a retention of it that is interrupted twenty times, as a process of its own.

    python -m kit.two_years FOLDER ITEMS

Every item is inserted in the first hour, and changed once, evenly over two years. The report is printed as JSON.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from backstream.engine.local.engine import LocalEngine
from backstream.errors import Failed
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Entry, of_change
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.base.compact import compact
from backstream.operations.retain import RetainContext, retain
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.directory import DirectoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.big_vault import SHARD, STEP, image_of, keys_of
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.crashing import CrashingStore
from kit.retained import DyingRemover

TABLE = "big"
DAY = 86_400
BEGAN = 1_700_000_000 - 1_700_000_000 % 3_600
YEAR = 365 * DAY
SEQUENCE = 4 * 10**21
TIMES = 20
MOST_LINES = 5_000


class Interrupted(msgspec.Struct, frozen=True):
    """The report. `requests`: by kind, over all attempts; `versions`: before and after."""

    interrupted: int
    requests: dict[str, int]
    horizon: str | None
    removed_bytes: int
    versions: tuple[int, int]


def chunk_of(items: int) -> int:
    """The number of changes in a segment."""
    return max(1, min(MOST_LINES, items // 100))


def changed_at(number: int, items: int) -> int:
    """The second of a change, counted from 1; the changes of a segment are made together."""
    chunk = chunk_of(items)
    chunks = -(-items // chunk)
    return BEGAN + DAY + (number - 1) // chunk * ((2 * YEAR - 2 * DAY) // chunks)


def item_of(number: int, items: int) -> int:
    """The item of a change: each has one."""
    return number * STEP % items


def store_in(folder: Path, clock: ManualClock) -> DirectoryStore:
    folder.mkdir(exist_ok=True)
    return DirectoryStore(folder, clock)


def fill(folder: Path, items: int, clock: ManualClock) -> None:
    """The whole vault, compacted but for its last tenth. The clock stands at its end."""
    clock.move(BEGAN - 60 - clock.now())
    store = store_in(folder, clock)
    table = MemoryTable(TABLE, clock, KeySchema(KeyAttribute("id", "S")))
    table.enable_stream()
    init(store, table, InitOptions(layout=Layout.LOG))
    vault, after, chunk = vault_in(store), "start", chunk_of(items)
    runs = 2 * -(-items // chunk)
    for number, run in enumerate(_runs(vault.catalog.stream, items, chunk)):
        clock.move(max(0.0, run[0].seconds + 1 - clock.now()))
        vault.log.write_run(run, SHARD, after=after, writer="tail")
        after = run[-1].sequence
        if number in (runs // 2, runs * 9 // 10):
            compact(vault_in(store), clock)
    clock.move(max(0.0, BEGAN + 2 * YEAR - clock.now()))
    vault.log.write_mark(vault.catalog.stream, int(clock.now()), writer="tail", now=clock.now())


def vault_in(store: Any) -> TableVault:
    """The vault as a command opens it."""
    return TableVault.open(store, TABLE, engines=LocalEngine)


def _runs(stream: str, items: int, chunk: int) -> Iterator[list[Entry]]:
    for first in range(0, items, chunk):
        yield [_change(stream, item, item, 0, BEGAN + first // chunk) for item in range(first, min(first + chunk, items))]
    for first in range(1, items + 1, chunk):
        numbers = range(first, min(first + chunk, items + 1))
        yield [_change(stream, items + each, item_of(each, items), each, changed_at(each, items)) for each in numbers]


def _change(stream: str, order: int, item: int, version: int, second: int) -> Entry:
    old = image_of(item, 0) if version else None
    event = "MODIFY" if version else "INSERT"
    sequence = str(SEQUENCE + order)
    return of_change(
        Change(
            stream, sequence, second * MICROS, event, f"{order:032x}", None, keys_of(item), old=old, new=image_of(item, version)
        ),
        None,
    )


def interrupted(folder: Path, clock: ManualClock) -> Interrupted:
    """Retains a year. Each of the first twenty attempts dies, after some writes or some removals; another one ends."""
    store = store_in(folder, clock)
    before, requests = _versions(store), Counter[str]()
    died = removed = 0
    for attempt in range(TIMES + 1):
        counted = CountedStore(cast("Any", store))
        if attempt == TIMES:
            report = retain(vault_in(counted), YEAR, RetainContext(clock, store))
            requests += counted.requests
            removed, horizon = report.removed_bytes, report.horizon
            break
        dying = CrashingStore(cast("Any", counted), 1 + attempt * attempt, after=bool(attempt % 2))
        remover: Any = DyingRemover(cast("Any", store), attempt)
        with suppress(Failed):
            retain(vault_in(dying), YEAR, RetainContext(clock, remover))
            raise AssertionError("it was to die")
        died += 1
        requests += counted.requests
    return Interrupted(died, dict(requests), horizon, removed, (before, _versions(store)))


def _versions(store: DirectoryStore) -> int:
    return sum(1 for _ in store.versions(""))


def main(folder: str, items: str) -> None:
    """Fills it, retains, and prints the report."""
    clock = ManualClock()
    fill(Path(folder), int(items), clock)
    sys.stdout.buffer.write(msgspec.json.encode(interrupted(Path(folder), clock)))


if __name__ == "__main__":
    main(*sys.argv[1:])
