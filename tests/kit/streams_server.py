"""A DynamoDB Streams endpoint on loopback, for what ministack's stream lacks: many shards, splits, expired iterators, trimming.

    table = MemoryTable("orders", clock, schema, shards=3)
    with StreamsServer(table, clock) as server:
        page = server.stream().facts()

The test steers `table` and its `stream` while clients read over the real protocol: DescribeStream, GetShardIterator, GetRecords,
and DescribeTable. For throttling and broken connections, put a `FaultProxy` before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import msgspec

from backstream.errors import BackstreamError, Failed, IteratorExpired, MissingTable, NotFound, RecordsTrimmed
from backstream.model.changes.change import MICROS, VIEW, Change
from backstream.ports import ChangeStream, Clock, Shard
from backstream.tables.memory import MemoryTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit.aws import Aws

CALLER = Aws({"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})

# The first class that fits is the one.
CODES: Mapping[type[BackstreamError], str] = {
    IteratorExpired: "ExpiredIteratorException",
    RecordsTrimmed: "TrimmedDataAccessException",
    NotFound: "ResourceNotFoundException",
    Failed: "ValidationException",
}


class StreamsServer:
    """Serves one table and all its streams; `clock`: the table's, also told in each answer's Date. `others`: more tables.

    `page_shards`: how many shards DescribeStream gives at once; AWS gives 100. `shown`: makes what clients see of each stream.
    """

    def __init__(self, table: MemoryTable, clock: Clock, *, others: Sequence[MemoryTable] = (), page_shards: int = 100) -> None:
        self.clock = clock
        self.shown: Callable[[ChangeStream], ChangeStream] = lambda stream: stream
        self._table = table
        self._tables = {each.name: each for each in (table, *others)}
        self._page_shards = page_shards
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stream(self, *, url: str | None = None) -> DynamoStream:
        """The table's latest stream, read over the protocol; `url`: of a proxy in between."""
        client = CALLER.client("dynamodbstreams", url=url or self.url, config=recommended_config())
        return DynamoStream(BotoRaw(client), self._table.stream.arn)

    def answer(self, operation: str, request: Mapping[str, Any]) -> object:
        """The JSON answer to one request. Raises our own errors, which the handler spells as DynamoDB does."""
        operations: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
            "DescribeTable": self._describe_table,
            "DescribeStream": self._describe_stream,
            "GetShardIterator": self._get_shard_iterator,
            "GetRecords": self._get_records,
        }
        if operation not in operations:
            raise Failed(f"this server does not know {operation}")
        return operations[operation](request)

    def _describe_table(self, request: Mapping[str, Any]) -> object:
        if request["TableName"] not in self._tables:
            raise MissingTable(f"Table: {request['TableName']} not found")
        return {"Table": msgspec.Raw(self._tables[request["TableName"]].facts().description)}

    def _stream(self, arn: str) -> ChangeStream:
        found = [stream for table in self._tables.values() for stream in table.streams if stream.arn == arn]
        if not found:
            raise NotFound(f"Requested resource not found: Stream: {arn} not found")
        return self.shown(found[0])

    def _describe_stream(self, request: Mapping[str, Any]) -> object:
        facts = self._stream(request["StreamArn"]).facts()
        shards = list(facts.shards)
        if after := request.get("ExclusiveStartShardId"):
            shards = shards[[shard.id for shard in shards].index(after) + 1 :]
        description = {
            "StreamArn": facts.arn,
            "StreamLabel": facts.label,
            "StreamStatus": "ENABLED" if facts.enabled else "DISABLED",
            "StreamViewType": facts.view,
            "TableName": facts.arn.split("/")[1],
            "Shards": [_shard(shard) for shard in shards[: self._page_shards]],
        }
        if len(shards) > self._page_shards:
            description["LastEvaluatedShardId"] = shards[self._page_shards - 1].id
        return {"StreamDescription": description}

    def _get_shard_iterator(self, request: Mapping[str, Any]) -> object:
        after = request["SequenceNumber"] if request["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER" else None
        iterator = self._stream(request["StreamArn"]).iterator(request["ShardId"], after)
        return {"ShardIterator": f"{request['StreamArn']}|{iterator}"}

    def _get_records(self, request: Mapping[str, Any]) -> object:
        arn, _, iterator = request["ShardIterator"].partition("|")
        page = self._stream(arn).read("", iterator)
        answer: dict[str, object] = {"Records": [_record(change) for change in page.changes]}
        if page.next is not None:
            answer["NextShardIterator"] = f"{arn}|{page.next}"
        return answer


def _shard(shard: Shard) -> object:
    numbers = {"StartingSequenceNumber": shard.first, "EndingSequenceNumber": shard.last}
    described = {
        "ShardId": shard.id,
        "SequenceNumberRange": {name: number for name, number in numbers.items() if number is not None},
    }
    return described if shard.parent is None else {**described, "ParentShardId": shard.parent}


def _record(change: Change) -> object:
    """A record as GetRecords gives it, the images spliced in."""
    images = {"Keys": change.keys, "OldImage": change.old, "NewImage": change.new}
    record: dict[str, object] = {
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": change.micros / MICROS,
            **{name: msgspec.Raw(image) for name, image in images.items() if image is not None},
            "SequenceNumber": change.sequence,
            "SizeBytes": sum(len(image) for image in images.values() if image is not None),
            "StreamViewType": VIEW,
        },
        "eventID": change.event_id,
        "eventName": change.event,
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
    }
    if change.actor is not None:
        record["userIdentity"] = {"principalId": change.actor, "type": "Service"}
    return record


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, streams: StreamsServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.streams = streams


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def do_POST(self) -> None:
        """Every operation is a POST; X-Amz-Target names it."""
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self._send(200, self.server.streams.answer(operation, request))
        except BackstreamError as error:
            code = next(code for cls, code in CODES.items() if isinstance(error, cls))
            self._send(400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": error.message})

    def _send(self, status: int, answer: object) -> None:
        body = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header: by the table's clock."""
        return super().date_time_string(self.server.streams.clock.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
