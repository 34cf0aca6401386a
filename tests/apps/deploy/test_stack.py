"""The template deployed as a person does, by the AWS CLI: what is there then, and what is there when the stack is gone."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.deploy import Choices, template
from kit.aws import Aws
from kit.aws_cli import aws_cli
from kit.recorded import ACCOUNT, REGION

TRIVIAL = "def handler(event, context):\n    return {'batchItemFailures': []}\n"


def a_zip() -> bytes:
    """A function's code that does nothing: what is built and deployed for real is another test's."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for module in ("aws_lambda", "aws_witness", "aws_drill", "aws_retain"):
            archive.writestr(f"backstream/apps/{module}.py", TRIVIAL)
    return body.getvalue()


@pytest.fixture
def stack(aws: Aws, bucket: str, table_name: str, tmp_path: Path) -> Iterator[str]:
    """A stack's name; the stack itself, for two tables."""
    tables = [table_name, f"{table_name}-2"]
    arns = [stream_of(aws, table) for table in tables]
    aws.client("s3").put_object(Bucket=bucket, Key="backstream.zip", Body=a_zip())
    path = tmp_path / "stack.yaml"
    path.write_text(template(Choices(tables=tables, streams=dict(zip(tables, arns, strict=True)))))
    name = table_name.replace("test-", "kept-")
    given = [f"CodeBucket={bucket}", "CodeKey=backstream.zip", "Runtime=python3.11", "ParallelizationFactor=2"]
    deploy = ["cloudformation", "deploy", "--stack-name", name, "--template-file", str(path), "--s3-bucket", bucket]
    aws_cli(aws, *deploy, "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *given)
    yield name
    aws.client("cloudformation").delete_stack(StackName=name)


def stream_of(aws: Aws, table: str) -> str:
    made = aws.client("dynamodb").create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return made["TableDescription"]["LatestStreamArn"]


def test_it_deploys_as_it_says_and_the_buckets_outlive_it(aws: Aws, stack: str, table_name: str) -> None:
    (told,) = json.loads(aws_cli(aws, "cloudformation", "describe-stacks", "--stack-name", stack))["Stacks"]
    assert told["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in told["Outputs"]}
    vault, failures = (f"{stack}-{word}-{ACCOUNT}-{REGION}" for word in ("vault", "failures"))
    assert (outputs["VaultUrl"], outputs["FailuresUrl"]) == (f"s3://{vault}/vault", f"s3://{failures}")
    said = [value for name, value in outputs.items() if name.endswith("Next")]
    assert f"backstream init {table_name} --vault s3://{vault}/vault --failures s3://{failures}" in said

    check_function(aws, stack, vault)
    check_mappings(aws, stack, failures)
    check_watching(aws, stack)
    check_buckets(aws, vault, failures)
    aws_cli(aws, "cloudformation", "delete-stack", "--stack-name", stack)
    aws_cli(aws, "cloudformation", "wait", "stack-delete-complete", "--stack-name", stack)
    assert aws.client("lambda").list_event_source_mappings(FunctionName=f"{stack}-capture")["EventSourceMappings"] == []
    check_buckets(aws, vault, failures)


def check_function(aws: Aws, stack: str, vault: str) -> None:
    function = aws.client("lambda").get_function_configuration(FunctionName=f"{stack}-capture")
    assert function["Handler"] == "backstream.apps.aws_lambda.handler"
    variables = {
        "BACKSTREAM_VAULT": f"s3://{vault}/vault",
        "BACKSTREAM_BUCKET_OWNER": "000000000000",
        "BACKSTREAM_PARALLELIZATION": "2",
    }
    assert function["Environment"]["Variables"] == variables
    assert (int(function["Timeout"]), int(function["MemorySize"])) == (120, 512)
    role = function["Role"].rpartition("/")[2]
    iam = aws.client("iam")
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["capture"]
    document: Any = iam.get_role_policy(RoleName=role, PolicyName="capture")["PolicyDocument"]
    granted = {each["Sid"]: each for each in document["Statement"]}
    assert granted["FindVersions"]["Resource"] == [f"arn:aws:s3:::{vault}"]
    assert granted["FindVersions"]["Condition"] == {"StringEquals": {"aws:ResourceAccount": ["000000000000"]}}
    drill = aws.client("lambda").get_function_configuration(FunctionName=f"{stack}-drill")
    assert (drill["Handler"], int(drill["Timeout"])) == ("backstream.apps.aws_drill.handler", 900)
    witness = aws.client("lambda").get_function_configuration(FunctionName=f"{stack}-witness")
    assert (witness["Handler"], int(witness["Timeout"])) == ("backstream.apps.aws_witness.handler", 300)


def check_mappings(aws: Aws, stack: str, failures: str) -> None:
    mappings = aws.client("lambda").list_event_source_mappings(FunctionName=f"{stack}-capture")["EventSourceMappings"]
    assert len(mappings) == 2
    for each in mappings:
        assert each["DestinationConfig"]["OnFailure"] == {"Destination": f"arn:aws:s3:::{failures}"}
        assert each["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert (each["StartingPosition"], each["BisectBatchOnFunctionError"]) == ("TRIM_HORIZON", True)
        numbers = [each[name] for name in ("BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor")]
        assert list(map(int, numbers)) == [1_000, 10, 2]
        assert (int(each["MaximumRetryAttempts"]), int(each["MaximumRecordAgeInSeconds"])) == (10_000, 75_600)


def check_watching(aws: Aws, stack: str) -> None:
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack}-")["MetricAlarms"]
    assert len(alarms) == 6 + 2 * 7
    schedules = aws.client("scheduler").list_schedules(NamePrefix=f"{stack}-")["Schedules"]
    assert len(schedules) == 4


def check_buckets(aws: Aws, *buckets: str) -> None:
    """There, with versions, closed to the public, and only by TLS."""
    s3 = aws.client("s3")
    for bucket in buckets:
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        statement, ending = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert ending["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": ["arn:*:iam::*:root"]}}
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": ["false"]}})


def test_a_parameter_that_cannot_be_is_refused_by_the_template_itself(aws: Aws, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(template(Choices()))
    with pytest.raises(AssertionError, match="ParallelizationFactor"):
        aws_cli(
            aws, "cloudformation", "deploy", "--stack-name", "refused", "--template-file", str(path),
            "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", f"CodeBucket={bucket}", "TableName=flights",
            "StreamArn=arn:aws:dynamodb:us-east-1:000000000000:table/flights/stream/2026-11-23T04:15:33.123",
            "ParallelizationFactor=11",
        )  # fmt: skip


@pytest.mark.soak
def test_a_second_stack_shares_the_vault_of_the_first(aws: Aws, stack: str, table_name: str, bucket: str, tmp_path: Path) -> None:
    vault, other = f"{stack}-vault-{ACCOUNT}-{REGION}", f"{table_name}-3"
    path = tmp_path / "second.yaml"
    path.write_text(template(Choices(tables=[other], streams={other: stream_of(aws, other)}, existing_bucket=vault)))
    name = f"{stack}-b"
    deploy = ["cloudformation", "deploy", "--stack-name", name, "--template-file", str(path)]
    given = [f"CodeBucket={bucket}", "CodeKey=backstream.zip"]
    aws_cli(aws, *deploy, "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *given)
    check_buckets(aws, f"{name}-failures-{ACCOUNT}-{REGION}")
    function = aws.client("lambda").get_function_configuration(FunctionName=f"{name}-capture")
    assert function["Environment"]["Variables"]["BACKSTREAM_VAULT"] == f"s3://{vault}/vault"
    aws_cli(aws, "cloudformation", "delete-stack", "--stack-name", name)
    aws_cli(aws, "cloudformation", "wait", "stack-delete-complete", "--stack-name", name)
    assert aws.client("lambda").get_function_configuration(FunctionName=f"{stack}-capture"), "the first is as it was"
    check_buckets(aws, vault)
