"""A table, its function and its event source mapping, with everything between them that may break: for failure drills.

The mapping is the kit's, table and buckets are real servers'; the handler runs in this process, or is deployed. What breaks is S3
as the function sees it (`s3`), the function itself (`fails`), or a record (`poison`).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from backstream.apps import aws_lambda
from backstream.errors import GapInTheWay
from backstream.operations.restore import Restored
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.images import image, key
from kit.invocations import LONG, Invocation, timed_by
from kit.mapping import EventSourceMapping, Invoke, MappingSettings, Record, in_process
from kit.proxy import FaultProxy
from kit.scene import Ran, Scene, file_items, same


class Outage:
    """`clock`: the mapping's time; `failed`: the on-failure destination; `seconds`: that the function has for an invocation.

    The table is there, and the vault knows it. `invoke`: the deployed function, which finds S3 by way of `s3`; without it the
    handler of this process.
    """

    def __init__(self, scene: Scene, s3: FaultProxy, settings: MappingSettings, invoke: Invoke | None = None) -> None:
        self.scene = scene
        self.s3 = s3
        self.failed = settings.bucket or ""
        self.backup = scene.backup()
        self._file = scene.folder / "restored.json"
        self.clock = ManualClock(time.time())
        self._time = ManualClock()  # the function's, in an invocation
        self.seconds = LONG
        self.fails: Callable[[list[Record]], None] = lambda _: None
        self.poison: Callable[[Record], Record] = lambda record: record
        self._invoke = invoke or in_process(self._function)
        stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), settings.stream_arn)
        self.mapping = EventSourceMapping(settings, stream, self._invoked, self.clock, self._put, self._altered)

    @classmethod
    def in_this_process(cls, scene: Scene, s3: FaultProxy, layout: Layout, **settings: Any) -> Outage:
        """With a new table, and a destination of its own."""
        failed = f"{scene.bucket}-failed-{uuid.uuid4().hex[:6]}"
        scene.aws.client("s3").create_bucket(Bucket=failed)
        scene.create()
        scene.init(layout=layout, failures=f"s3://{failed}")
        arn = scene.live().facts().stream_arn or ""
        return cls(scene, s3, MappingSettings(arn, bucket=failed, partial=True, **settings))

    def _invoked(self, event: bytes) -> bytes:
        self.fails(json.loads(event)["Records"])
        return self._invoke(event)

    def _function(self, event: dict[str, Any]) -> dict[str, Any]:
        environment = {**self.scene.aws.environment, "AWS_ENDPOINT_URL": self.s3.url, "BACKSTREAM_VAULT": self.scene.url}
        self._time.move(time.time() - self._time.now())
        with patch.dict(os.environ, environment), timed_by(self._time):
            return dict(aws_lambda.handler(event, Invocation(self.seconds, self._time)))

    def _altered(self, record: Record) -> Record:
        return self.poison(record)

    def _put(self, name: str, body: bytes) -> None:
        self.scene.aws.client("s3").put_object(Bucket=self.failed, Key=name, Body=body)

    # --- what happens ---

    def write(self, version: int, numbers: Iterator[int] | range = range(8)) -> None:
        """A new version of these rows, and another row that comes and goes."""
        self.scene.put(*(image("row", number, v={"N": str(version)}) for number in numbers))
        self.scene.put(image("gone", version))
        self.scene.delete(key("gone", version))

    def deliver(self) -> None:
        """All that is in the stream, kept or given up."""
        self.mapping.run()

    @contextmanager
    def withdrawn(self, action: Any, seconds: float) -> Iterator[None]:
        """S3 answers so to the function's writes, until so many of the mapping's seconds have passed."""
        end = self.clock.now() + seconds
        rule = self.s3.on(action, method="PUT")
        sleep = self.clock.sleep

        def slept(seconds: float) -> None:
            sleep(seconds)
            if self.clock.now() >= end:
                self.s3.clear()

        with patch.object(self.clock, "sleep", slept):
            yield
        assert rule.fired, "nothing was denied"
        self.s3.clear()

    # --- what is seen of it ---

    def run(self, *words: str) -> Ran:
        """A command on the table."""
        return self.scene.call(words[0], self.scene.table, *words[1:])

    def waiting(self) -> int:
        """How many objects lie in the destination."""
        return int(self.scene.aws.client("s3").list_objects_v2(Bucket=self.failed)["KeyCount"])

    def check_gap(self) -> str:
        """It is seen: `status` shows it, and a restore across it is refused unless that is accepted, and then says so.

        The reason that `status` gives.
        """
        assert self.waiting()
        reasons = [gap.reason for gap in self.backup.status().gaps if f"redrive {self.scene.table}" in gap.reason]
        with pytest.raises(GapInTheWay):
            self.restore()
        assert any("changes may be missing" in each for each in self.restore(allow_gap=True).warnings)
        return reasons[0]

    def check_clean(self) -> None:
        """Nothing is missing any more: `status`, `verify` and a restore say the same."""
        assert self.waiting() == 0
        assert self.backup.status().gaps == []
        verified = self.backup.verify(patience=0)
        assert (verified.differences, verified.failed, verified.same) == (0, 0, len(self.scene.items()))
        self.restore()
        assert same(file_items(self._file), self.scene.items())

    def restore(self, *, allow_gap: bool = False) -> Restored:
        """All of the table as it is now, into a file."""
        self._file.unlink(missing_ok=True)
        return self.backup.restore(at="now", to_file=self._file, allow_gap=allow_gap)
