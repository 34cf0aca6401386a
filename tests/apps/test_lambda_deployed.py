"""The built zip deployed as a function behind an event source mapping: what is written to the table arrives, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import backstream
from backstream.apps.config import Config
from backstream.apps.library import TableBackup
from backstream.operations.doctor import expected
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.aws import Aws
from kit.kinesis import active_stream
from kit.stage import wait_for


@pytest.fixture
def backup(
    aws: Aws,
    bucket: str,
    table_name: str,
    lambda_zip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[TableBackup]:
    """A table whose changes a function keeps in the bucket, from its own stream or from a Kinesis stream."""
    layout, from_kinesis = request.param
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    url = f"s3://{bucket}/vault"
    aws.client("dynamodb").create_table(
        TableName=table_name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = backstream.open(url).table(table_name)
    stream = kinesis_stream(aws, table_name) if from_kinesis else None
    made.init(layout=layout, enable_stream=not from_kinesis, kinesis=stream)
    stream = stream or aws.client("dynamodb").describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    functions = aws.client("lambda")
    role = aws.client("iam").create_role(RoleName=f"role-{table_name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions.create_function(
        FunctionName=f"keep-{table_name}",
        Runtime="python3.11",
        Handler="backstream.apps.aws_lambda.handler",
        Role=role,
        Timeout=30,
        Code={"ZipFile": lambda_zip.read_bytes()},
        Environment={"Variables": {"BACKSTREAM_VAULT": url, **aws.environment}},
    )
    mapping = functions.create_event_source_mapping(
        FunctionName=f"keep-{table_name}",
        EventSourceArn=stream,
        StartingPosition="TRIM_HORIZON",
        BatchSize=40,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    yield made
    functions.delete_event_source_mapping(UUID=mapping["UUID"])
    functions.delete_function(FunctionName=f"keep-{table_name}")


def kinesis_stream(aws: Aws, table: str) -> str:
    """The ARN of a new one that the table's changes go to."""
    aws.client("kinesis").create_stream(StreamName=table, ShardCount=2)
    arn = active_stream(aws, table)
    aws.client("dynamodb").enable_kinesis_streaming_destination(TableName=table, StreamArn=arn)
    return arn


def run_witness(aws: Aws, bucket: str, table: str, code: Path) -> dict[str, Any]:
    """Deploy the witness out of the same zip, and invoke it once, as its schedule does."""
    functions, name = aws.client("lambda"), f"witness-{table}"
    role = aws.client("iam").create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler=expected.WITNESS_HANDLER,
        Role=role,
        Timeout=60,
        Code={"ZipFile": code.read_bytes()},
        Environment={"Variables": {"BACKSTREAM_VAULT": f"s3://{bucket}/vault", **aws.environment}},
    )
    wait_for(lambda: functions.get_function_configuration(FunctionName=name)["State"] == "Active")
    answer = functions.invoke(FunctionName=name, Payload=json.dumps({"table": table}).encode())
    body = answer["Payload"].read()
    functions.delete_function(FunctionName=name)
    assert "FunctionError" not in answer, body
    return dict(json.loads(body))


def live(aws: Aws, table: str) -> dict[str, Mapping[str, Any]]:
    return {item["id"]["S"]: item for item in aws.client("dynamodb").scan(TableName=table)["Items"]}


@pytest.mark.parametrize(
    "backup",
    [
        (Layout.ROWS, False),
        *(pytest.param(each, marks=pytest.mark.soak) for each in ((Layout.LOG, False), (Layout.ROWS, True), (Layout.LOG, True))),
    ],
    ids=["rows", "log", "rows from Kinesis", "log from Kinesis"],
    indirect=True,
)
def test_what_is_written_arrives_and_comes_back(
    aws: Aws, backup: TableBackup, bucket: str, table_name: str, tmp_path: Path, lambda_zip: Path
) -> None:
    dynamodb = aws.client("dynamodb")
    for number in range(120):
        text = {"id": {"S": f"item-{number % 50}"}, "n": {"N": str(number)}, "b": {"M": {"x": {"B": bytes([number])}}}}
        dynamodb.put_item(TableName=table_name, Item=text)  # type: ignore[arg-type] # the stub does not know nested values
    for number in range(0, 50, 5):
        dynamodb.delete_item(TableName=table_name, Key={"id": {"S": f"item-{number}"}})
    wait_for(lambda: backup.status().changes >= 130, "the function has not kept all changes")
    status = backup.status()
    assert (status.changes, status.captured_by, status.gaps) == (130, ["lambda"], [])

    log = Config(f"s3://{bucket}/vault").vault(table_name).log
    segments = [each for each in log.listing() if each.segment is not None]
    assert {each.segment.kind for each in segments if each.segment is not None} == {SegmentKind.LAMBDA}
    assert {log.metadata(each)["writer"] for each in segments} == {f"keep-{table_name}"}, "it ran there, and not here"

    assert (status.window_to, len(status.unproven)) == (None, 1), "the function alone proves nothing"
    found = run_witness(aws, bucket, table_name, lambda_zip)
    assert (found["table"], found["checked"], found["missing"], found["caught_up"]) == (table_name, 130, 0, True)
    status = backup.status()
    assert status.watermark is not None
    assert (status.watermark.by, status.watermark.writer, status.unproven) == ("witness", f"witness-{table_name}", [])
    assert status.watermark.second == found["proven_to"]
    late = Config(f"s3://{bucket}/vault").vault(table_name).catalog.kinesis is not None
    assert status.window_to == (None if late else found["proven_to"]), "from Kinesis minutes are waited for, and it began just now"

    restored = backup.restore(at="now", to=f"{table_name}-again")
    assert (restored.put, restored.failed) == (40, 0)
    assert live(aws, f"{table_name}-again") == live(aws, table_name)
    assert backup.restore(at="now", to_file=tmp_path / "all.json").put == 40
    items = [json.loads(line)["Item"] for line in (tmp_path / "all.json").read_text().splitlines()]
    assert {item["id"]["S"] for item in items} == set(live(aws, table_name))
