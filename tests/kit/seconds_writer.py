"""A table under load, and the plain model of it: what it held at the end of each second, told by the one who wrote it.

The server stamps a change with the second in which it made it, which the writer cannot see. So it rests around the borders of
seconds, and a second in which a write was nevertheless in flight at the border is not sure, and not to be compared.
"""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
State = dict[str, Item]

REST_BEFORE, REST_AFTER = 0.08, 0.02  # seconds before and after a border


class SecondsWriter:
    """Puts and deletes items of a table with the key `id` (S) at random, in a thread of its own, within a `with` block.

    `changes`: how many of its writes changed something, and so left a record in the stream.
    """

    def __init__(self, client: DynamoDBClient, table: str, *, items: int = 40, seed: int = 1, pause: float = 0.004) -> None:
        self._client = client
        self._table = table
        self._items = items
        self._source = random.Random(seed)
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)
        self._failure: BaseException | None = None
        self._now: State = {}
        self._ends: dict[int, State] = {}
        self._unsure: set[int] = set()
        self.changes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def at(self, second: int) -> State:
        """What the table held at the end of that second."""
        return self._ends[max((each for each in self._ends if each <= second), default=-1)] if self._ends else {}

    def sure_seconds(self) -> list[int]:
        """The seconds with writes in them at whose end no write was in flight."""
        return sorted(set(self._ends) - self._unsure)

    def _write_on(self) -> None:
        try:
            while not self._stop.is_set():
                self._rest_around_the_border()
                self._write()
                time.sleep(self._pause)
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self._failure = error

    def _rest_around_the_border(self) -> None:
        part = time.time() % 1
        if part > 1 - REST_BEFORE:
            time.sleep(1 - part + REST_AFTER)

    def _write(self) -> None:
        name = f"item-{self._source.randrange(self._items):03}"
        began = int(time.time())
        if self._source.random() < 0.2:
            self._client.delete_item(TableName=self._table, Key={"id": {"S": name}})
            self.changes += self._now.pop(name, None) is not None
        else:
            self.changes += 1
            item = {"id": {"S": name}, "n": {"N": str(self.changes)}, "text": {"S": "x" * self._source.randrange(200)}}
            self._client.put_item(TableName=self._table, Item=item)
            self._now[name] = item
        ended = int(time.time())
        if ended != began:
            self._unsure.update(range(began, ended))
        self._ends[ended] = dict(self._now)
