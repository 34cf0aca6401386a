"""Several tables in one deployment: names that depend on nothing but the table's own, and two hundred tables in one stack."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstream.apps.cli.main import call
from backstream.apps.deploy import AlarmsPer, ChangeSource, Choices, TemplateFormat, describe, template
from backstream.apps.deploy.choices import MANY
from backstream.apps.deploy.cloudformation import document
from backstream.apps.deploy.ids import LONGEST, SHORTEST, id_of, short_id_of
from backstream.apps.deploy.terraform.values import snake
from kit import hcl, templates
from kit.aws import Aws
from kit.aws_cli import aws_cli
from kit.deployments import KINESIS

STACK = "a" * 26  # the longest name of a stack: docs/deploy.md
NAMES = st.text("abXY09_-.", min_size=3, max_size=8) | st.text("aB1-_.", min_size=200, max_size=255)


def arn(table: str, label: str = "2026-11-23T04:15:33.123") -> str:
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/stream/{label}"


def of(tables: Sequence[str], **more: Any) -> dict[str, Any]:
    return templates.parse(template(Choices(tables=tables, streams={table: arn(table) for table in tables}, **more)))


def kinds(parsed: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in parsed["Resources"].items() if each["Type"] == kind}


def streams(parsed: dict[str, Any]) -> dict[str, str]:
    """The parameter that names each mapping's stream, by the mapping's id."""
    return {name: each["EventSourceArn"]["Ref"] for name, each in kinds(parsed, "AWS::Lambda::EventSourceMapping").items()}


# --- names ------------------------------------------------------------------------------------------------------------------------


@given(NAMES, NAMES)
@example("order-items", "order_items")
@example("order-items2", "order_items")
@example("order-items-2", "order-items2")
@example("URLs", "Urls")
@example("t-orders", "torders")
@example("order_items", f"order-items-{id_of('order_items')[len('OrderItems') :].lower()}")
@example("a" * 254 + "b", "a" * 254 + "c")
def test_no_two_tables_share_an_id_in_either_language(one: str, other: str) -> None:
    for id_ in (id_of(one), short_id_of(one)):
        assert re.fullmatch("[A-Z][A-Za-z0-9]*|[a-z][A-Za-z0-9]*", id_)
        assert re.fullmatch("[a-z_][a-z0-9_-]*", snake(id_))
    assert len(id_of(one)) <= LONGEST
    assert len(short_id_of(one)) <= SHORTEST
    if one != other:
        for name in (id_of, short_id_of):
            assert snake(name(one)) != snake(name(other))
            assert name(one).lower() != name(other).lower()


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), NAMES)
def test_another_table_changes_no_name(tables: list[str], another: str) -> None:
    few: Any = {"dashboard": False, "drill": False, "alarms": False, "witness": False}
    before, after = (document(describe(Choices(tables=each, **few))) for each in (tables, [*dict.fromkeys([another, *tables])]))
    for section in ("Parameters", "Outputs"):
        assert {name: after[section].get(name) for name in before[section]} == before[section]
    assert streams(before).items() <= streams(after).items()
    assert len(streams(after)) == len({another, *tables})


def test_tables_that_look_alike_are_three(capsys: pytest.CaptureFixture[str]) -> None:
    parsed = {}
    for tables in (["order-items", "order_items", "order-items2"], ["orders", "order-items", "order_items", "order-items2"]):
        assert call(["template", "cloudformation", *tables]) == 0
        parsed[len(tables)] = templates.parse(capsys.readouterr().out)
        assert len(set(streams(parsed[len(tables)]).values())) == len(tables)
    assert streams(parsed[3]).items() <= streams(parsed[4]).items()
    assert streams(parsed[3])["OrderItems2Mapping"] == "OrderItems2StreamArn"
    asked = parsed[3]["Parameters"]["OrderItems2StreamArn"]
    assert "stream of order-items2:" in asked["Description"]


def test_a_value_that_a_stack_keeps_for_another_table_is_refused() -> None:
    """A template of 0.1 may have called another table's parameter the same, and CloudFormation keeps values by name."""
    pattern = of(["order-items2"])["Parameters"]["OrderItems2StreamArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, arn("order-items2"))
    assert not re.fullmatch(pattern, arn("order_items"))
    patterns = [each["AllowedPattern"] for name, each in of(["a.b"])["Parameters"].items() if name.endswith("StreamArn")]
    assert [bool(re.fullmatch(patterns[0], arn(table))) for table in ("a.b", "a-b")] == [True, False]


@pytest.mark.parametrize("tables", [("URLs", "Urls"), ("2024-orders",), ("...", "_--", "_x_")], ids=lambda tables: tables[0])
def test_terraform_has_each_table_once(tables: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "terraform", *tables, "--no-dashboard", "--no-drill"]) == 0
    module = hcl.parse(capsys.readouterr().out)
    (known,) = module["locals"]
    assert known["tables"] == {table: short_id_of(table) for table in tables}
    blocks = hcl.named(module, "resource")
    assert blocks["aws_lambda_event_source_mapping", "mapping"]["for_each"] == "${local.tables}"
    for _, name in blocks:
        assert re.fullmatch("[a-z_][a-z0-9_]*", name)
    assert set(hcl.named(module, "variable")) >= {("streams",), ("code_bucket",)}


def test_a_module_of_an_older_version_goes_on_with_its_resources() -> None:
    module = hcl.parse(
        template(Choices(tables=["flights", "order_items", "a.b", "a-b"], moved=True, dashboard=False), TemplateFormat.HCL)
    )
    moves = {each["from"]: each["to"] for each in module["moved"]}
    here = "aws_lambda_event_source_mapping"
    assert moves[f"${{{here}.flights_mapping}}"] == f'${{{here}.mapping["flights"]}}'
    assert moves[f"${{{here}.order_items_mapping}}"] == f'${{{here}.mapping["order_items"]}}'
    assert not [each for each in moves if "a_b" in each or "ab_" in each], "whose it was is not known"


# --- many -------------------------------------------------------------------------------------------------------------------------


def shop(count: int, without: Sequence[int] = ()) -> list[str]:
    return [f"shop-table-{number:03}" for number in range(count) if number not in without]


def size(role: Any) -> int:
    """Characters of a role's policies once they are deployed, with the longest names."""
    known = dict.fromkeys(
        ("Vault", "Failures", "Vault.Arn", "VaultPrefix", "AWS::StackName", "Capture.Arn", "Witness.Arn", "Drill.Arn"), "x" * 63
    )
    return len(json.dumps(templates.resolved(role["Policies"], known), separators=(",", ":")))


@pytest.mark.parametrize("source", list(ChangeSource))
def test_two_hundred_tables_are_within_the_limits(source: ChangeSource) -> None:
    tables = shop(200)
    given = {table: f"{KINESIS}-{table}" if source is ChangeSource.KINESIS else arn(table) for table in tables}
    text = template(Choices(tables=tables, streams=given, source=source))
    parsed = templates.parse(text)
    limits = {"Resources": 500, "Parameters": 200, "Outputs": 200}
    assert {section: len(parsed[section]) <= most for section, most in limits.items()} == dict.fromkeys(limits, True)
    assert len(text) < 1_000_000
    assert max(map(size, kinds(parsed, "AWS::IAM::Role").values())) < 10_240
    mappings = kinds(parsed, "AWS::Lambda::EventSourceMapping").values()
    assert [each["EventSourceArn"] for each in mappings] == list(given.values())
    assert len(kinds(parsed, "AWS::Lambda::Function")) == 3
    for name, more in (("Witnesses", {}), ("Drills", {"due": "24h", "within": "30h", "rpo": "1800s", "rto": "7200s"})):
        event = joined(parsed["Resources"][name]["Properties"]["Target"]["Input"])
        assert event == {"tables": tables, **more}


def joined(value: Any) -> Any:
    known = {"RpoSeconds": "1800", "RtoSeconds": "7200", "DrillWithinHours": "30"}

    def text(value: Any) -> str:
        if isinstance(value, dict) and "Fn::Join" in value:
            between, entries = value["Fn::Join"]
            return str(between).join(map(text, entries))
        return str(templates.resolved(value, known))

    return json.loads(text(value))


@pytest.mark.parametrize("language", [TemplateFormat.YAML, TemplateFormat.HCL])
@pytest.mark.parametrize("count", [3, 200])
def test_a_table_more_and_one_less_touch_only_these_two(count: int, language: TemplateFormat) -> None:
    before, after = [*shop(count)], [*shop(count + 1, without=[1])]
    texts = [template(Choices(tables=each, streams={table: arn(table) for table in each}), language) for each in (before, after)]
    names = {"shop-table-001", f"shop-table-{count:03}"}
    ids = {word for name in names for word in (name, id_of(name), short_id_of(name))}
    hunks = [*difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), n=0, lineterm="")][2:]
    changed = "\n".join(line[1:] for line in hunks if line[0] in "+-" and "every change of" not in line)  # the summary
    assert ids & set(re.findall(r"[\w.-]+", changed)), "there is a difference"
    others = {table for table in before if table not in names}
    touched = {table for table in others if re.search(rf"\b({table}|{id_of(table)})", changed)}
    # A text that CloudFormation and CloudWatch want as JSON has no comma after its last line.
    assert touched <= ({f"shop-table-{count - 1:03}"} if count == 3 else set())
    if language is TemplateFormat.YAML:
        old, new = map(templates.parse, texts)
        shared = [name for name in old["Resources"].keys() & new["Resources"].keys() if name.startswith("ShopTable")]
        assert shared
        assert [name for name in shared if old["Resources"][name] != new["Resources"][name]] == []


def test_beyond_the_border_every_mapping_stays_and_has_its_stream() -> None:
    """A stack that grows past it keeps each table's mapping: CloudFormation replaces one whose stream is another."""
    few, many = of(shop(MANY)), of(shop(MANY + 1))
    before, after = (kinds(each, "AWS::Lambda::EventSourceMapping") for each in (few, many))
    assert before.keys() <= after.keys()
    for name, mapping in before.items():
        stream = few["Parameters"][mapping["EventSourceArn"]["Ref"]]["Default"]
        assert after[name] == {**mapping, "EventSourceArn": stream}


def test_many_tables_need_their_streams(
    aws: Aws, table_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are asked for where they are not given, and a table that has none is named."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    tables = [f"{table_name}-{number}" for number in range(2)]
    dynamodb = aws.client("dynamodb")
    for table in tables:
        dynamodb.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    dynamodb.update_table(TableName=tables[0], StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    others = shop(MANY)
    given = [word for table in others for word in ("--stream", f"{table}={arn(table)}")]
    assert call(["template", "cloudformation", *others, tables[0], *given]) == 0
    parsed = templates.parse(capsys.readouterr().out)
    (found,) = (
        each["EventSourceArn"]
        for each in kinds(parsed, "AWS::Lambda::EventSourceMapping").values()
        if table_name in each["EventSourceArn"]
    )
    assert found == aws.client("dynamodb").describe_table(TableName=tables[0])["Table"]["LatestStreamArn"]
    assert call(["template", "cloudformation", *tables, "--find-streams"]) == 2
    assert f"tables without a stream: {tables[1]}" in capsys.readouterr().err
    assert call(["template", "cloudformation", *others, f"{table_name}-none", *given]) != 0
    said = capsys.readouterr()
    assert f"{table_name}-none" in said.err
    assert said.out == ""
    assert call(["template", "cloudformation", "--match", f"{table_name}-0", "--find-streams"]) == 0
    chosen = templates.parse(capsys.readouterr().out)
    assert [each["Default"] for name, each in chosen["Parameters"].items() if name.endswith("StreamArn")] == [found]
    assert call(["template", "cloudformation", "--match", f"{table_name}-x*"]) != 0
    assert capsys.readouterr().out == ""


# --- alarms -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, MANY + 1])
def test_alarms_for_all_do_not_grow_with_the_tables(count: int) -> None:
    parsed = of(shop(count), alarms_per=AlarmsPer.GROUP)
    alarms = kinds(parsed, "AWS::CloudWatch::Alarm")
    assert len(alarms) == 12
    names = {each["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-") for each in alarms.values()}
    assert names == {
        *("lag", "errors", "throttles", "lost", "failures"),
        *("witness-missing", "witness-lag", "witness-errors"),
        *("drill-failed", "drill-overdue", "drill-missing", "drill-errors"),
    }
    assert all("AlarmActions" in each for each in alarms.values())
    for function in ("Capture", "Witness", "Drill"):
        variables = parsed["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert variables["BACKSTREAM_DEPLOYMENT"] == {"Ref": "AWS::StackName"}
    ours = [each["Dimensions"] for each in alarms.values() if each.get("Namespace") == "Backstream"]
    assert ours == [[{"Name": "Deployment", "Value": {"Ref": "AWS::StackName"}}]] * 6


def test_one_alarm_above_all_alone_notifies() -> None:
    parsed = of(["flights", "orders"], alarms_per=AlarmsPer.COMPOSITE)
    alarms = kinds(parsed, "AWS::CloudWatch::Alarm")
    (above,) = kinds(parsed, "AWS::CloudWatch::CompositeAlarm").values()
    assert [name for name, each in alarms.items() if "AlarmActions" in each] == []
    assert "AlarmActions" in above
    assert set(re.findall(r'ALARM\("\$\{(\w+)\}"\)', above["AlarmRule"]["Fn::Sub"])) == set(alarms)


# --- deployed ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_cfn_lint_finds_nothing_in_two_hundred() -> None:
    tables = shop(200)
    text = template(Choices(tables=tables, streams={table: arn(table) for table in tables}))
    linter, config = import_module("cfnlint.api"), import_module("cfnlint.config")
    found = linter.lint(text, config=config.ManualArgs(regions=["us-east-1"], include_checks=["W"]))
    assert [f"{each.rule.id}: {each.message}" for each in found] == []


@pytest.mark.parametrize("count", [MANY + 1, pytest.param(200, marks=pytest.mark.soak)])
def test_many_are_deployed_and_one_is_exchanged(aws: Aws, bucket: str, table_name: str, tmp_path: Path, count: int) -> None:
    name = table_name.replace("test-", "many-")
    tables = [f"{table_name}-{number:03}" for number in range(count)]
    aws.client("s3").put_object(Bucket=bucket, Key="backstream.zip", Body=b"PK\x05\x06" + bytes(18))
    deploy(aws, name, bucket, tables, tmp_path)
    before = mapped(aws, name)
    assert set(before) == {arn(table) for table in tables}
    exchanged = [*tables[1:], f"{table_name}-new"]
    deploy(aws, name, bucket, exchanged, tmp_path)
    after = mapped(aws, name)
    assert set(after) == {arn(table) for table in exchanged}
    kept = before.keys() & after.keys()
    assert {stream: before[stream] for stream in kept} == {stream: after[stream] for stream in kept}
    aws.client("cloudformation").delete_stack(StackName=name)


def deploy(aws: Aws, name: str, bucket: str, tables: Sequence[str], folder: Path) -> None:
    path = folder / "stack.yaml"
    path.write_text(template(Choices(tables=tables, streams={table: arn(table) for table in tables})))
    words = ["cloudformation", "deploy", "--stack-name", name, "--template-file", str(path), "--s3-bucket", bucket]
    given = [f"CodeBucket={bucket}", "CodeKey=backstream.zip", "Runtime=python3.11"]
    aws_cli(aws, *words, "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", *given)


def mapped(aws: Aws, name: str) -> dict[str, str]:
    """The id of each stream's mapping."""
    pages = aws.client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=f"{name}-capture")
    return {each["EventSourceArn"]: each["UUID"] for page in pages for each in page["EventSourceMappings"]}


def test_the_alarm_above_all_rings_with_any_of_them(aws: Aws, table_name: str) -> None:
    """The embedded CloudFormation has no composite alarms: cfn-lint checks the template, and CloudWatch itself takes the rule."""
    parsed = of([table_name, f"{table_name}-2"], alarms_per=AlarmsPer.COMPOSITE)
    watch, ids = aws.client("cloudwatch"), kinds(parsed, "AWS::CloudWatch::Alarm")
    names = {id_: templates.resolved(each["AlarmName"], {"AWS::StackName": table_name}) for id_, each in ids.items()}
    for name in names.values():
        watch.put_metric_alarm(
            AlarmName=name, Namespace="Backstream", MetricName="Failures", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
    (above,) = kinds(parsed, "AWS::CloudWatch::CompositeAlarm").values()
    given = templates.resolved({name: above[name] for name in ("AlarmName", "AlarmRule")}, {"AWS::StackName": table_name, **names})
    watch.put_composite_alarm(**given)

    def state() -> str:
        (found,) = watch.describe_alarms(AlarmNames=[given["AlarmName"]], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return found["StateValue"]

    for name in names.values():
        watch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
        assert (name, state()) == (name, "ALARM")
        watch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
        assert (name, state()) != (name, "ALARM")
    for gone in ([given["AlarmName"]], [*names.values()]):
        watch.delete_alarms(AlarmNames=gone)
