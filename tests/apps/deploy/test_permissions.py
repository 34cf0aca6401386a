"""The roles may do what is done with them, on what it is done, and no more: every request is written down and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, cast

import pytest

from backstream.apps import aws_lambda
from backstream.apps.config import VAULT_VARIABLE
from backstream.apps.deploy import ChangeSource, Choices, template
from backstream.errors import Damaged
from backstream.operations.setup.identity import REPLACED
from backstream.ports import Delete, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault.bases import Bases
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gaps
from backstream.vault.log.compacted import Compacted
from kit import images, templates
from kit.aws import Aws
from kit.clock import ManualClock
from kit.invocations import Invocation, LambdaStage
from kit.recorded import ACCOUNT, Call, Recorder
from kit.records import stream_records
from kit.scene import Scene, next_second

# What nobody sees on the wire, by the id of its statement: Lambda does it in the role's name, and why it is needed.
BY_LAMBDA = {
    "ReadStream": "the event source mapping reads the stream",
    "ListStreams": "and asks for this one, too, before it is made",
    "KeepFailedBatches": "the mapping's destination",
    "FindFailures": "is asked for beside it: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html",
    "WriteLog": "the function's log",
}


def role(name: str, choices: Choices, known: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return list(templates.statements(templates.parse(template(choices)), name, known))


def not_allowed(policy: Sequence[Mapping[str, Any]], calls: set[Call]) -> list[Call]:
    return sorted(call for call in calls if not templates.permitted(policy, call))


def assert_just_enough(policy: Sequence[Mapping[str, Any]], calls: set[Call], beside: Mapping[str, str]) -> None:
    """Each call is allowed; and each action of each statement is called, or its statement is one of `beside`."""
    assert not_allowed(policy, calls) == []
    idle = {
        (each["Sid"], action)
        for each in policy
        for action in each["Action"]
        if not any(call.action == action and templates.allows(each, call) for call in calls)
    }
    assert {sid for sid, _ in idle} == set(beside), sorted(idle)


# --- capture ----------------------------------------------------------------------------------------------------------------------


def live_through(stage: LambdaStage) -> None:
    """All that may come to a function: changes in order, late ones, repeated ones, deletes, and a record that nobody can read."""
    stage.put(range(6))
    stage.manual.move(1)
    stage.put(range(3))
    stage.delete([0, 4])
    records = stage.records()
    assert stage.deliver(records[6:]) == []
    assert stage.deliver(records[:6]) == [], "late"
    assert stage.deliver(records) == [], "again"
    stage.manual.move(1)
    stage.put([0, 4])
    late = stage.records()[len(records) :]
    assert stage.deliver([late[1]]) == []
    broken = {**late[0], "dynamodb": {name: each for name, each in late[0]["dynamodb"].items() if "Image" not in name}}
    assert stage.deliver([broken, late[1]]) == [late[0]["dynamodb"]["SequenceNumber"]]
    assert stage.deliver(late) == []
    assert stage.captured() == stage.expected()


@pytest.fixture
def captured(aws: Aws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> set[Call]:
    """What the handler has asked for, in both layouts."""
    calls = set[Call]()
    for layout in Layout:
        with monkeypatch.context() as patch, Recorder(aws.url) as recorder:
            for name, value in aws.environment.items():
                patch.setenv(name, value)
            patch.setenv(VAULT_VARIABLE, f"s3://{bucket}/{layout}")
            patch.setenv("BACKSTREAM_BUCKET_OWNER", ACCOUNT)  # as the template sets it
            stage = LambdaStage(layout=layout)  # `init` is a person's
            patch.setenv("AWS_ENDPOINT_URL_S3", recorder.url)
            live_through(stage)
            calls |= {
                Call(each.action, each.resource.replace(f"{bucket}/{layout}/", f"{bucket}/vault/")) for each in recorder.calls
            }
            assert recorder.owners == {ACCOUNT}
    return calls


@pytest.fixture
def recognised(aws: Aws, bucket: str, table_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[Call]:
    """What the handler asks for where the table's stream was off for a while, as if the table were named `flights`."""
    scene = Scene(aws, bucket, table_name, tmp_path)
    scene.create()
    scene.live().enable_stream()
    scene.init()
    known = scene.vault().catalog.stream_arn
    for on in ({"StreamEnabled": False}, {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}):
        next_second()
        aws.client("dynamodb").update_table(TableName=table_name, StreamSpecification=cast("Any", on))
    arn = scene.live().facts().stream_arn or ""
    assert arn > known
    scene.put(images.image("z", 1))
    records = stream_records(DynamoStream(BotoRaw(aws.client("dynamodbstreams", config=recommended_config())), arn))
    with monkeypatch.context() as patch, Recorder(aws.url) as recorder:
        for name, value in scene.environment.items():
            patch.setenv(name, recorder.url if name.startswith("AWS_ENDPOINT_URL") else value)
        patch.setenv(VAULT_VARIABLE, scene.url)
        assert aws_lambda.handler({"Records": records}, Invocation()) == {"batchItemFailures": []}
    assert scene.vault().catalog.stream_arn == known, "its role may not write the catalog"
    assert [gap.reason for gap in scene.vault().gaps.all()] == [REPLACED]
    renamed = ("/backups/", "/vault/"), (f"/{table_name}", "/flights")
    return {Call(each.action, reduce(lambda text, pair: text.replace(*pair), renamed, each.resource)) for each in recorder.calls}


def test_the_capturing_role_may_do_just_what_is_done(captured: set[Call], recognised: set[Call], bucket: str) -> None:
    assert captured, "nothing was written down"
    known = {"VaultBucket": bucket, "VaultPrefix": "vault", "Failures": "gone", "FlightsStreamArn": "arn:stream"}
    policy = role("CaptureRole", Choices(tables=["flights"], existing_bucket=bucket), known)
    assert_just_enough(policy, captured | recognised, BY_LAMBDA)
    assert not_allowed([each for each in policy if each["Sid"] != "SeeTables"], recognised)
    elsewhere = role("CaptureRole", Choices(tables=["flights"], existing_bucket=bucket), {**known, "VaultPrefix": "other"})
    assert not any(templates.allows(each, call) for each in elsewhere for call in captured if "/vault/" in call.resource)

    # Would one less, or one more, be seen?
    for sid in ("ReadVault", "AddToLog", "KeepRows", "FindVersions"):
        assert not_allowed([each for each in policy if each["Sid"] != sid], captured)
    more = {"Sid": "More", "Action": ["s3:DeleteObjectVersion"], "Resource": ["*"]}
    with pytest.raises(AssertionError, match="DeleteObjectVersion"):
        assert_just_enough([*policy, more], captured, BY_LAMBDA)


# --- the drill --------------------------------------------------------------------------------------------------------------------


def drilled(scene: Scene, layout: Layout) -> set[Call]:
    """What a drill asks for, of a table with a base backup, changes since, and a compacted log."""
    scene.create()
    scene.init(layout=layout)
    scene.write([Put(images.image("z", number)) for number in range(20)])
    scene.tail()
    scene.backup().compact()
    scene.backup().backfill()
    scene.write([Delete(images.key("z", number)) for number in range(5)])
    scene.write([Put(images.image("z", number)) for number in range(5, 9)])
    scene.tail()
    with Recorder(scene.aws.url) as recorder:
        through = {name: recorder.url for name in scene.environment if name.startswith("AWS_ENDPOINT_URL")}
        ran = scene.call("drill", scene.table, "--patience", "1", environment=through)
        assert ran.code == 0, ran.err
        return recorder.calls


@pytest.mark.parametrize("layout", [Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def test_the_drills_role_may_do_just_what_is_done(aws: Aws, bucket: str, table_name: str, tmp_path: Path, layout: Layout) -> None:
    """The log layout asks for less; which of them it is, a template does not know."""
    calls = drilled(Scene(aws, bucket, table_name, tmp_path), layout)
    stream = aws.client("dynamodb").describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    choices = Choices(tables=[table_name], existing_bucket=bucket)
    (parameter,) = (each for each in templates.parse(template(choices))["Parameters"] if each.endswith("StreamArn"))
    policy = role("DrillRole", choices, {"VaultBucket": bucket, "VaultPrefix": "backups", parameter: stream})
    assert not_allowed(policy, calls) == []
    if layout is Layout.ROWS:
        assert_just_enough(policy, calls, {"WriteLog": BY_LAMBDA["WriteLog"]})


# --- the witness ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", list(Layout))
def test_the_witness_role_may_do_what_is_done(aws: Aws, bucket: str, table_name: str, tmp_path: Path, layout: Layout) -> None:
    """Of a log of which some is compacted, with records that are missing in it, deletes among them."""
    scene = Scene(aws, bucket, table_name, tmp_path)
    scene.create()
    scene.init(layout=layout)
    scene.write([Put(images.image("z", number)) for number in range(6)])
    scene.tail()
    scene.backup().compact()
    scene.write([Delete(images.key("z", number)) for number in range(3)])
    scene.write([Put(images.image("z", number)) for number in range(5, 9)])
    with Recorder(scene.aws.url) as recorder:
        through = {name: recorder.url for name in scene.environment if name.startswith("AWS_ENDPOINT_URL")}
        ran = scene.call("witness", scene.table, environment=through)
        assert ran.code == 0, ran.err
        calls = recorder.calls
    stream = aws.client("dynamodb").describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    choices = Choices(tables=[table_name], existing_bucket=bucket)
    (parameter,) = (each for each in templates.parse(template(choices))["Parameters"] if each.endswith("StreamArn"))
    policy = role("WitnessRole", choices, {"VaultBucket": bucket, "VaultPrefix": "backups", parameter: stream})
    assert not_allowed(policy, calls) == []
    for sid in ("ReadVault", "FindVersions", "SeeTables", "ReadStream"):
        assert not_allowed([each for each in policy if each["Sid"] != sid], calls)


# --- what no policy holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", list(ChangeSource))
@pytest.mark.parametrize("tables", [(), ("flights",), ("flights", "orders"), tuple(f"table-{n}" for n in range(12))], ids=len)
def test_no_action_is_a_pattern_and_resources_are_named(tables: tuple[str, ...], source: ChangeSource) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234"
    parsed = templates.parse(template(Choices(tables=tables, kms_key=key, source=source)))
    roles = [each for each in parsed["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    assert [each["Properties"]["Policies"][0]["PolicyName"] for each in roles] == ["capture", "witness", "drill", "schedule"]
    statements = [
        each for one in roles for policy in one["Properties"]["Policies"] for each in policy["PolicyDocument"]["Statement"]
    ]
    assert [action for each in statements for action in each["Action"] if "*" in action] == []
    open_ones = [each["Action"] for each in statements if "*" in each["Resource"]]
    assert open_ones == [[f"{source}:ListStreams"]], "AWS knows no resource for it"
    assert all("s3:DeleteObjectVersion" not in each["Action"] for each in statements)


# --- what is forbidden ------------------------------------------------------------------------------------------------------------

KNOWN = {"VaultBucket": "bbb", "VaultPrefix": "vault", "Vault": "bbb", "Vault.Arn": "arn:aws:s3:::bbb", "Failures": "gone"}
KNOWN |= {"FlightsStreamArn": "arn:stream", "VaultBucketOwner": ACCOUNT, "AdminArn": f"arn:aws:iam::{ACCOUNT}:role/admin"}
OBJECTS = "arn:aws:s3:::bbb/vault/"
SYSTEM = f"{OBJECTS}_backstream/flights/"
NOT_ADDED_TO = [
    f"{SYSTEM}{name}"
    for name in (
        "base/complete/x.json",
        "base/x/part",
        "compacted/generations/00000001.json",
        "compacted/sets/x",
        "drills/x.json",
        "agreed/00000000001",
        "redriven/x",
        "snapshots/x",
        "heads/x",
        "log",
        "gaps",
        "logs/x",
        "catalog.json.old",
    )
] + [
    f"{OBJECTS}_backstream/orders/log/x",
    f"{OBJECTS}_backstream/orders/gaps/x",
    f"{OBJECTS}orders/x",
    "arn:aws:s3:::bbb/other/flights/x",
]
CATALOGS = [f"{SYSTEM}catalog.json", f"{SYSTEM}catalog.json.if-match"]
ON_BUCKET = (
    "PutLifecycleConfiguration",
    "PutBucketVersioning",
    "PutBucketPolicy",
    "DeleteBucketPolicy",
    "DeleteBucket",
    "PutBucketAcl",
)
ON_OBJECT = ("DeleteObjectVersion", "PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold", "BypassGovernanceRetention")
ROLES = ["CaptureRole", "WitnessRole", "DrillRole"]


@pytest.fixture(scope="module", params=[1, 12], ids=["one table", "twelve tables"])
def deployed(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    tables = ["flights", *(f"t-{number}" for number in range(request.param - 1))]
    return templates.parse(template(Choices(tables=tables)))


def of(parsed: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A role's statements, and those of the vault's bucket."""
    known = {**KNOWN, **{each: "arn:stream" for each in parsed["Parameters"] if each.endswith("StreamArn")}}
    return [*templates.statements(parsed, name, known), *templates.bucket_policy(parsed, "Vault", known)]


@pytest.mark.parametrize("name", ROLES)
def test_roles_add_to_nothing_else(deployed: Mapping[str, Any], name: str) -> None:
    policy = of(deployed, name)
    added = {each for each in [*NOT_ADDED_TO, *CATALOGS] if templates.permitted(policy, Call("s3:PutObject", each))}
    allowed = {"WitnessRole": set(CATALOGS), "DrillRole": {f"{SYSTEM}drills/x.json"}}.get(name, set())
    several = len(deployed["Parameters"]) > 30
    any_log = (
        {f"{OBJECTS}_backstream/orders/log/x", f"{OBJECTS}_backstream/orders/gaps/x"} if several and name != "DrillRole" else set()
    )
    assert added == allowed | any_log


def test_what_a_pattern_over_tables_reaches_counts_nowhere() -> None:
    """With more than ten tables `*` stands for a table's name, and for slashes: no reader takes what lies there for its own."""
    tables = ["flights", *(f"t-{number}" for number in range(11))]
    policy = of(templates.parse(template(Choices(tables=tables))), "CaptureRole")
    store = MemoryStore(ManualClock())
    for folder in ("log", "gaps"):
        plan = {"format": 1, "id": folder, "kind": "scan", "source": "x", "segments": 1, "began": 1}
        written = {
            f"base/{folder}/plan.json": json.dumps(plan).encode(),
            f"base/complete/{folder}/20231114T221320Z-20231114T221330Z_scan_x.json": b"{}",
            f"agreed/{folder}/00000000001": b"",
            f"compacted/generations/{folder}/00000001.json": b'{"format":1,"number":1}',
            f"redriven/{folder}/x": b"",
        }
        for name, body in written.items():
            assert templates.permitted(policy, Call("s3:PutObject", f"{SYSTEM}{name}"))
            store.put(f"_backstream/flights/{name}", body)
    bases, gaps = Bases(store, "flights"), Gaps(store, "flights")
    assert list(bases.complete()) == []
    for folder in ("log", "gaps"):
        with pytest.raises(Damaged, match="no plan of a base backup"):
            bases.plan(folder)
    assert gaps.last_agreed(10**10) is None
    assert not Compacted(store, "flights").current().sets


@pytest.mark.parametrize("name", ROLES)
def test_roles_end_and_hide_nothing_of_the_vault(deployed: Mapping[str, Any], name: str) -> None:
    policy = of(deployed, name)
    system = [f"{SYSTEM}log/x", f"{SYSTEM}gaps/x", *NOT_ADDED_TO, *CATALOGS]
    asked = [Call("s3:DeleteObject", each) for each in system]
    asked += [Call(f"s3:{action}", each) for action in ON_OBJECT for each in (f"{OBJECTS}flights/x", *system)]
    asked += [Call(f"s3:{action}", "arn:aws:s3:::bbb") for action in ON_BUCKET]
    asked += [Call("dynamodb:DeleteTable", "arn:aws:dynamodb:us-east-1:000000000000:table/flights")]
    assert [call for call in asked if templates.permitted(policy, call)] == []


@pytest.mark.parametrize("name", ROLES)
def test_roles_do_nothing_in_a_bucket_of_another_account(deployed: Mapping[str, Any], name: str) -> None:
    """Somebody may take the name of a bucket that was deleted."""
    policy = of(deployed, name)
    calls = {Call("s3:GetObject", f"{SYSTEM}catalog.json"), Call("s3:ListBucket", "arn:aws:s3:::bbb")}
    if name != "DrillRole":
        calls |= {Call("s3:PutObject", f"{SYSTEM}log/x"), Call("s3:DeleteObject", f"{OBJECTS}flights/x")}
    assert not_allowed(policy, calls) == []
    taken = {each._replace(account="999999999999") for each in calls}
    assert not_allowed(policy, taken) == sorted(taken)
    s3 = [each for each in policy if each["Effect"] == "Allow" and any(action.startswith("s3:") for action in each["Action"])]
    assert all("aws:ResourceAccount" in each["Condition"]["StringEquals"] for each in s3)


def test_only_the_admin_ends_versions(deployed: Mapping[str, Any]) -> None:
    """Whoever is allowed everything by a policy of his own, as an administrator of the account is."""
    everything = {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}
    for bucket, known in (("Vault", KNOWN), ("Failures", {**KNOWN, "Failures.Arn": "arn:aws:s3:::gone"})):
        policy = [everything, *templates.bucket_policy(deployed, bucket, known)]
        arn = known[f"{bucket}.Arn"]
        calls = [
            Call("s3:DeleteObjectVersion", f"{arn}/vault/flights/x"),
            Call("s3:BypassGovernanceRetention", f"{arn}/vault/flights/x"),
            Call("s3:PutLifecycleConfiguration", arn),
            Call("s3:PutBucketVersioning", arn),
        ]
        for who, may in (("role/admin", True), ("role/administrator", False), ("user/root", False), ("root", False)):
            principal = f"arn:aws:iam::{ACCOUNT}:{who}"
            assert [templates.permitted(policy, call, principal) for call in calls] == [may] * len(calls), who
        assert templates.permitted(policy, Call("s3:DeleteObject", f"{arn}/vault/flights/x"), f"arn:aws:iam::{ACCOUNT}:role/any")


def test_without_a_name_the_admin_is_the_root_user(deployed: Mapping[str, Any]) -> None:
    default = deployed["Parameters"]["AdminArn"]["Default"]
    policy = [
        {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]},
        *templates.bucket_policy(deployed, "Vault", {**KNOWN, "AdminArn": default}),
    ]
    call = Call("s3:DeleteObjectVersion", f"{OBJECTS}flights/x")
    assert templates.permitted(policy, call, f"arn:aws:iam::{ACCOUNT}:root")
    assert not templates.permitted(policy, call, f"arn:aws:iam::{ACCOUNT}:role/root")


def test_a_role_of_one_table_cannot_touch_anothers() -> None:
    known = {"VaultBucket": "bbb", "VaultPrefix": "vault", "Failures": "gone", "FlightsStreamArn": "arn:stream"}
    policy = role("CaptureRole", Choices(tables=["flights"], existing_bucket="bbb"), known)
    for key in ("vault/flights-2/x", "vault/_backstream/orders/log/x", "vault/orders/x", "other/flights/x"):
        for action in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"):
            assert not any(templates.allows(each, Call(action, f"arn:aws:s3:::bbb/{key}")) for each in policy)
    log = Call("s3:DeleteObject", "arn:aws:s3:::bbb/vault/_backstream/flights/log/x")
    assert not any(templates.allows(each, log) for each in policy), "the log is never hidden by the function"
