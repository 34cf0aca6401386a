"""A large table under load, and the plain model of it: every change with its second, instead of a copy of the table for each.

As with `kit.seconds_writer`, the writers rest around the borders of seconds, and a second at whose end one of them was nevertheless
in the middle of a write is not to be compared.
"""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kit.seconds_writer import REST_AFTER, REST_BEFORE, Item, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOT = 50  # rows of each writer that change again and again


def row(number: int, version: int) -> Item:
    """A row of the table, of some 120 bytes."""
    return {"id": {"S": f"row-{number:06}"}, "version": {"N": str(version)}, "text": {"S": f"{version} " * (version % 20)}}


class LoadWriter:
    """Puts, changes and deletes rows of a table with the key `id` (S) as fast as it goes, within a `with` block.

    The table holds `rows` rows (`row(number, 0)`) when it begins; a tenth as many numbers more are free for new ones. Each of its
    threads has the rows of its own numbers.
    """

    def __init__(self, client: DynamoDBClient, table: str, rows: int, *, threads: int = 3, seed: int = 1) -> None:
        self._client = client
        self._table = table
        self._rows = rows
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._done: list[list[tuple[int, str, Item | None]]] = [[] for _ in range(threads)]
        self._unsure: set[int] = set()
        self._seed = seed
        self._threads = [threading.Thread(target=self._write_on, args=(turn,), daemon=True) for turn in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failures and error is None:
            raise self._failures[0]

    @property
    def changes(self) -> int:
        """How many writes were made so far."""
        return sum(map(len, self._done))

    def at(self, second: int) -> State:
        """What the table held at the end of that second."""
        state: State = {item["id"]["S"]: item for item in (row(number, 0) for number in range(self._rows))}
        for when, name, item in (each for done in self._done for each in done):
            if when <= second:
                state.pop(name, None)
                if item is not None:
                    state[name] = item
        return state

    def sure_seconds(self) -> list[int]:
        """The seconds with writes in them at whose end no write was in flight."""
        return sorted({second for done in self._done for second, _, _ in done} - self._unsure)

    def _write_on(self, turn: int) -> None:
        source = random.Random(f"{self._seed} {turn}")
        numbers = range(turn, self._rows + self._rows // 10, len(self._threads))
        hot = source.sample(numbers, min(HOT, len(numbers)))
        try:
            while not self._stop.is_set():
                part = time.time() % 1
                if part > 1 - REST_BEFORE:
                    time.sleep(1 - part + REST_AFTER)
                self._write(turn, source.choice(hot if source.random() < 0.3 else numbers), source)
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self._failures.append(error)

    def _write(self, turn: int, number: int, source: random.Random) -> None:
        item = row(number, len(self._done[turn]) + 1)
        began = int(time.time())
        if source.random() < 0.25:
            self._client.delete_item(TableName=self._table, Key={"id": item["id"]})
            written = None
        else:
            self._client.put_item(TableName=self._table, Item=item)
            written = item
        ended = int(time.time())
        self._unsure.update(range(began, ended))
        self._done[turn].append((ended, item["id"]["S"], written))
