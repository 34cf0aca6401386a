"""The kit's event source mapping does what AWS documents: what drills rest on is itself put to the test."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from backstream.tables.memory_stream import MemoryStream
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.mapping import EventSourceMapping, FunctionError, MappingSettings, NotInvoked, in_process, over_http, taken_of

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/flights/stream/2026-11-23T04:15:33.123"

Answer = Callable[[list[str]], list[str]]  # the numbers of an invocation to the identifiers of those that failed


class Bench:
    """A stream of `records` records, one a second, and a function that answers as told."""

    def __init__(self, records: int, answer: Answer, **settings: Any) -> None:
        self.clock = ManualClock()
        self.stream = MemoryStream(ARN, self.clock, shards=1)
        self.written: dict[str, dict[str, Any]] = {}
        self.answer = answer
        self.mapping = EventSourceMapping(
            MappingSettings(stream_arn=ARN, bucket="failed", **settings),
            self.stream,
            in_process(self._function),
            self.clock,
            lambda key, body: self.written.__setitem__(key, json.loads(body)),
        )
        self.add(records)

    def add(self, records: int) -> None:
        for _ in range(records):
            self.stream.append(images.key("z", 1), None, images.image("z", 1))
            self.clock.move(1)

    def _function(self, event: Any) -> dict[str, Any]:
        failed = self.answer([record["dynamodb"]["SequenceNumber"] for record in event["Records"]])
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    @property
    def numbers(self) -> list[str]:
        (shard,) = self.stream.facts().shards
        return [each.sequence for each in self.stream.read(shard.id, self.stream.iterator(shard.id, None)).changes]

    def invoked(self) -> list[list[int]]:
        """Each invocation's records, by their place in the stream."""
        places = {number: at for at, number in enumerate(self.numbers)}
        return [[places[number] for number in event] for event in self.mapping.events]

    def given_up(self) -> list[tuple[str, int, list[int]]]:
        """Why, after how many invocations, and which records."""
        places = {number: at for at, number in enumerate(self.numbers)}
        return [
            (
                each["requestContext"]["condition"],
                each["requestContext"]["approximateInvokeCount"],
                [places[record["dynamodb"]["SequenceNumber"]] for record in json.loads(each["payload"])["Records"]],
            )
            for each in self.written.values()
        ]


def fine(_numbers: Sequence[str]) -> list[str]:
    return []


def broken(_numbers: Sequence[str]) -> list[str]:
    raise FunctionError("it raised")


def test_batches_and_where_the_next_run_goes_on() -> None:
    bench = Bench(5, fine, batch_size=2)
    bench.mapping.run()
    bench.add(1)
    bench.mapping.run()
    assert bench.invoked() == [[0, 1], [2, 3], [4], [5]]
    assert bench.written == {}


def test_an_error_is_retried_as_often_as_told_and_then_lands_in_the_destination() -> None:
    bench = Bench(3, broken, retries=2)
    bench.mapping.run()
    assert bench.invoked() == [[0, 1, 2]] * 3
    assert bench.given_up() == [("RetryAttemptsExhausted", 3, [0, 1, 2])]
    bench.answer = fine
    bench.add(1)
    bench.mapping.run()
    assert bench.invoked()[3:] == [[3]], "it goes on behind what was given up"


def test_the_documented_object() -> None:
    bench = Bench(2, broken, retries=0)
    bench.mapping.run()
    ((key, record),) = bench.written.items()
    folder, mapping, shard, year, month, day, name = key.removeprefix("aws/").split("/")
    assert (folder, mapping) == ("lambda", bench.mapping.settings.uuid)
    assert shard == bench.stream.facts().shards[0].id
    assert name.startswith(f"{year}-{month}-{day}T")
    assert name[10:20].count(".") == 2
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    info = record["DDBStreamBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (*bench.numbers, 2)
    assert (info["streamArn"], info["shardId"]) == (ARN, shard)
    assert info["approximateArrivalOfFirstRecord"] == "2023-11-14T22:13:20Z"
    assert isinstance(record["payload"], str), "the event is an escaped JSON string"


def test_bisecting_isolates_the_bad_record_and_takes_nothing_of_the_quota() -> None:
    bench = Bench(4, fine, retries=1, bisect=True)
    poison = bench.numbers[2]

    def raising(numbers: list[str]) -> list[str]:
        return broken(numbers) if poison in numbers else []

    bench.answer = raising
    bench.mapping.run()
    assert bench.invoked() == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [2], [3]]
    assert bench.given_up() == [("RetryAttemptsExhausted", 4, [2])]


def test_a_partial_response_moves_the_checkpoint_to_the_lowest_number() -> None:
    bench = Bench(4, fine, retries=2, partial=True)
    third, fourth = bench.numbers[2:]
    bench.answer = lambda _numbers: [fourth, third]
    bench.mapping.run()
    assert bench.invoked() == [[0, 1, 2, 3], [2, 3], [2, 3]]
    assert bench.given_up() == [("RetryAttemptsExhausted", 3, [2, 3])]


def test_a_partial_response_with_bisecting_splits_at_the_number() -> None:
    bench = Bench(4, fine, retries=1, partial=True, bisect=True)
    poison = bench.numbers[2]
    bench.answer = lambda numbers: [poison] if poison in numbers else []
    bench.mapping.run()
    assert bench.invoked() == [[0, 1, 2, 3], [2, 3], [2, 3]], "the split is no retry"
    assert bench.given_up() == [("RetryAttemptsExhausted", 3, [2, 3])]


def test_without_the_response_type_a_partial_response_is_not_read() -> None:
    bench = Bench(2, list, retries=1)
    bench.mapping.run()
    assert bench.invoked() == [[0, 1]]


@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"batchItemFailures":[]}', b'{"batchItemFailures":null}'])
def test_complete_success(answer: bytes) -> None:
    assert taken_of(answer, [{"dynamodb": {"SequenceNumber": "1"}}]) == 1


@pytest.mark.parametrize("failure", [{"itemIdentifier": ""}, {"itemIdentifier": None}, {"itemidentifier": "2"}])
def test_complete_failure(failure: dict[str, Any]) -> None:
    records = [{"dynamodb": {"SequenceNumber": number}} for number in ("1", "2")]
    assert taken_of(json.dumps({"batchItemFailures": [failure]}).encode(), records) == 0


def test_throttling_is_no_attempt_but_the_records_grow_older() -> None:
    bench = Bench(3, fine, retries=0, max_age=60)
    times = iter(range(3))

    def throttled(_numbers: list[str]) -> list[str]:
        if next(times, None) is not None:
            raise NotInvoked("429")
        return []

    bench.answer = throttled
    bench.mapping.run()
    assert bench.written == {}
    assert sum(bench.clock.slept) == 2 + 4 + 8

    def always(_numbers: list[str]) -> list[str]:
        raise NotInvoked("429")

    bench.answer = always
    bench.add(2)
    bench.mapping.run()
    assert bench.given_up() == [("RecordAgeExceeded", 0, [3, 4])]
    assert "responseContext" not in next(iter(bench.written.values()))


def test_only_what_is_too_old_is_given_up() -> None:
    bench = Bench(1, fine, max_age=100, retries=-1)
    bench.clock.move(200)
    bench.add(1)
    bench.mapping.run()
    assert bench.given_up() == [("RecordAgeExceeded", 0, [0])]
    assert bench.invoked() == [[1]]


def test_without_end_means_until_the_stream_forgets() -> None:
    bench = Bench(1, broken)
    bench.mapping.run()
    assert bench.clock.now() > 1_700_000_000 + 86_400
    assert len(bench.written) == 1


def test_an_event_holds_six_megabytes_at_most() -> None:
    bench = Bench(0, fine, batch_size=1000)
    for _ in range(20):
        bench.stream.append(images.key("z", 1), None, images.image("z", 1, s={"S": "x" * 380_000}))
    sizes = []

    def measure(event: bytes) -> bytes:
        sizes.append(len(event))
        return b""

    EventSourceMapping(bench.mapping.settings, bench.stream, measure, bench.clock).run()
    assert len(sizes) == 2
    assert max(sizes) <= 6 * 1024 * 1024


def test_a_parent_is_read_before_its_children() -> None:
    bench = Bench(2, fine)
    (shard,) = bench.stream.facts().shards
    bench.stream.split(shard.id)
    bench.add(1)
    bench.mapping.run()
    assert [len(event) for event in bench.mapping.events] == [2, 1]


FUNCTION = """
def handler(event, context):
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    if len(numbers) > 2:
        raise ValueError("too many")
    return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers[1:]]}
"""


def test_a_deployed_function_by_the_settings_of_its_mapping(aws: Aws, table_name: str) -> None:
    """Three records: an error, bisected; of the pair the second fails until it has been tried enough."""
    functions, name = aws.client("lambda"), f"pairs-{table_name}"
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("pairs.py", FUNCTION)
    role = aws.client("iam").create_role(RoleName=f"role-{table_name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions.create_function(
        FunctionName=name, Runtime="python3.11", Handler="pairs.handler", Role=role, Code={"ZipFile": code.getvalue()}
    )
    made = functions.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=ARN,
        StartingPosition="TRIM_HORIZON",
        Enabled=False,
        MaximumRetryAttempts=0,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::my-backups-failed"}},
    )
    settings = MappingSettings.of(functions.get_event_source_mapping(UUID=made["UUID"]))
    bench = Bench(3, fine)
    written: list[bytes] = []
    mapping = EventSourceMapping(
        settings, bench.stream, over_http(functions, name), bench.clock, lambda _key, body: written.append(body)
    )
    mapping.run()
    assert [len(event) for event in mapping.events] == [3, 1, 2, 1]
    assert written == []
    with pytest.raises(NotInvoked):
        over_http(functions, f"{name}-gone")(b"{}")
    functions.delete_event_source_mapping(UUID=made["UUID"])
    functions.delete_function(FunctionName=name)


def test_settings_as_a_deployed_mapping_has_them() -> None:
    deployed = {
        "UUID": "u",
        "EventSourceArn": ARN,
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "BatchSize": 7,
        "MaximumRetryAttempts": 3,
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::my-backups-failed"}},
    }
    settings = MappingSettings.of(deployed)
    assert (settings.batch_size, settings.retries, settings.max_age) == (7, 3, 3600)
    assert (settings.bisect, settings.partial, settings.bucket) == (True, True, "my-backups-failed")
    plain = MappingSettings.of({"UUID": "u", "EventSourceArn": ARN, "FunctionArn": "f"})
    assert (plain.batch_size, plain.retries, plain.max_age, plain.bisect, plain.partial, plain.bucket) == (
        100,
        -1,
        -1,
        False,
        False,
        None,
    )
