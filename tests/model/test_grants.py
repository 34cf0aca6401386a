"""Settings are not orders: what names another account than the table's own is a to-do."""

from __future__ import annotations

import json

import pytest

from backstream.model.tables.grants import Grant, grants, guarded, is_foreign
from backstream.model.tables.settings import AutoScaling, KinesisDestination, TableSettings
from backstream.model.tables.setup import Setup, TableNames, plan
from backstream.model.values.schema import KeyAttribute, KeySchema

OWN, OTHER = "111111111111", "999999999999"
ARN = f"arn:aws:dynamodb:us-east-1:{OWN}:table/flights"
NAMES = TableNames(ARN, ARN)
SCHEMA = KeySchema(KeyAttribute("id", "S"))
KINESIS = "arn:aws:kinesis:us-east-1:{}:stream/s"


def policy(principal: object, effect: str = "Allow", **more: object) -> str:
    statement = {"Effect": effect, "Principal": principal, "Action": "dynamodb:*", "Resource": ARN, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def setup_of(*, key: str | None = None, **settings: object) -> Setup:
    encryption = {"SSEDescription": {"SSEType": "KMS", "KMSMasterKeyArn": key}} if key else {}
    return plan(TableSettings({"TableName": "flights", **encryption}, **settings), SCHEMA, NAMES)  # type: ignore[arg-type]


def key_of(account: str) -> str:
    return f"arn:aws:kms:us-east-1:{account}:key/k"


def test_own_settings_are_set_and_told() -> None:
    setup = setup_of(
        key=key_of(OWN),
        kinesis_destinations=[KinesisDestination(KINESIS.format(OWN))],
        resource_policy=policy({"AWS": f"arn:aws:iam::{OWN}:role/reader"}),
    )
    assert guarded(setup, NAMES, OWN) == setup
    assert grants(setup, OWN, accept=False) == [
        Grant("KMS key", key_of(OWN), foreign=False, accepted=True),
        Grant(f"Kinesis destination {KINESIS.format(OWN)}", KINESIS.format(OWN), foreign=False, accepted=True),
        Grant("resource policy", f"arn:aws:iam::{OWN}:role/reader", foreign=False, accepted=True),
    ]


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": OTHER},
        {"AWS": [f"arn:aws:iam::{OWN}:root", f"arn:aws:iam::{OTHER}:role/x"]},
        {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},
        {"Federated": "cognito-identity.amazonaws.com"},
        {"Strange": "x"},
        {"AWS": "AIDACKCEVSQ6C2EXAMPLE"},
        {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"},
        {"AWS": f"arn:aws:iam::{OWN}:role/*"},
        {"Service": "glue.amazonaws.com"},
        {"Service": ["lambda.amazonaws.com", "glue.amazonaws.com"]},
        7,
    ],
)
def test_a_policy_that_lets_others_in_is_left(principal: object) -> None:
    setup = guarded(setup_of(resource_policy=policy(principal)), NAMES, OWN)
    assert setup.steps == []
    (todo,) = [each for each in setup.todo if each.what == "resource policy"]
    assert "--accept-settings" in todo.why
    assert "put-resource-policy" in todo.command


def test_who_is_let_in_by_everything_but_is_another() -> None:
    text = json.dumps({"Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": OWN}, "Action": "*", "Resource": ARN}})
    assert guarded(setup_of(resource_policy=text), NAMES, OWN).steps == []


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        ({"StringEquals": {"aws:SourceAccount": OWN}}, True),
        ({"StringEquals": {"AWS:SourceAccount": [OWN]}}, True),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:glue:us-east-1:{OWN}:integration:*"}}, True),
        ({"StringEquals": {"aws:SourceAccount": OTHER}}, False),
        ({"StringEquals": {"aws:SourceAccount": [OWN, OTHER]}}, False),
        ({"StringEquals": {"aws:SourceAccount": []}}, False),
        ({"StringLike": {"aws:SourceAccount": "*"}}, False),
        ({"StringNotEquals": {"aws:SourceAccount": OWN}}, False),
        ({"StringEqualsIfExists": {"aws:SourceAccount": OWN}}, False),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:glue:*:*:x/{OWN}"}}, False),
        ({"StringLike": {"aws:SourceArn": f"arn:aws:glue:*:{OWN}:x"}}, False),
        ({"StringEquals": {"aws:PrincipalTag/x": OWN}}, False),
        ("x", False),
    ],
)
def test_a_service_is_let_in_for_an_account(condition: object, bound: bool) -> None:  # noqa: FBT001
    """AWS's services work for anybody: without a condition one of them reads the table for another account."""
    setup = setup_of(resource_policy=policy({"Service": "glue.amazonaws.com"}, Condition=condition))
    assert (guarded(setup, NAMES, OWN) == setup) is bound
    assert any("glue.amazonaws.com" in each.who for each in grants(setup, OWN, accept=False))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"Statement": []}',
        json.dumps({"statement": json.loads(policy(OTHER))["Statement"]}),
        json.dumps({"Statement": [{"effect": "Allow", "principal": "*"}]}),
        json.dumps({"Statement": [{"Effect": "allow", "Principal": {"AWS": OTHER}}]}),
        policy({"AWS": f"arn:aws:iam::{OWN}:root"}, Condition={"StringEquals": {"x": OTHER}}).replace(OTHER, "\\u0039" + OTHER[1:]),
        policy({"AWS": OTHER}).replace(OTHER, "\\u0039" + OTHER[1:]),
        "[" * 100_000,
    ],
)
def test_a_policy_of_words_that_nobody_knows_is_left(text: str) -> None:
    assert guarded(setup_of(resource_policy=text), NAMES, OWN).steps == []


def test_a_policy_that_only_denies_is_set() -> None:
    setup = setup_of(resource_policy=policy("*", "Deny"))
    assert guarded(setup, NAMES, OWN) == setup


def test_a_condition_that_names_another_account_is_seen() -> None:
    text = policy({"AWS": OWN}, Condition={"StringEquals": {"aws:SourceAccount": OTHER}})
    assert guarded(setup_of(resource_policy=text), NAMES, OWN).steps == []


def test_another_accounts_key_and_stream_are_left() -> None:
    setup = setup_of(key=key_of(OTHER), kinesis_destinations=[KinesisDestination(KINESIS.format(OTHER))])
    safe = guarded(setup, NAMES, OWN)
    assert safe.steps == []
    assert safe.creation.request["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}
    assert [each.what for each in safe.todo[:2]] == ["KMS key", f"Kinesis destination {KINESIS.format(OTHER)}"]
    assert key_of(OTHER) in safe.todo[0].command
    assert all(each.foreign and not each.accepted for each in grants(setup, OWN, accept=False))
    assert all(each.foreign and each.accepted for each in grants(setup, OWN, accept=True))


def test_a_role_of_another_account_scales_nothing() -> None:
    target = {
        "ResourceId": "table/flights",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "MinCapacity": 1,
        "MaxCapacity": 2,
    }
    for account, left in ((OWN, 0), (OTHER, 1)):
        role = f"arn:aws:iam::{account}:role/scaling"
        setup = setup_of(autoscaling=AutoScaling(targets=[{**target, "RoleARN": role}]))
        assert [each.who for each in grants(setup, OWN, accept=False)] == [role]
        assert len([each for each in guarded(setup, NAMES, OWN).todo if "--accept-settings" in each.why]) == left


def test_who_is_of_another_account() -> None:
    assert not is_foreign("dynamodb.amazonaws.com", OWN)
    assert not is_foreign("alias/aws/dynamodb", OWN)
    assert is_foreign(f"arn:aws:sts::{OTHER}:assumed-role/x/y", OWN)
    assert is_foreign(f"arn:aws:iam::{OWN}:root", ""), "where the own one is not known, every account is another"


def test_a_policy_that_says_something_twice_is_a_todo() -> None:
    """Which of the two counts is up to the reader: ours took the last one, and would have sent both."""
    one = policy({"AWS": OTHER})
    twice = one.replace('"Action"', f'"Principal": {{"AWS": "{OWN}"}}, "Action"')
    setup = setup_of(resource_policy=twice)
    assert [(each.what, each.foreign, each.accepted) for each in grants(setup, OWN, accept=False)] == [
        ("resource policy", True, False)
    ]
    assert [each.what for each in guarded(setup, NAMES, OWN).steps] == []
