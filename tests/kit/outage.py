"""A table, its function and its event source mapping, with everything between them that may break: for failure drills.

The handler runs in this process, its mapping is the kit's, table and buckets are real servers'. What breaks is S3 as the function
sees it (`s3`), the function itself (`fails`), or a record (`poison`).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from backstream.apps import aws_lambda
from backstream.layouts.catalog import Layout
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit.clock import ManualClock
from kit.images import image, key
from kit.invocations import Invocation
from kit.mapping import EventSourceMapping, MappingSettings, Record, in_process
from kit.proxy import FaultProxy
from kit.scene import Ran, Scene, file_items, same


class Outage:
    """`clock`: the mapping's time; `failed`: the on-failure destination; `seconds`: that the function has for an invocation."""

    def __init__(self, scene: Scene, s3: FaultProxy, layout: Layout, **settings: Any) -> None:
        self.scene = scene
        self.s3 = s3
        self.failed = f"{scene.bucket}-failed-{uuid.uuid4().hex[:6]}"
        scene.aws.client("s3").create_bucket(Bucket=self.failed)
        scene.create()
        scene.init(layout=layout, failures=f"s3://{self.failed}")
        self.clock = ManualClock(time.time())
        self.seconds = 8.0
        self.fails: Callable[[list[Record]], None] = lambda _: None
        self.poison: Callable[[Record], Record] = lambda record: record
        arn = scene.live().facts().stream_arn or ""
        stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn)
        words = MappingSettings(arn, bucket=self.failed, partial=True, **settings)
        self.mapping = EventSourceMapping(words, stream, in_process(self._function), self.clock, self._put, self._altered)

    def _function(self, event: dict[str, Any]) -> dict[str, Any]:
        self.fails(event["Records"])
        environment = {**self.scene.aws.environment, "AWS_ENDPOINT_URL": self.s3.url, "BACKSTREAM_VAULT": self.scene.url}
        with patch.dict(os.environ, environment):
            return dict(aws_lambda.handler(event, Invocation(self.seconds)))

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

        What `status` says.
        """
        assert self.waiting()
        told = self.run("status").out
        assert f"redrive {self.scene.table}" in told.partition("GAP")[2]
        refused = self.restore("a.json")
        assert (refused.code, "changes may be missing" in refused.err) == (4, True)
        accepted = self.restore("a.json", "--allow-gap")
        assert accepted.code == 0, accepted.err
        assert "changes may be missing" in accepted.err
        return told

    def check_clean(self) -> None:
        """Nothing is missing any more: `status`, `verify` and a restore say the same."""
        assert self.waiting() == 0
        assert self.run("status", "--json").json()["gaps"] == []
        verified = self.run("verify", "--json", "--patience", "0")
        assert verified.code == 0, verified.out
        restored = self.restore("b.json")
        assert restored.code == 0, restored.err
        assert same(file_items(self.scene.folder / "b.json"), self.scene.items())

    def restore(self, name: str, *words: str) -> Ran:
        """All of the table as it is now, into a file of its own."""
        path: Path = self.scene.folder / name
        path.unlink(missing_ok=True)
        return self.run("restore", "--at", "now", "--to-file", str(path), "--json", *words)
