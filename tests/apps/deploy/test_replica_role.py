"""The replicator's role may do what it does, on both tables, and nothing to the first one or to any vault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream.apps import aws_replica
from backstream.apps.deploy import Choices, template
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit import templates
from kit.images import image, key
from kit.invocations import Invocation
from kit.recorded import ACCOUNT, REGION, Call, Recorder
from kit.records import stream_records
from kit.scene import Scene

TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
BY_LAMBDA = {f"dynamodb:{each}" for each in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}


def role(table: str, replica: str) -> list[Mapping[str, Any]]:
    parsed = templates.parse(template(Choices(tables=[table], replica=replica)))
    (stream,) = [each for each in parsed["Parameters"] if each.endswith("StreamArn")]
    known = {"Failures": "failures", stream: "arn:stream", "ReplicaTable": replica}
    return list(templates.statements(parsed, "ReplicaRole", known))


def printed(table: str, replica: str) -> list[Mapping[str, Any]]:
    """The policy that the page prints, of these tables."""
    page = (Path(__file__).parents[3] / "docs" / "replicate.md").read_text()
    (block,) = [each for each in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if '"Statement"' in each]
    said = {
        "REPLICA-REGION": REGION,
        "LOG-GROUP-ARN": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/x",
        "STREAM-ARN": "arn:stream",
        "FAILURES": "failures",
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "table/flights-eu": f"table/{replica}",
        'table/flights"': f'table/{table}"',
    }
    for word, value in said.items():
        block = block.replace(word, value)
    document = json.loads(block)
    assert document["Version"] == "2012-10-17"
    found: list[Mapping[str, Any]] = document["Statement"]
    return found


POLICIES = pytest.mark.parametrize("policy_of", [role, printed])
PolicyOf = Callable[[str, str], list[Mapping[str, Any]]]


@pytest.fixture(scope="module")
def recorded() -> dict[str, set[Call]]:
    """What the replicator asked for, by the table's name: recorded once."""
    return {}


@POLICIES
def test_it_may_do_just_what_is_done(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, policy_of: PolicyOf, recorded: dict[str, set[Call]]
) -> None:
    if not recorded:
        recorded[scene.table] = replicated(scene, monkeypatch)
    ((table, calls),) = recorded.items()
    policy = policy_of(table, f"{table}-copy")
    assert sorted(call for call in calls if not templates.permitted(policy, call)) == []
    mine = {action for each in policy for action in actions(each) if action.startswith("dynamodb:")}
    assert mine - {call.action for call in calls} == BY_LAMBDA, "no more than is done"
    for less in range(len(policy)):
        if any(action in {call.action for call in calls} for action in actions(policy[less])):
            assert any(not templates.permitted([*policy[:less], *policy[less + 1 :]], call) for call in calls)


def actions(statement: Mapping[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


def replicated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> set[Call]:
    copy = f"{scene.table}-copy"
    scene.create()
    scene.live().enable_stream()
    scene.create(copy)
    scene.put(*(image("z", number) for number in range(30)))
    arn = scene.live().facts().stream_arn or ""
    stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn)
    with monkeypatch.context() as patch, Recorder(scene.aws.url) as recorder:
        for variable, value in {**scene.environment, "BACKSTREAM_REPLICA": copy}.items():
            patch.setenv(variable, recorder.url if variable.startswith("AWS_ENDPOINT_URL") else value)
        assert aws_replica.handler({"Records": stream_records(stream)}, Invocation()) == {"batchItemFailures": []}
        scene.delete(key("z", 2))
        assert aws_replica.handler({"Records": stream_records(stream)}, Invocation()) == {"batchItemFailures": []}
        calls = set(recorder.calls)
    assert scene.items(copy) == scene.items()
    return calls


@POLICIES
def test_it_changes_nothing_else(policy_of: PolicyOf) -> None:
    policy = policy_of("flights", "copy")
    changes = ("PutItem", "DeleteItem", "BatchWriteItem", "DeleteTable")
    forbidden = [Call(f"dynamodb:{action}", f"{TABLES}/flights") for action in changes]
    forbidden += [Call(f"dynamodb:{action}", f"{TABLES}/copy") for action in ("DeleteTable", "UpdateTable", "PutResourcePolicy")]
    forbidden += [Call("dynamodb:PutItem", f"{TABLES}/copy-2"), Call("dynamodb:BatchGetItem", f"{TABLES}/orders")]
    forbidden += [Call("dynamodb:PutItem", f"{TABLES}/copy".replace(REGION, "eu-west-1"))]
    forbidden += [Call(f"s3:{action}", "arn:aws:s3:::vault/x") for action in ("PutObject", "GetObject", "DeleteObject")]
    forbidden += [Call("s3:PutObject", "arn:aws:s3:::failures/aws/lambda/x", "999999999999")]
    forbidden += [Call("s3:ListBucket", "arn:aws:s3:::vault"), Call("s3:PutObject", "arn:aws:s3:::failures/other/x")]
    forbidden += [Call("dynamodb:Scan", f"{TABLES}/{table}") for table in ("flights", "copy")]
    forbidden += [Call("dynamodb:GetRecords", "arn:another"), Call("logs:PutLogEvents", "arn:aws:logs:x"), Call("kms:Decrypt", "x")]
    assert [call for call in forbidden if templates.permitted(policy, call)] == []
    assert templates.permitted(policy, Call("s3:PutObject", "arn:aws:s3:::failures/aws/lambda/x"))


def test_the_function_is_told_the_replica() -> None:
    choices = Choices(tables=["flights"], replica="copy", replica_region="eu-west-1", replica_deletes="none")
    parsed = templates.parse(template(choices))
    made = parsed["Resources"]["Capture"]["Properties"]
    given = {"ReplicaTable": "copy", "ReplicaRegion": "eu-west-1", "ReplicaDeletes": "none"}
    words = aws_replica.words_of(templates.resolved(made["Environment"]["Variables"], given))
    assert (words.table, words.place.region, str(words.deletes)) == ("copy", "eu-west-1", "none")
    assert made["Handler"] == "backstream.apps.aws_replica.handler"
    assert "Vault" not in json.dumps(parsed["Resources"])
