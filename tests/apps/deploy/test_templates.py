"""The templates as text: what cfn-lint says of them, what they hold, and which words are refused."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.apps.deploy import ChangeSource, Choices, TemplateFormat, template
from backstream.errors import UsageError
from kit import templates
from kit.deployments import COMBINATIONS, KINESIS, REPLICAS, STREAM

REGIONS = ["us-east-1", "eu-central-1"]
ALL: dict[str, Choices] = {**COMBINATIONS, **REPLICAS}
each_combination = pytest.mark.parametrize("choices", COMBINATIONS.values(), ids=COMBINATIONS)


def of(choices: Choices) -> dict[str, Any]:
    return templates.parse(template(choices))


def resources(parsed: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each for name, each in parsed["Resources"].items() if each["Type"] == kind}


def properties(parsed: dict[str, Any], name: str) -> Any:
    return parsed["Resources"][name]["Properties"]


# --- as CloudFormation wants it ---------------------------------------------------------------------------------------------------


# Each takes seconds of the processor: the fullest one here, the others with the long tests.
FULL = "by a key, locked, archived, expired"
LINTED = [pytest.param(choices, id=name, marks=[] if name == FULL else [pytest.mark.soak]) for name, choices in ALL.items()]


def lint(text: str, **words: Any) -> Any:
    """What cfn-lint finds. It is imported here, because its import takes two seconds: each pytest worker would pay for it."""
    linter, config = import_module("cfnlint.api"), import_module("cfnlint.config")
    return linter.lint(text, config=config.ManualArgs(regions=REGIONS, **words))


@pytest.mark.parametrize("choices", LINTED)
def test_cfn_lint_finds_nothing(choices: Choices) -> None:
    found = lint(template(choices), include_checks=["W"])
    assert [f"{each.rule.id}: {each.message}" for each in found] == []


@pytest.mark.parametrize("choices", ALL.values(), ids=ALL)
def test_yaml_and_json_are_the_same_template(choices: Choices) -> None:
    assert of(choices) == json.loads(template(choices, TemplateFormat.JSON))


@pytest.mark.soak
def test_cfn_lint_would_find_something() -> None:
    broken = template(Choices()).replace("BatchSize: !Ref BatchSize", "BatchSizes: !Ref BatchSize")
    assert lint(broken)


# --- what is in it ----------------------------------------------------------------------------------------------------------------


@each_combination
def test_every_bucket_is_safe_and_stays(choices: Choices) -> None:
    parsed = of(choices)
    buckets = resources(parsed, "AWS::S3::Bucket")
    assert len(buckets) == 2 - bool(choices.existing_bucket) - bool(choices.existing_failures_bucket)
    for name, bucket in buckets.items():
        policy = parsed["Resources"][f"{name}Policy"]
        for kept in (bucket, policy):
            assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Retain", "Retain")
        made = bucket["Properties"]
        assert made["VersioningConfiguration"] == {"Status": "Enabled"}
        assert all(made["PublicAccessBlockConfiguration"].values())
        assert len(made["PublicAccessBlockConfiguration"]) == 4
        assert made["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        (rule,) = made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == ("aws:kms" if choices.kms_key else "AES256")
        tls, ending = policy["Properties"]["PolicyDocument"]["Statement"]
        assert {(each["Effect"], each["Principal"]) for each in (tls, ending)} == {("Deny", "*")}
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": ["false"]}}
        assert ending["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": [{"Ref": "AdminArn"}]}}
        assert {"s3:DeleteObjectVersion", "s3:PutLifecycleConfiguration", "s3:PutBucketVersioning"} <= set(ending["Action"])
    assert not [name for name, each in parsed["Resources"].items() if "DeletionPolicy" in each and "S3" not in each["Type"]]


def test_nothing_expires_unless_it_is_asked_for() -> None:
    rules = properties(of(Choices()), "Vault")["LifecycleConfiguration"]["Rules"]
    assert [rule["Id"] for rule in rules] == ["abandoned-uploads"]
    asked = properties(of(Choices(archive_days=30, expire_days=90)), "Vault")["LifecycleConfiguration"]["Rules"][1]
    assert asked["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "ExpireOldVersionsDays"}}
    assert asked["NoncurrentVersionTransitions"] == [{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]
    assert not {"Expiration", "ExpirationInDays", "Transitions"} & asked.keys(), "what is current is never touched"
    assert templates.resolved(asked["Prefix"], {"VaultPrefix": "vault"}) == "vault/"


def test_object_lock_is_of_the_vault_alone() -> None:
    parsed = of(COMBINATIONS["by a key, locked, archived, expired"])
    vault = properties(parsed, "Vault")
    assert vault["ObjectLockEnabled"] is True
    assert vault["ObjectLockConfiguration"]["Rule"] == {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    assert "ObjectLockEnabled" not in properties(parsed, "Failures")


@each_combination
def test_each_table_has_a_mapping_that_loses_nothing(choices: Choices) -> None:
    parsed = of(choices)
    mappings = resources(parsed, "AWS::Lambda::EventSourceMapping")
    assert len(mappings) == max(1, len(choices.tables))
    assert len({each["Properties"]["EventSourceArn"]["Ref"] for each in mappings.values()}) == len(mappings)
    for each in mappings.values():
        made = each["Properties"]
        assert made["StartingPosition"] == "TRIM_HORIZON"
        assert made["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert made["BisectBatchOnFunctionError"] is True
        known = {"Failures": "bucket", "FailuresBucket": "bucket"}
        assert templates.resolved(made["DestinationConfig"], known) == {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
        assert made["MetricsConfig"] == {"Metrics": ["EventCount"]}
        variables = properties(parsed, "Capture")["Environment"]["Variables"]
        assert variables["BACKSTREAM_PARALLELIZATION"] == made["ParallelizationFactor"], "the same parameter, always"
    defaults = parsed["Parameters"]
    assert 0 < defaults["MaximumRetryAttempts"]["Default"] <= 10_000
    age = defaults["MaximumRecordAgeSeconds"]
    assert age["Default"] > 3_600, "an hour's outage puts nothing aside"
    assert age["MaxValue"] < 86_400 or choices.source is ChangeSource.KINESIS, "a stream forgets"


def test_names_come_from_the_stack_so_that_two_stacks_stand_side_by_side() -> None:
    named = [
        value
        for each in of(Choices(tables=["flights"]))["Resources"].values()
        for name, value in each["Properties"].items()
        if name.endswith("Name") and "Ref" not in value and name != "MetricName"
    ]
    assert len(named) > 10
    assert [each for each in named if "AWS::StackName" not in each["Fn::Sub"]] == []


@each_combination
def test_each_table_is_watched_and_drilled(choices: Choices) -> None:
    parsed = of(choices)
    alarms, tables = resources(parsed, "AWS::CloudWatch::Alarm"), max(1, len(choices.tables))
    schedules = resources(parsed, "AWS::Scheduler::Schedule")
    if not choices.alarms:
        assert (alarms, schedules) == ({}, {})
        return
    metrics = [each["Properties"].get("MetricName") for each in alarms.values()]
    once = ["IteratorAge", "Throttles", "DestinationDeliveryFailures"]
    assert [metrics.count(each) for each in once] == [1, 1, 1]
    if choices.grouped:
        return  # tests/apps/deploy/test_many_tables.py
    each_table = ["DroppedEventCount", "OnFailureDestinationDeliveredEventCount", "Failures"]
    assert [metrics.count(each) for each in each_table] == [tables] * 3
    assert (metrics.count("DrillPassed"), metrics.count("Errors"), len(schedules) - bool(choices.export)) == (
        2 * tables,
        3,
        2 * tables,
    )
    assert metrics.count("WitnessLag") == 2 * tables
    assert all(each["Properties"]["TreatMissingData"] in ("notBreaching", "breaching", "ignore") for each in alarms.values())
    for name, each in zip(choices.tables, starting(schedules, "Drill"), strict=False):
        event = templates.resolved(each["Properties"]["Target"]["Input"], {"RpoSeconds": "1800", "RtoSeconds": "7200"})
        assert json.loads(event) == {"table": name, "rpo": "1800s", "rto": "7200s"}
    for name, each in zip(choices.tables, starting(schedules, "Witness"), strict=False):
        assert json.loads(templates.resolved(each["Properties"]["Target"]["Input"], {})) == {"table": name}
        assert each["Properties"]["ScheduleExpression"] == {"Ref": "WitnessSchedule"}


def starting(schedules: dict[str, Any], function: str) -> list[dict[str, Any]]:
    """Those that start a function."""
    return [each for each in schedules.values() if each["Properties"]["Target"]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}]


def test_the_dashboard_is_what_cloudwatch_reads() -> None:
    body = properties(of(Choices(tables=["flights", "orders"])), "Dashboard")["DashboardBody"]
    known = {"Capture": "kept-capture", "FlightsMapping": "uuid-1", "OrdersMapping": "uuid-2"}
    widgets = json.loads(templates.resolved(body, known))["widgets"]
    assert len(widgets) == 11
    assert len({(each["x"], each["y"]) for each in widgets}) == 11
    series = [tuple(one[:4]) for each in widgets for one in each["properties"]["metrics"]]
    assert ("AWS/Lambda", "IteratorAge", "FunctionName", "kept-capture") in series
    assert ("AWS/Lambda", "DroppedEventCount", "EventSourceMappingUUID", "uuid-2") in series
    assert ("Backstream", "Lag", "Table", "orders") in series
    assert ("Backstream", "WitnessLag", "Table", "orders") in series
    assert ("Backstream", "WitnessMissing", "Table", "flights") in series


def test_it_says_what_to_run_next() -> None:
    parsed = of(Choices(tables=["flights"], existing_bucket="our-backups"))
    known = {"VaultBucket": "our-backups", "VaultPrefix": "vault", "Failures": "our-failures"}
    said = templates.resolved(parsed["Outputs"]["FlightsNext"]["Value"], known)
    assert said == "backstream init flights --vault s3://our-backups/vault --failures s3://our-failures"


# --- words ------------------------------------------------------------------------------------------------------------------------

BAD = [
    ("a/b",),
    ("flights", "flights"),
    ("flights", "--parallelization", "11"),
    ("flights", "--parallelization", "0"),
    ("flights", "--batch-size", "10001"),
    ("flights", "--batching-window", "301"),
    ("flights", "--retries", "10001"),
    ("flights", "--record-age", "90000"),
    ("flights", "--memory", "64"),
    ("flights", "--timeout", "901"),
    ("flights", "--log-days", "8"),
    ("flights", "--kms-key", "alias/ours"),
    ("flights", "--stream", "arn:aws:dynamodb:eu-central-1:123456789012:table/flights"),
    ("flights", "--stream", STREAM.replace("flights", "orders")),
    ("flights", "--stream", KINESIS),
    ("flights", "--stream", STREAM, "--stream", STREAM),
    ("flights", "orders", "--source", "kinesis", "--stream", KINESIS),
    ("flights", "orders", "--source", "kinesis", "--stream", f"flights={KINESIS}", "--stream", f"orders={KINESIS}"),
    ("flights", "--source", "sqs"),
    ("flights", "--existing-bucket", "Not_A_Bucket"),
    ("flights", "--existing-bucket", "ours", "--expire-after", "30"),
    ("flights", "--prefix", "/vault/"),
    ("flights", "--prefix", "x" * 101),
    ("flights", "--object-lock", "governance"),
    ("flights", "--lock-days", "5"),
    ("flights", "--object-lock", "governance", "--lock-days", "0"),
    ("flights", "--expire-after", "30", "--archive-after", "30"),
    ("flights", "--expire-after", "0"),
    ("flights", "--alarm-topic", "oncall"),
    ("flights", "--rpo", "30s"),
    ("flights", "--rpo", "soon"),
    ("flights", "--drill-schedule", "daily"),
    ("flights", "--drill-within", "169"),
    ("flights", "--bucket-owner", "222222222222"),
    ("flights", "--existing-bucket", "ours-1", "--bucket-owner", "2222"),
    ("flights", "--admin", "role/admin"),
    ("flights", "--admin", "arn:aws:iam::123456789012:group/admins"),
    ("flights", "--logs-key", "alias/ours"),
    ("flights", "--topic-key", "arn:aws:kms:us-east-1:123456789012:key/1", "--no-alarms"),
    ("flights", "--signing-profile", "ours"),
    ("flights", "--replica", "flights"),
    ("flights", "orders", "--replica", "copy"),
    ("flights", "--replica", "copy", "--existing-bucket", "ours-1"),
    ("flights", "--replica", "copy", "--replica-region", "Frankfurt"),
    ("flights", "--runtime", "nodejs22.x"),
    ("flights", "--architecture", "mips"),
    ("flights", "--reserved-concurrency", "0"),
    (*(f"table-{number}" for number in range(41)), "--alarms-per", "table"),
    ("flights", "--alarms-per", "each"),
    ("flights", "--alarms-per", "group", "--no-alarms"),
    ("flights", "--replica", "copy", "--alarms-per", "group"),
    ("flights", "orders", "--stream", f"orders={STREAM}"),
    ("flights", "--moved"),
    ("flights", "--source", "kinesis", "--find-streams"),
]


@pytest.mark.parametrize("words", BAD, ids=lambda words: " ".join(words)[:60])
def test_what_cannot_be_is_refused_with_a_word(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "cloudformation", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")


def test_another_language_and_json_of_terraform_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "pulumi", "flights"]) == 2
    assert call(["template", "terraform", "flights", "--json"]) == 2
    assert "HCL" in capsys.readouterr().err


def test_it_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "cloudformation", "flights"]) == 0
    printed = capsys.readouterr().out
    assert printed == template(Choices(tables=["flights"]))
    assert call(["template", "cloudformation", "flights", "--to", str(tmp_path)]) == 0
    assert (tmp_path / "backstream.yaml").read_text() == printed
    assert call(["template", "terraform", "flights", "--to", str(tmp_path)]) == 0
    assert (tmp_path / "main.tf").read_text() == template(Choices(tables=["flights"]), TemplateFormat.HCL)
    assert call(["template", "cloudformation", "flights", "--json", "--to", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["Resources"]
    capsys.readouterr()
    assert call(["template", "cloudformation", "flights", "--to", str(tmp_path / "no" / "x.yaml")]) == 2


def test_options_are_the_parameters_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--stream",
        STREAM,
        "--rpo",
        "1h",
        "--rto",
        "1d",
        "--batch-size",
        "50",
        "--parallelization",
        "4",
        "--prefix",
        "prod/eu",
    ]
    assert call(["template", "cloudformation", "flights", *words]) == 0
    parameters = templates.parse(capsys.readouterr().out)["Parameters"]
    told = {
        name: parameters[name]["Default"] for name in ("FlightsStreamArn", "RpoSeconds", "RtoSeconds", "BatchSize", "VaultPrefix")
    }
    assert told == {"FlightsStreamArn": STREAM, "RpoSeconds": 3600, "RtoSeconds": 86400, "BatchSize": 50, "VaultPrefix": "prod/eu"}
    assert call(["template", "cloudformation", "--stream", STREAM]) == 0
    assert templates.parse(capsys.readouterr().out)["Parameters"]["StreamArn"]["Default"] == STREAM


def test_the_library_checks_too() -> None:
    with pytest.raises(UsageError, match="parallelization"):
        template(msgspec.structs.replace(Choices(), parallelization=11))


def test_the_alarm_on_lag_rings_at_the_rpo() -> None:
    """IteratorAge is in milliseconds."""
    alarm = properties(of(Choices()), "LagAlarm")
    assert float(templates.resolved(alarm["Threshold"], {"RpoSeconds": "1800"})) == 1_800 * 1_000
    assert (alarm["MetricName"], alarm["Statistic"], alarm["ComparisonOperator"]) == (
        "IteratorAge",
        "Maximum",
        "GreaterThanThreshold",
    )
