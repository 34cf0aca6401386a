"""`template --spark`: an EMR Serverless application and the role of its jobs, in both languages; nothing of it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

from backstream.apps.cli.main import call
from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.model import moment
from backstream.vault.catalog import Layout
from kit import hcl, images, templates
from kit.recorded import ACCOUNT, REGION, Call, Recorder
from kit.scene import Scene, next_second

KEY = "arn:aws:kms:us-east-1:111122223333:key/0"
WITH = Choices(
    tables=["flights"],
    spark=True,
    witness=False,
    drill=False,
    alarms=False,
    dashboard=False,
    kms_key=KEY,
)
KNOWN = {
    **templates.PSEUDO,
    "SparkTargets": "restored-*",
    "Vault": "kept-vault",
    "Failures": "gone",
    "Vault.Arn": "arn:aws:s3:::kept-vault",
    "SparkCodeBucket": "code",
    "VaultPrefix": "vault",
    "KmsKeyArn": "key",
}


def test_cfn_lint_takes_it() -> None:
    linter, config = import_module("cfnlint.api"), import_module("cfnlint.config")
    found = linter.lint(template(WITH), config=config.ManualArgs(regions=["us-east-1"], include_checks=["W"]))
    assert [f"{each.rule.id}: {each.message}" for each in found] == []


def test_the_role_reads_the_vault_and_fills_named_tables_and_no_more() -> None:
    made = templates.parse(template(WITH))
    (trust,) = made["Resources"]["SparkRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": ["emr-serverless.amazonaws.com"]}
    statements = {each["Sid"]: each for each in templates.statements(made, "SparkRole", KNOWN)}
    actions = {action for each in statements.values() for action in each["Action"]}
    assert {each for each in actions if each.startswith("s3:")} == {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
    }
    assert statements["FillTables"]["Resource"] == [
        "arn:aws:dynamodb:eu-central-1:111122223333:table/restored-*".replace(
            "eu-central-1:111122223333", f"{KNOWN['AWS::Region']}:{KNOWN['AWS::AccountId']}"
        )
    ]
    assert "UseKey" in statements
    assert made["Outputs"]["SparkApplicationId"]["Value"] == {"Ref": "SparkApplication"}


def test_terraform_makes_the_same() -> None:
    made = hcl.parse(template(WITH, TemplateFormat.HCL))
    ours = hcl.named(made, "resource")
    application: dict[str, Any] = ours["aws_emrserverless_application", "spark_application"]
    assert application["type"] == "Spark"
    assert application["release_label"].startswith("emr-7.")
    assert ("aws_iam_role", "spark_role") in ours


def test_only_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "terraform", "flights"]) == 0
    assert "emrserverless" not in capsys.readouterr().out
    assert call(["template", "cloudformation", "flights", "--spark"]) == 0
    assert "AWS::EMRServerless::Application" in capsys.readouterr().out
    assert call(["template", "cloudformation", "flights", "--replica", "flights-2", "--spark"]) == 2


# --- what jobs write --------------------------------------------------------------------------------------------------------------

PLACES = ("s3://lake/snapshots", "s3://lake/exports/daily/", "s3://other/x")
SYSTEM = "arn:aws:s3:::bbb/vault/_backstream/"


def policy_of(known: dict[str, str] = KNOWN, **choices: Any) -> list[Mapping[str, Any]]:
    return list(templates.statements(templates.parse(template(Choices(spark=True, **choices))), "SparkRole", known))


def allowed(policy: list[Mapping[str, Any]], action: str, resource: str, account: str = ACCOUNT) -> bool:
    return templates.permitted(policy, Call(action, resource, account))


def test_without_the_options_jobs_write_no_object() -> None:
    actions = {action for each in policy_of(tables=["flights"]) for action in each["Action"]}
    assert not {each for each in actions if each.startswith(("s3:Put", "s3:Delete", "logs:", "dynamodb:Import"))}


def test_jobs_write_below_the_places_that_were_named_and_nowhere_else() -> None:
    policy = policy_of(tables=["flights"], spark_writes=PLACES)
    for name in ("lake/snapshots/AWSDynamoDB/x/data/p0.json.gz", "lake/exports/daily/_export.json", "other/x/part-00000.parquet"):
        for action in ("s3:PutObject", "s3:GetObject"):
            assert allowed(policy, action, f"arn:aws:s3:::{name}")
            assert not allowed(policy, action, f"arn:aws:s3:::{name}", "999999999999"), "somebody has taken the bucket's name"
        assert not allowed(policy, "s3:DeleteObject", f"arn:aws:s3:::{name}")
    for name in ("lake/snapshots-2/x", "lake/x", "lake/exports/x", "other/y", "bbb/vault/flights/x", "kept-vault/vault/flights/x"):
        assert not allowed(policy, "s3:PutObject", f"arn:aws:s3:::{name}"), name


def test_an_import_puts_its_snapshot_into_the_vault_and_makes_named_tables() -> None:
    known = {**KNOWN, "VaultBucket": "bbb", "FlightsStreamArn": "arn:stream"}
    policy = policy_of(known, tables=["flights"], existing_bucket="bbb", spark_imports=True)
    assert allowed(policy, "s3:PutObject", f"{SYSTEM}flights/snapshots/AWSDynamoDB/1/data/p.json.gz")
    assert not allowed(policy, "s3:PutObject", f"{SYSTEM}flights/log/x")
    assert not allowed(policy, "s3:PutObject", f"{SYSTEM}orders/snapshots/x")
    tables = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
    assert allowed(policy, "dynamodb:DescribeImport", f"{tables}/restored-1/import/1")
    assert allowed(policy, "dynamodb:ImportTable", f"{tables}/restored-1")
    assert not allowed(policy, "dynamodb:ImportTable", f"{tables}/flights")


def test_compactions_add_sets_and_hide_and_remove_nothing() -> None:
    known = {**KNOWN, "VaultBucket": "bbb", "FlightsStreamArn": "arn:stream", "SigningKeyArn": KEY}
    policy = policy_of(known, tables=["flights"], existing_bucket="bbb", spark_compacts=True, sign=f"kms:{KEY}")
    assert allowed(policy, "s3:PutObject", f"{SYSTEM}flights/compacted/sets/x")
    assert allowed(policy, "s3:PutObject", f"{SYSTEM}flights/gaps/since=00000001/x"), "a gap that it has found"
    assert allowed(policy, "s3:DeleteObject", f"{SYSTEM}flights/log/x")
    assert allowed(policy, "kms:Sign", KEY)
    for action, name in (
        ("s3:PutObject", "flights/log/x"),
        ("s3:PutObject", "flights/catalog.json"),
        ("s3:DeleteObject", "flights/catalog.json"),
        ("s3:DeleteObject", "flights/erasures/x"),
        ("s3:DeleteObject", "flights/base/x"),
        ("s3:DeleteObjectVersion", "flights/log/x"),
        ("s3:PutObject", "orders/compacted/x"),
        ("s3:DeleteObject", "orders/log/x"),
    ):
        assert not allowed(policy, action, SYSTEM + name), (action, name)
    assert not allowed(policy, "s3:DeleteObject", "arn:aws:s3:::bbb/vault/flights/x"), "rows are no log"


def test_the_role_may_do_what_the_commands_do(scene: Scene) -> None:
    """Of a vault with a base backup and two compactions: whoever makes the requests, driver or executors, they are these."""
    scene.create()
    scene.init(layout=Layout.LOG)
    scene.put(*(images.image("z", number) for number in range(6)))
    scene.tail()
    scene.backup().backfill()
    since = moment.iso(next_second())
    scene.backup().compact()
    scene.put(*(images.image("z", number, v={"N": "7"}) for number in range(3)))
    scene.tail()
    next_second()
    new, place = f"restored-{scene.table}", f"s3://{scene.bucket}-lake"
    scene.aws.client("s3").create_bucket(Bucket=f"{scene.bucket}-lake")
    asked = [
        ["restore", scene.table, "--at", "now", "--to", new],
        ["snapshot", scene.table, "--at", "now", "--to", f"{place}/snapshots"],
        ["export", scene.table, "--at", "now", "--to", f"{place}/exports/state"],
        ["check", scene.table, "--read-data"],
        ["changes", scene.table, "--from", since, "--to", "now", "--summary"],
        ["compact", scene.table],
    ]
    with Recorder(scene.aws.url) as recorder:
        through = {name: recorder.url for name in scene.environment if name.startswith("AWS_ENDPOINT_URL")}
        for words in asked:
            ran = scene.call(*words, environment=through)
            assert ran.code == 0, (words, ran.err)
        calls = recorder.calls
    known = {**KNOWN, "VaultBucket": scene.bucket, "VaultPrefix": "backups"}
    choices = {"tables": [scene.table], "existing_bucket": scene.bucket, "spark_compacts": True}
    policy = policy_of(known, spark_writes=[f"{place}/snapshots", f"{place}/exports"], **choices)
    assert sorted(call for call in calls if not templates.permitted(policy, call)) == []
    for sid in ("ReadVault", "FindVersions", "FillTables", "WritePlaces", "NameColumns", "WriteSets", "HideCompacted"):
        less = [each for each in policy if each["Sid"] != sid]
        assert not all(templates.permitted(less, call) for call in calls), sid


def test_terraform_names_the_same_places() -> None:
    made = template(
        Choices(tables=["flights"], spark=True, spark_writes=PLACES, spark_imports=True, spark_compacts=True), TemplateFormat.HCL
    )
    for word in (
        ":s3:::lake/snapshots/*",
        ":s3:::lake/exports/daily/*",
        ":s3:::other/x/*",
        "KeepSnapshots",
        "WriteSets",
        "HideCompacted",
    ):
        assert word in made


@pytest.mark.parametrize(
    "words",
    [
        ["--spark-writes", "s3://lake/x"],
        ["--spark-compacts"],
        ["--spark-imports"],
        ["--spark", "--spark-writes", "s3://lake"],
        ["--spark", "--spark-writes", "file:///tmp/x"],
        ["--spark", "--spark-writes", "s3://lake/*"],
        ["--spark", "--spark-writes", "s3://bbb/vault/exports", "--existing-bucket", "bbb"],
        ["--spark", "--spark-writes", "s3://bbb/a", "--existing-bucket", "bbb", "--prefix", "a/b"],
    ],
)
def test_places_that_cannot_be(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["template", "cloudformation", "flights", *words]) == 2
    assert capsys.readouterr().err
