"""An event source mapping on a DynamoDB stream, as AWS documents it: batches, retries, bisecting, partial responses, ages, S3.

The embedded server's own mapping knows none of what follows a failure. Sources:
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html (what is tried how often, what is written of the rest),
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html (partial responses and bisecting),
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html (the settings).

Left out: the batching window, filters, and several invocations at once for a shard (ParallelizationFactor); records that the stream
itself no longer holds (a day) are given up like those of MaximumRecordAgeInSeconds.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from backstream.model import moment
from backstream.ports import ChangeStream, Clock, Shard
from kit.records import lambda_record

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

Record = dict[str, Any]
Invoke = Callable[[bytes], bytes]  # an event to the function's answer; raises `NotInvoked`, `FunctionError`

RETENTION = 86_400
EVENT_BYTES = 6 * 1024 * 1024  # the most that an invocation is given
LONGEST_WAIT = 60.0
EMPTY_ANSWERS = 4  # of GetRecords, after which there is nothing more


class NotInvoked(Exception):
    """The function did not run: throttled (429), or not to be reached. It counts as no attempt."""


class FunctionError(Exception):
    """It ran, and raised or ran out of time."""


@dataclass(frozen=True)
class MappingSettings:
    """As of `create_event_source_mapping`; -1: without end. `bucket`: the on-failure destination's name, or None."""

    stream_arn: str
    function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:keep"
    uuid: str = "5a5f0a9c-0000-4000-8000-000000000001"
    batch_size: int = 100
    retries: int = -1
    max_age: int = -1
    bisect: bool = False
    partial: bool = False
    bucket: str | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> MappingSettings:
        """Those of a deployed mapping: what `get_event_source_mapping` answers."""
        arn = answer.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        return cls(
            stream_arn=answer["EventSourceArn"],
            function_arn=answer["FunctionArn"],
            uuid=answer["UUID"],
            batch_size=answer.get("BatchSize", 100),
            retries=answer.get("MaximumRetryAttempts", -1),
            max_age=answer.get("MaximumRecordAgeInSeconds", -1),
            bisect=answer.get("BisectBatchOnFunctionError", False),
            partial="ReportBatchItemFailures" in answer.get("FunctionResponseTypes", []),
            bucket=arn.removeprefix("arn:aws:s3:::") if arn and ":s3:::" in arn else None,
        )


def over_http(client: LambdaClient, function: str) -> Invoke:
    """The deployed function, by Lambda's Invoke API."""

    def invoke(event: bytes) -> bytes:
        try:
            answer = client.invoke(FunctionName=function, Payload=event)
        except ClientError as error:
            raise NotInvoked(str(error)) from error
        body = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise FunctionError(body.decode())
        return body

    return invoke


def in_process(handler: Callable[[Any], Any]) -> Invoke:
    """A function of this process: an event to its answer; what it raises is a function's error."""

    def invoke(event: bytes) -> bytes:
        try:
            return json.dumps(handler(json.loads(event))).encode()
        except NotInvoked:
            raise
        except Exception as error:
            raise FunctionError(str(error)) from error

    return invoke


class EventSourceMapping:
    """Delivers what is in the stream; each `run` goes on where the last one ended. Waits by `clock`, which may be set by hand.

    `put`: writes an object (key, body) into the destination. `alter`: what becomes of a record before it is delivered.
    `events`: the sequence numbers of every invocation; `given_up`: the keys that were written to the destination.
    """

    def __init__(
        self,
        settings: MappingSettings,
        stream: ChangeStream,
        invoke: Invoke,
        clock: Clock,
        put: Callable[[str, bytes], object] = lambda _key, _body: None,
        alter: Callable[[Record], Record] = lambda record: record,
    ) -> None:
        self.settings = settings
        self._stream = stream
        self._invoke = invoke
        self._clock = clock
        self._put = put
        self._alter = alter
        self._reached: dict[str, str] = {}
        self.events: list[list[str]] = []
        self.given_up: list[str] = []

    def run(self) -> None:
        """Until nothing of what is in the stream now is left to deliver: each record was taken, or given up."""
        for shard in _parents_first(self._stream.facts().shards):
            records = list(self._read(shard))
            for batch in self._batches(records):
                _Delivery(self, shard.id).of(batch)
                self._reached[shard.id] = _number(batch[-1])

    def _read(self, shard: Shard) -> Iterator[Record]:
        iterator: str | None = self._stream.iterator(shard.id, self._reached.get(shard.id))
        empty = 0
        while iterator is not None and empty < EMPTY_ANSWERS:
            page = self._stream.read(shard.id, iterator)
            empty = 0 if page.changes else empty + 1
            yield from (self._alter(lambda_record(change, self.settings.stream_arn)) for change in page.changes)
            iterator = page.next

    def _batches(self, records: Sequence[Record]) -> Iterator[list[Record]]:
        batch: list[Record] = []
        size = 0
        for record in records:
            weight = len(json.dumps(record)) + 2
            if batch and (len(batch) == self.settings.batch_size or size + weight > EVENT_BYTES - 100):
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += weight
        if batch:
            yield batch

    # --- for a delivery ---

    def now(self) -> float:
        """The mapping's time."""
        return self._clock.now()

    def wait(self, seconds: float) -> None:
        """Before something is tried again."""
        self._clock.sleep(seconds)

    def invoke(self, records: Sequence[Record]) -> int:
        """Call the function; how many records, from the first on, it took."""
        self.events.append([_number(record) for record in records])
        answer = self._invoke(_event(records))
        return taken_of(answer, records) if self.settings.partial else len(records)

    def give_up(
        self, shard: str, records: Sequence[Record], condition: str, invoked: int, context: Mapping[str, Any] | None
    ) -> None:
        """Write the record of a batch that is tried no more, if there is a destination: else it is lost."""
        if self.settings.bucket is None:
            return
        now = time.gmtime(self._clock.now())
        name = f"{time.strftime('%Y-%m-%dT%H.%M.%S', now)}-{uuid.uuid4()}"
        key = f"aws/lambda/{self.settings.uuid}/{shard}/{time.strftime('%Y/%m/%d', now)}/{name}"
        self._put(key, invocation_record(self.settings, shard, records, condition, invoked, self._clock.now(), context))
        self.given_up.append(key)


class _Delivery:
    """One batch on its way: tried until each of its records was taken, or given up."""

    def __init__(self, mapping: EventSourceMapping, shard: str) -> None:
        self._mapping = mapping
        self._settings = mapping.settings
        self._shard = shard
        self._context: dict[str, Any] | None = None

    def of(self, records: Sequence[Record], retried: int = 0, invoked: int = 0) -> None:
        throttled = 0
        while records := self._young(records, invoked):
            try:
                taken = self._taken(records)
            except NotInvoked:
                throttled += 1
                self._mapping.wait(_backoff(throttled))
                continue
            except FunctionError:
                taken = 0
                if self._settings.bisect and len(records) > 1:
                    half = len(records) // 2  # splitting does not consume the retry quota
                    self.of(records[:half], retried, invoked + 1)
                    self.of(records[half:], retried, invoked + 1)
                    return
            invoked += 1
            records = records[taken:]
            if taken and self._settings.bisect:
                continue  # split at the number that was answered: only the rest is tried again
            if records and 0 <= self._settings.retries <= retried:
                self._give_up(records, "RetryAttemptsExhausted", invoked)
                return
            retried += 1
            if records:
                self._mapping.wait(_backoff(retried))

    def _taken(self, records: Sequence[Record]) -> int:
        """How many of them, from the first on, the function took."""
        self._context = None
        try:
            taken = self._mapping.invoke(records)
        except FunctionError:
            self._context = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
            raise
        self._context = {"statusCode": 200, "executedVersion": "$LATEST"}
        return taken

    def _young(self, records: Sequence[Record], invoked: int) -> Sequence[Record]:
        """Those that are not too old yet; the others are given up."""
        age = RETENTION if self._settings.max_age < 0 else min(self._settings.max_age, RETENTION)
        oldest = self._mapping.now() - age
        expired = next((at for at, record in enumerate(records) if _created(record) >= oldest), len(records))
        if expired:
            self._give_up(records[:expired], "RecordAgeExceeded", invoked)
        return records[expired:]

    def _give_up(self, records: Sequence[Record], condition: str, invoked: int) -> None:
        self._mapping.give_up(self._shard, records, condition, invoked, self._context)


def _backoff(times: int) -> float:
    return min(2.0 ** min(times, 10), LONGEST_WAIT)


def taken_of(answer: bytes, records: Sequence[Record]) -> int:
    """How many records, from the first on, a partial response says were taken: all of a success, 0 of a complete failure."""
    told = json.loads(answer) if answer else None
    failures = told.get("batchItemFailures") if told else None
    if not failures:
        return len(records)
    positions = {_number(record): at for at, record in enumerate(records)}
    named = [failure.get("itemIdentifier") for failure in failures]
    return min(positions.get(each, 0) if isinstance(each, str) else 0 for each in named)


def invocation_record(
    settings: MappingSettings,
    shard: str,
    records: Sequence[Record],
    condition: str,
    invoked: int,
    now: float,
    context: Mapping[str, Any] | None = None,
) -> bytes:
    """What Lambda writes to S3 of a batch: the metadata, and the whole event as a string of JSON."""
    record = {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": settings.function_arn,
            "condition": condition,
            "approximateInvokeCount": invoked,
        },
        **({} if context is None else {"responseContext": dict(context)}),
        "version": "1.0",
        "timestamp": moment.iso_millis(now),
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": _number(records[0]),
            "endSequenceNumber": _number(records[-1]),
            "approximateArrivalOfFirstRecord": moment.iso(_created(records[0])),
            "approximateArrivalOfLastRecord": moment.iso(_created(records[-1])),
            "batchSize": len(records),
            "streamArn": settings.stream_arn,
        },
        "payload": _event(records).decode(),
    }
    return json.dumps(record).encode()


def _event(records: Sequence[Record]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()


def _number(record: Record) -> str:
    return str(record["dynamodb"].get("SequenceNumber", ""))


def _created(record: Record) -> float:
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def _parents_first(shards: Sequence[Shard]) -> list[Shard]:
    known = {shard.id: shard for shard in shards}

    def depth(shard: Shard) -> int:
        return 0 if shard.parent not in known else 1 + depth(known[shard.parent])

    return sorted(shards, key=depth)
