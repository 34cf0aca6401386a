"""The Lambda handler invoked as Lambda does: with an event, a context that knows the time left, and again from what failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from backstream.apps import aws_lambda, config
from backstream.apps.config import Config
from backstream.clock import SystemClock
from backstream.model.changes.change import Change
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.ports import Clock
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.records import lambda_record
from kit.stage import Stage

Record = dict[str, Any]


LONGEST = 900.0  # seconds, as on AWS: who is not tested for haste has time enough on any machine
LONG = 480.0


class Invocation:
    """A context: `get_remaining_time_in_millis` counts down from the moment it was made, by the machine's clock or by another."""

    def __init__(self, seconds: float = LONGEST, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._end = self._clock.now() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._clock.now()

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's."""
        return int(self.left * 1000)


@contextmanager
def timed_by(clock: Clock) -> Iterator[None]:
    """Within the block the handler goes by this clock: what it waits for costs no time, and a busy machine takes none from it.

    It keeps back half of what it has. A quarter of that S3 may take for an answer, by the machine's clock: a minute of `LONG`.
    """
    with (
        patch.object(aws_lambda, "SystemClock", lambda: clock),
        patch.object(config, "SystemClock", lambda: clock),
        patch.object(aws_lambda, "RESERVE", LONG),
    ):
        yield


class LambdaStage(Stage):
    """A table in memory whose stream is delivered to the handler, which finds its vault in the environment.

    `manual`: the table's clock, two hours ago; `time`: the handler's, which stands unless somebody sleeps by it or moves it.
    """

    def __init__(self, *, layout: Layout = Layout.ROWS) -> None:
        self.manual = ManualClock(int(time.time()) - 7200)
        self.time = ManualClock(time.time())
        super().__init__(self.manual, layout=layout, shards=1, store=Config(clock=SystemClock()).store)
        self.manual.move(10)

    def changes(self) -> Sequence[Change]:
        """Everything in the stream."""
        stream = self.table.stream
        (shard,) = stream.facts().shards
        return stream.read(shard.id, stream.iterator(shard.id, None)).changes

    def records(self, changes: Sequence[Change] | None = None) -> list[Record]:
        """As an event's `Records`."""
        return [lambda_record(change, self.table.stream.arn) for change in (self.changes() if changes is None else changes)]

    def deliver(self, records: Sequence[Record], seconds: float = LONG) -> list[str]:
        """Invoke the handler once; the identifiers that it answers. AssertionError if it took longer than it had."""
        invocation = Invocation(seconds, self.time)
        with timed_by(self.time):
            answer = aws_lambda.handler({"Records": list(records)}, invocation)
        assert invocation.left > 0, "an invocation that is cut off reports nothing"
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def redeliver(self, records: Sequence[Record], failed: Sequence[str]) -> list[str]:
        """Invoke it again as Lambda does: from the failed record on, or with the whole batch."""
        (lowest,) = failed
        numbers = [record["dynamodb"].get("SequenceNumber") for record in records]
        return self.deliver(records[numbers.index(lowest) :] if lowest else records)

    def window_until(self) -> int | None:
        """The end of the recovery window, if a reader said that all before the newest change in the log has arrived.

        So it is with one shard: what the function could not keep it has to have recorded before.
        """
        newest = max(segment.max_time for segment in self.log() if segment.count)
        self.vault().log.write_mark(self.vault().catalog.stream, newest - 1, writer="test")
        return self.vault().window(time.time()).until


def object_of(number: int) -> str:
    """The name of an item's object below the vault's root, in the rows layout."""
    key = wire.key_of(images.SCHEMA, images.key("z", number))
    return naming.object_name("flights", naming.Naming.SHA256, key)
