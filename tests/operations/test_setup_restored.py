"""The whole table comes back: dropped, restored, described, it is as it was, or the difference is on the to-do list."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import pytest

from backstream.model.tables.settings import TableSettings
from backstream.vault import catalog as catalogs
from kit.images import image
from kit.proxy import Action, FaultProxy, Request, Response, answer, first, nth, respond
from kit.scene import Scene, next_second, same

NOW = int(time.time())
WEEK = 7 * 86_400


def refused(code: str, message: str = "no") -> Action:
    """An error of AWS's."""
    return answer(400, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}))


DENIED = refused("AccessDeniedException", "not for you")


@pytest.fixture
def scaling(scene: Scene) -> Iterator[FaultProxy]:
    """Application Auto Scaling: no table has any, unless a test scripts it before it is asked."""
    with FaultProxy(scene.aws.endpoint("dynamodb")) as made:
        scene.environment["AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING"] = made.url
        yield made


@pytest.fixture
def unscaled(scaling: FaultProxy) -> FaultProxy:
    """The same, of a table without."""
    scaling.on(answer(200, '{"ScalableTargets":[]}'), operation="DescribeScalableTargets")
    for operation, lines in (("DescribeScalingPolicies", "ScalingPolicies"), ("DescribeScheduledActions", "ScheduledActions")):
        scaling.on(answer(200, json.dumps({lines: []})), operation=operation)
    return scaling


def create(scene: Scene, *, provisioned: bool = True, **more: Any) -> str:
    """A table with two global indexes, a local one, tags, TTL and a stream; its ARN."""
    units = {"ReadCapacityUnits": 500, "WriteCapacityUnits": 500}
    capacity: dict[str, Any] = {"ProvisionedThroughput": units} if provisioned else {}
    client = scene.aws.client("dynamodb")
    wanted: dict[str, Any] = {
        "TableName": scene.table,
        "BillingMode": "PROVISIONED" if provisioned else "PAY_PER_REQUEST",
        **capacity,
        "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "zone", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "carrier", "AttributeType": "S"},
            {"AttributeName": "pilot", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": f"by-{name}",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                **capacity,
            }
            for name in ("carrier", "pilot")
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "carrier", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["gate", "belt"]},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "Tags": [{"Key": "team", "Value": "tower"}, {"Key": "stage", "Value": "test"}],
    }
    arn = client.create_table(**{**wanted, **more})["TableDescription"]["TableArn"]
    client.update_time_to_live(TableName=scene.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    return arn


def captured(scene: Scene, items: Iterable[bytes] = ()) -> tuple[int, Mapping[bytes, bytes]]:
    """The table in its vault: the second, and what it held."""
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    scene.put(*(items or [image("a", n, carrier={"S": f"c{n % 3}"}, expires={"N": str(NOW + WEEK)}) for n in range(40)]))
    then = scene.items()
    at = next_second()
    scene.tail()
    return at, then


def drop(scene: Scene) -> None:
    """Delete the table."""
    client = scene.aws.client("dynamodb")
    client.update_table(TableName=scene.table, DeletionProtectionEnabled=False)
    client.delete_table(TableName=scene.table)


def kept(scene: Scene) -> TableSettings:
    """The settings in the catalog."""
    return catalogs.settings_of(catalogs.load(scene.store(), scene.table))


def unlike(known: TableSettings, seen: TableSettings) -> set[str]:
    """What differs between two tables' settings but the tables' names; the table's own members by theirs."""
    of_table = {name for name in known.table.keys() | seen.table.keys() if known.table.get(name) != seen.table.get(name)}
    parts = (each for each in known.__struct_fields__ if each not in ("table", "unknown"))
    return (of_table - {"TableName"}) | {each for each in parts if getattr(known, each) != getattr(seen, each)}


def settings(scene: Scene, name: str) -> TableSettings:
    """The live ones."""
    return scene.backup()._config.table(name).settings()


def restored(scene: Scene, *words: str, code: int = 0, environment: Mapping[str, str] | None = None) -> Any:
    """A restore's report."""
    ran = scene.call("restore", scene.table, *words, "--json", environment=environment)
    assert ran.code == code, ran.out + ran.err
    return ran.json()


def behind(scene: Scene) -> FaultProxy:
    """Between us and DynamoDB."""
    return FaultProxy(scene.aws.endpoint("dynamodb"))


def whats(report: Any) -> list[str]:
    return [each["what"] for each in report["todo"]]


# --- on real servers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provisioned", [True, False], ids=["provisioned", "on-demand"])
@pytest.mark.usefixtures("unscaled")
def test_dropped_restored_described_equal(scene: Scene, *, provisioned: bool) -> None:
    more: dict[str, Any] = {"TableClass": "STANDARD_INFREQUENT_ACCESS", "SSESpecification": {"Enabled": True, "SSEType": "KMS"}}
    if not provisioned:
        more["OnDemandThroughput"] = {"MaxReadRequestUnits": 4_000, "MaxWriteRequestUnits": 2_000}
    create(scene, provisioned=provisioned, DeletionProtectionEnabled=True, **more)
    client = scene.aws.client("dynamodb")
    client.update_continuous_backups(TableName=scene.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    client.update_contributor_insights(TableName=scene.table, ContributorInsightsAction="ENABLE")
    at, then = captured(scene)
    known = kept(scene)
    assert (len(known.table["GlobalSecondaryIndexes"]), len(known.table["LocalSecondaryIndexes"])) == (2, 1)
    assert (known.time_to_live, known.tags) == ("expires", {"stage": "test", "team": "tower"})
    assert known.table["StreamSpecification"]["StreamEnabled"]
    assert known.table["SSEDescription"]["SSEType"] == "KMS"
    assert ("OnDemandThroughput" in known.table) is not provisioned
    drop(scene)

    report = restored(scene, "--at", str(at), "--to", scene.table)
    assert (report["put"], report["failed"]) == (len(then), 0)
    assert same(scene.items(), then)
    assert unlike(known, settings(scene, scene.table)) == set()
    assert whats(report) == ["readers of the stream"]

    other = f"{scene.table}-then"
    report = restored(scene, "--at", str(at), "--to", other)
    assert same(scene.items(other), then)
    assert unlike(known, settings(scene, other)) == set()
    assert whats(report) == ["readers of the stream", "CloudWatch alarms, IAM policies, backup plans"]
    found = client.query(
        TableName=other,
        IndexName="by-carrier",
        KeyConditionExpression="carrier = :c",
        ExpressionAttributeValues={":c": {"S": "c1"}},
    )
    assert found["Count"] == sum(1 for each in then.values() if b'"c1"' in each)


@pytest.mark.usefixtures("unscaled")
def test_a_policy_comes_back_for_the_new_name(scene: Scene) -> None:
    arn = create(scene)
    statement = {"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "dynamodb:Query", "Resource": [arn, f"{arn}/index/*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
    scene.aws.client("dynamodb").put_resource_policy(ResourceArn=arn, Policy=policy)
    at, _ = captured(scene)
    other = f"{scene.table}-then"
    restored(scene, "--at", str(at), "--to", other)
    assert settings(scene, other).resource_policy == policy.replace(arn, f"{arn}-then")
    assert unlike(kept(scene), settings(scene, other)) == {"resource_policy"}


@pytest.mark.usefixtures("unscaled")
def test_without_indexes_and_the_commands_that_add_them(scene: Scene) -> None:
    create(scene, provisioned=False)
    at, then = captured(scene)
    other = f"{scene.table}-then"
    report = restored(scene, "--at", str(at), "--to", other, "--no-indexes")
    assert same(scene.items(other), then)
    assert unlike(kept(scene), settings(scene, other)) == {
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "AttributeDefinitions",
    }
    assert whats(report)[:3] == ["global index by-carrier", "global index by-pilot", "local index local"]
    client = scene.aws.client("dynamodb")
    for todo in report["todo"][:2]:
        client.update_table(**json.loads(shlex.split(todo["command"])[-1]))
    lines = settings(scene, other).table["GlobalSecondaryIndexes"]
    assert [each["IndexName"] for each in lines] == ["by-carrier", "by-pilot"]


@pytest.mark.usefixtures("unscaled")
def test_settings_only(scene: Scene) -> None:
    create(scene)
    captured(scene)
    drop(scene)
    ran = scene.call("restore", scene.table, "--settings-only", "--to", scene.table)
    assert ran.code == 0, ran.err
    assert scene.items() == {}
    assert unlike(kept(scene), settings(scene, scene.table)) == set()
    assert "TO DO" in ran.out
    again = scene.call("restore", scene.table, "--settings-only", "--to", scene.table)
    assert (again.code, "exists" in again.err) == (4, True)


@pytest.mark.usefixtures("unscaled")
def test_rows_that_have_expired_are_not_deleted_again(scene: Scene) -> None:
    create(scene)
    for patience in (8, 30, 90):  # seconds: on a busy machine the first may be over before all is captured
        soon = int(time.time()) + patience
        over = [image("over", n, expires={"N": str(soon)}) for n in range(3)]
        others = [
            image("expired by then", 1, expires={"N": str(NOW - 60)}),
            image("long before", 1, expires={"N": str(NOW - 30 * 86_400)}),  # and is still there: no time to live has acted on it
            image("ancient", 1, expires={"N": str(NOW - 6 * 365 * 86_400)}),
            image("text", 1, expires={"S": str(soon)}),
            image("later", 1, expires={"N": str(NOW + WEEK)}),
            image("never", 1),
        ]
        at, then = captured(scene, [*over, *others])
        if at < soon:
            break
    assert at < soon
    while time.time() < soon + 1:
        time.sleep(0.05)
    other = f"{scene.table}-then"
    dry = restored(scene, "--at", str(at), "--to", other, "--dry-run")
    report = restored(scene, "--at", str(at), "--to", other)
    assert same(scene.items(other), then)
    assert settings(scene, other).time_to_live is None
    todo = report["todo"][0]
    assert (todo["what"], todo["why"].endswith("is over: 4"), todo["failed"]) == ("time to live", True, False)
    assert dry["todo"] == report["todo"], "a dry run says the same"
    assert dry["sets"] == report["sets"]
    assert "time to live by expires" not in dry["sets"]
    scene.aws.client("dynamodb").update_time_to_live(**json.loads(shlex.split(todo["command"])[-1]))
    assert settings(scene, other).time_to_live == "expires"


@pytest.mark.usefixtures("unscaled")
def test_the_settings_are_those_of_the_moment(scene: Scene) -> None:
    create(scene)
    at, _ = captured(scene)
    next_second()
    client = scene.aws.client("dynamodb")
    client.tag_resource(ResourceArn=scene.live().facts().arn, Tags=[{"Key": "stage", "Value": "prod"}])
    assert "stage changed" in scene.call("init", scene.table).out
    later = next_second()
    before = restored(scene, "--at", str(at), "--to", f"{scene.table}-then", "--settings-only")
    after = restored(scene, "--at", str(later), "--to", f"{scene.table}-now", "--settings-only")
    assert settings(scene, f"{scene.table}-then").tags["stage"] == "test"
    assert settings(scene, f"{scene.table}-now").tags["stage"] == "prod"
    assert before["settings"] < after["settings"]
    early = restored(scene, "--at", str(NOW - WEEK), "--to", f"{scene.table}-early", "--settings-only")
    assert any("no settings of the table were kept before" in each for each in early["warnings"])
    assert early["settings"] == before["settings"]


def unlisted(scene: Scene, prefix: str) -> FaultProxy:
    """S3 for one who may not list the versions below this prefix, as a policy's condition on `s3:prefix` says it."""
    denied = Response(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    def asked(request: Request) -> Response | None:
        words = parse_qs(request.path.partition("?")[2], keep_blank_values=True)
        return denied if "versions" in words and words["prefix"][0].startswith(prefix) else None

    proxy = FaultProxy(scene.aws.endpoint("s3"))
    proxy.on(respond(asked))
    return proxy


@pytest.mark.usefixtures("unscaled")
def test_settings_without_leave_to_list_the_catalogs_versions(scene: Scene) -> None:
    create(scene)
    at, _ = captured(scene)
    with unlisted(scene, f"backups/_backstream/{scene.table}/catalog.json") as proxy:
        environment = {"AWS_ENDPOINT_URL_S3": proxy.url}
        words = ("--at", str(at), "--to", f"{scene.table}-then", "--settings-only")
        report = restored(scene, *words, environment=environment)
    assert any("may not be listed" in each for each in report["warnings"])
    assert unlike(kept(scene), settings(scene, f"{scene.table}-then")) == set()


@pytest.mark.usefixtures("unscaled")
def test_without_leave_to_list_versions_nothing_is_made(scene: Scene) -> None:
    """What is hidden cannot be told from what is not there then."""
    create(scene)
    at, _ = captured(scene)
    with unlisted(scene, "") as proxy:
        environment = {"AWS_ENDPOINT_URL_S3": proxy.url}
        for more in ((), ("--settings-only",)):
            ran = scene.call("restore", scene.table, "--at", str(at), "--to", f"{scene.table}-then", *more, environment=environment)
            assert ran.code == 1
            assert "ListObjectVersions" in ran.err
            assert "s3:ListBucketVersions" in ran.err
    assert f"{scene.table}-then" not in scene.aws.client("dynamodb").list_tables()["TableNames"]


@pytest.mark.usefixtures("unscaled")
def test_an_empty_table_that_is_there_keeps_its_settings(scene: Scene) -> None:
    create(scene)
    at, then = captured(scene)
    other = f"{scene.table}-mine"
    scene.create(other)
    before = settings(scene, other)
    report = restored(scene, "--at", str(at), "--to", other)
    assert same(scene.items(other), then)
    assert settings(scene, other) == before
    assert (report["todo"], report["settings"]) == ([], None)
    assert any("was there already" in each for each in report["warnings"])


@pytest.mark.usefixtures("unscaled")
def test_an_item_that_an_index_does_not_take_is_named(scene: Scene) -> None:
    """Items older than an index may have another type where its key is: with the index they cannot be written."""
    scene.create()
    scene.init()
    scene.put(image("a", 1, carrier={"N": "7"}), image("a", 2, carrier={"S": "LH"}))
    at = next_second()
    scene.tail()
    mismatch = {"__type": "ValidationException", "message": "Type mismatch for Index Key carrier"}
    with behind(scene) as proxy:

        def strict(request: Request) -> Response | None:
            puts = [each["PutRequest"]["Item"] for each in next(iter(request.json()["RequestItems"].values()))]
            return None if all("S" in each["carrier"] for each in puts) else Response(400, json.dumps(mismatch).encode())

        proxy.on(respond(strict), operation="BatchWriteItem")
        report = restored(
            scene, "--at", str(at), "--to", f"{scene.table}-then", code=1, environment={"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        )
    assert (report["put"], report["failed"]) == (1, 1)
    assert "Index Key carrier" in report["failures"][0]["why"]


# --- refusals ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unscaled")
def test_a_step_that_is_refused_ends_nothing_and_is_named_with_its_command(scene: Scene) -> None:
    create(scene, DeletionProtectionEnabled=True)
    at, then = captured(scene)
    other = f"{scene.table}-then"
    with behind(scene) as proxy:
        proxy.on(DENIED, operation="UpdateTimeToLive")
        ran = scene.call(
            "restore", scene.table, "--at", str(at), "--to", other, environment={"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        )
    assert ran.code == 1, ran.err
    assert same(scene.items(other), then)
    found = settings(scene, other)
    assert (found.time_to_live, found.table["DeletionProtectionEnabled"]) == (None, True)
    lines = ran.out.splitlines()
    where = lines.index("TO DO") + 1
    assert lines[where].startswith("- time to live: UpdateTimeToLive of table")
    assert "not for you" in lines[where]
    command = shlex.split(lines[where + 1])
    assert command[:4] == ["aws", "dynamodb", "update-time-to-live", "--cli-input-json"]
    scene.aws.client("dynamodb").update_time_to_live(**json.loads(command[4]))
    assert unlike(kept(scene), settings(scene, other)) == set()


@pytest.mark.usefixtures("unscaled")
def test_a_table_that_is_still_changing_is_waited_for(scene: Scene) -> None:
    create(scene)
    client = scene.aws.client("dynamodb")
    client.update_continuous_backups(TableName=scene.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    at, _ = captured(scene)
    with behind(scene) as proxy:
        busy = proxy.on(refused("ContinuousBackupsUnavailableException"), operation="UpdateContinuousBackups", when=first(2))
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        report = restored(scene, "--at", str(at), "--to", f"{scene.table}-then", environment=environment)
    assert busy.matched == 3
    assert whats(report) == ["readers of the stream", "CloudWatch alarms, IAM policies, backup plans"]
    assert settings(scene, f"{scene.table}-then").point_in_time_recovery.enabled


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("LimitExceededException", 1, "as many tables"),
        ("ResourceInUseException", 4, "does not exist yet"),
        ("AccessDeniedException", 1, "dynamodb:TagResource"),
        ("ValidationException", 1, "create yourself"),
    ],
)
@pytest.mark.usefixtures("unscaled")
def test_a_table_that_cannot_be_created(scene: Scene, code: str, exit_code: int, words: str) -> None:
    create(scene)
    at, _ = captured(scene)
    other = f"{scene.table}-then"
    with behind(scene) as proxy:
        proxy.on(refused(code), operation="CreateTable")
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url, "AWS_MAX_ATTEMPTS": "1"}
        ran = scene.call("restore", scene.table, "--at", str(at), "--to", other, environment=environment)
    assert (ran.code, words in ran.err) == (exit_code, True), ran.err
    assert other not in scene.aws.client("dynamodb").list_tables()["TableNames"]


def test_auto_scaling_and_kinesis_destinations(scene: Scene, scaling: FaultProxy) -> None:
    create(scene)
    of_table = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{scene.table}",
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    }
    policy: dict[str, Any] = {
        **of_table,
        "PolicyName": "writes",
        "PolicyType": "TargetTrackingScaling",
        "PolicyARN": "arn",
        "Alarms": [],
    }
    tracking = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
    }
    policy["TargetTrackingScalingPolicyConfiguration"] = tracking
    target: dict[str, Any] = {**of_table, "MinCapacity": 5, "MaxCapacity": 40, "CreationTime": 1.0}
    scaling.on(answer(200, json.dumps({"ScalableTargets": [target]})), operation="DescribeScalableTargets")
    scaling.on(answer(200, json.dumps({"ScalingPolicies": [policy]})), operation="DescribeScalingPolicies")
    scaling.on(answer(200, '{"ScheduledActions":[]}'), operation="DescribeScheduledActions")
    registered: list[Any] = []

    def register(request: Request) -> Response:
        registered.append(request.json())
        return Response(200, b"{}")

    scaling.on(respond(register), operation="RegisterScalableTarget")
    scaling.on(refused("ConcurrentUpdateException"), operation="PutScalingPolicy", when=nth(1))
    scaling.on(respond(register), operation="PutScalingPolicy")
    with behind(scene) as proxy:
        stream = {"StreamArn": "arn:aws:kinesis:us-east-1:1:stream/s", "DestinationStatus": "ACTIVE"}
        said = {"KinesisDataStreamDestinations": [{**stream, "ApproximateCreationDateTimePrecision": "MICROSECOND"}]}
        proxy.on(answer(200, json.dumps(said)), operation="DescribeKinesisStreamingDestination")
        enabled: list[Any] = []

        def enable(request: Request) -> Response:
            enabled.append((request.json(), len(scene.items(f"{scene.table}-then"))))
            return Response(200, b"{}")

        proxy.on(respond(enable), operation="EnableKinesisStreamingDestination")
        scene.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        at, then = captured(scene)
        report = restored(scene, "--at", str(at), "--to", f"{scene.table}-then")
    new = {**of_table, "ResourceId": f"table/{scene.table}-then"}
    assert registered == [
        {**new, "MinCapacity": 5, "MaxCapacity": 40},
        {
            **new,
            "PolicyName": "writes",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
        },
    ]
    wanted = {
        "TableName": f"{scene.table}-then",
        "StreamArn": stream["StreamArn"],
        "EnableKinesisStreamingConfiguration": {"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    }
    assert enabled == [(wanted, len(then))], "once, when the items are in"
    assert not any(each["failed"] for each in report["todo"])


def test_auto_scaling_that_cannot_be_reached_is_a_todo(scene: Scene) -> None:
    create(scene)
    ours = {f"AWS_ENDPOINT_URL_{each}": scene.aws.endpoint(each.lower()) for each in ("S3", "DYNAMODB")}
    scene.environment |= {**ours, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": scene.aws.endpoint("dynamodb")}
    scene.environment.pop("AWS_ENDPOINT_URL", None)
    at, _ = captured(scene)
    report = restored(scene, "--at", str(at), "--to", f"{scene.table}-then")
    (todo,) = [each for each in report["todo"] if each["what"] == "auto scaling"]
    assert "could not be seen" in todo["why"]


@pytest.mark.parametrize(
    "words",
    [
        ["--settings-only", "--in-place", "--yes"],
        ["--no-indexes", "--to-file", "x"],
        ["--settings-only", "--to", "new", "--key", '{"zone":"a","number":1}'],
    ],
)
def test_words_that_do_not_go_together(scene: Scene, words: list[str]) -> None:
    create(scene)
    scene.init()
    assert scene.call("restore", scene.table, "--at", "now", *words).code == 2
