"""`template --spark`: an EMR Serverless application and the role of its jobs, in both languages; nothing of it otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from backstream.apps.cli.main import call
from backstream.apps.deploy import Choices, TemplateFormat, template
from kit import hcl, templates

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
