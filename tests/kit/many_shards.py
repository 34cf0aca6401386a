"""A table of the test servers whose stream has several shards, as AWS's has and theirs has not: for commands, end to end.

    with many_shards(scene, proxy) as stage:
        stage.put(range(30))
        stage.stream_server.shown = lambda stream: LateListing(stream, looks=10**9)
        scene.call("witness", scene.table)

Vault and table are the servers' own. The stream is served over HTTP by a `StreamsServer`, and the test steers it as that of any
`Stage`. It began some hours ago: its clock is set by hand, and stays behind that of the commands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from backstream.apps import aws_lambda
from backstream.clock import SystemClock
from backstream.model.changes.change import VIEW, Change, stream_label
from backstream.ports import Delete, Put
from kit.clock import ManualClock
from kit.function import Function
from kit.invocations import Invocation
from kit.proxy import FaultProxy, Request, Response, rewrite
from kit.records import lambda_record
from kit.scene import Scene
from kit.stage import Stage
from kit.streams_server import StreamsServer

HOUR = 3_600


class ManyShards(Stage):
    """`stream_server`: what commands read the stream from; `before_it`: stands between, for faults."""

    def __init__(self, scene: Scene, dynamodb: FaultProxy, *, ago: int, shards: int) -> None:
        self.manual = ManualClock(int(time.time()) - ago)
        super().__init__(self.manual, shards=shards, store=scene.store(), table=scene.table)
        self.scene = scene
        self.stream_server = StreamsServer(self.table, SystemClock())
        self.before_it = FaultProxy(self.stream_server.url)
        scene.create()
        self.table.id = scene.live().facts().table_id
        dynamodb.on(rewrite(self._described), operation="DescribeTable")
        scene.environment["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] = self.before_it.url

    def _described(self, _: Request, response: Response) -> Response:
        """What DescribeTable answers, with this stream as the table's."""
        body = json.loads(response.body)
        if "Table" not in body:
            return response
        arn = self.table.stream.arn
        body["Table"] |= {
            "LatestStreamArn": arn,
            "LatestStreamLabel": stream_label(arn),
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": VIEW},
        }
        headers = {name: value for name, value in response.headers.items() if name.lower() != "x-amz-crc32"}
        return replace(response, body=json.dumps(body).encode(), headers=headers)

    def fill(self) -> None:
        """Make the live table what it is by the stream."""
        rows, live = self.expected(), self.scene.items()
        self.scene.write([Put(each) for each in rows.values()] + [Delete(each) for key, each in live.items() if key not in rows])


@contextmanager
def many_shards(scene: Scene, dynamodb: FaultProxy, *, ago: int = 3 * HOUR, shards: int = 3) -> Iterator[ManyShards]:
    """The stage, and its servers for as long as the block runs. `dynamodb`: what stands between the commands and DynamoDB."""
    stage = ManyShards(scene, dynamodb, ago=ago, shards=shards)
    with stage.stream_server, stage.before_it:
        yield stage


class DeployedFunction(Function):
    """A `Function` whose batches go to the Lambda handler."""

    def __init__(self, stage: ManyShards) -> None:
        super().__init__(stage)
        self._scene = stage.scene

    def deliver(self, batch: Sequence[Change]) -> None:
        """One invocation; what it cannot keep fails."""
        assert self.invoke(batch) == []

    def invoke(self, batch: Sequence[Change]) -> list[str]:
        """One invocation; the numbers that it wants again."""
        records = [lambda_record(change, self.stage.table.stream.arn) for change in batch]
        environment = {**self._scene.environment, "BACKSTREAM_VAULT": self._scene.url}
        with patch.dict("os.environ", environment):
            answer = aws_lambda.handler({"Records": records}, Invocation())
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]
