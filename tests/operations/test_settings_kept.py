"""The table's settings in the catalog: all of them at `init`, a new version when they change, none when they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Unavailable
from backstream.model.tables.settings import TableSettings
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.setup.settings import SettingsWatch, refresh
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
from kit import images
from kit.proxy import FaultProxy, Request, Response, answer, respond
from kit.scene import Scene
from kit.stage import QUICK, Stage, wait_for

POLICY = '{"Version":"2012-10-17","Statement":[]}'
DENIED = answer(400, json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not for you"}))


# --- real servers -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def furnished(scene: Scene) -> Iterator[Scene]:
    """A scene whose table has everything that can be set, with auto scaling answered by a script."""
    create(scene)
    with FaultProxy(scene.aws.endpoint("dynamodb")) as scaling:
        target = {"ResourceId": f"table/{scene.table}", "ScalableDimension": "dynamodb:table:ReadCapacityUnits", "MaxCapacity": 40}
        scaling.on(answer(200, json.dumps({"ScalableTargets": [target]})), operation="DescribeScalableTargets")
        policy = {
            "PolicyName": "reads",
            "ResourceId": target["ResourceId"],
            "PolicyARN": "arn",
            "PolicyType": "TargetTrackingScaling",
        }
        scaling.on(answer(200, json.dumps({"ScalingPolicies": [policy]})), operation="DescribeScalingPolicies")
        action = {"ScheduledActionName": "morning", "Schedule": "cron(0 7 * * ? *)", "ResourceId": target["ResourceId"]}
        scaling.on(answer(200, json.dumps({"ScheduledActions": [action]})), operation="DescribeScheduledActions")
        scene.environment["AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING"] = scaling.url
        yield scene


def create(scene: Scene) -> None:
    """A table with two global indexes, a local one, tags, TTL, a stream, encryption, protection and a policy."""
    client = scene.aws.client("dynamodb")
    arn = client.create_table(
        TableName=scene.table,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        KeySchema=[{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "zone", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "carrier", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": "carrier", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            }
            for name in ("by-carrier", "also-by-carrier")
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "carrier", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        SSESpecification={"Enabled": True, "SSEType": "KMS"},
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "team", "Value": "tower"}, {"Key": "stage", "Value": "test"}],
    )["TableDescription"]["TableArn"]
    client.update_time_to_live(TableName=scene.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    client.put_resource_policy(ResourceArn=arn, Policy=POLICY)
    client.update_continuous_backups(TableName=scene.table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    client.update_contributor_insights(TableName=scene.table, ContributorInsightsAction="ENABLE")


def versions(scene: Scene) -> list[TableSettings]:
    """The settings of every catalog there ever was, newest first."""
    return [catalogs.settings_of(each) for each in catalogs.every_version(scene.store(), scene.table)]


def written(scene: Scene) -> Any:
    """catalog.json as a person reads it."""
    return json.loads(scene.store().get(f"_backstream/{scene.table}/catalog.json").body)


def test_init_keeps_all_settings(furnished: Scene) -> None:
    report = furnished.call("init", furnished.table, "--json")
    assert report.code == 0, report.err
    assert report.json()["unseen"] == []
    settings = written(furnished)["settings"]
    table = settings["table"]
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["also-by-carrier", "by-carrier"]
    assert [each["IndexName"] for each in table["LocalSecondaryIndexes"]] == ["local"]
    assert table["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert table["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["SSEDescription"]["SSEType"] == "KMS"
    assert table["DeletionProtectionEnabled"] is True
    assert settings["time_to_live"] == "expires"
    assert settings["tags"] == {"stage": "test", "team": "tower"}
    assert settings["resource_policy"] == POLICY
    assert settings["point_in_time_recovery"]["enabled"] is True
    assert [each["index"] for each in settings["contributor_insights"]] == [None]
    assert settings["kinesis_destinations"] == []
    assert settings["autoscaling"]["targets"][0]["MaxCapacity"] == 40
    assert settings["autoscaling"]["policies"][0]["PolicyName"] == "reads"
    assert settings["autoscaling"]["scheduled_actions"][0]["ScheduledActionName"] == "morning"
    assert settings["unknown"] == {}


def test_what_changes_makes_one_version_and_what_does_not_makes_none(furnished: Scene) -> None:
    assert furnished.call("init", furnished.table).code == 0
    assert "settings" not in furnished.call("tail", furnished.table, "--until-caught-up").err
    assert len(versions(furnished)) == 1

    client = furnished.aws.client("dynamodb")
    client.tag_resource(ResourceArn=furnished.live().facts().arn, Tags=[{"Key": "stage", "Value": "prod"}])
    client.update_time_to_live(TableName=furnished.table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"})
    client.update_table(TableName=furnished.table, BillingMode="PAY_PER_REQUEST")
    told = furnished.call("tail", furnished.table, "--until-caught-up").err
    (line,) = [line for line in told.splitlines() if "settings" in line]
    assert "tags: stage changed" in line
    assert "time to live: expires -> none" in line
    assert "PAY_PER_REQUEST" in line

    new, old = versions(furnished)
    assert (old.tags["stage"], old.time_to_live, new.tags["stage"], new.time_to_live) == ("test", "expires", "prod", None)
    assert new.table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "settings" not in furnished.call("tail", furnished.table, "--until-caught-up").err
    assert len(versions(furnished)) == 2


def test_init_again_keeps_what_changed_and_says_so(furnished: Scene) -> None:
    assert furnished.call("init", furnished.table).code == 0
    assert "nothing to change" in furnished.call("init", furnished.table).out
    assert len(versions(furnished)) == 1
    furnished.aws.client("dynamodb").update_table(TableName=furnished.table, DeletionProtectionEnabled=False)
    report = furnished.call("init", furnished.table, "--json").json()
    assert report["changes"] == ["the table's DeletionProtectionEnabled: true -> false"]
    assert [each.table["DeletionProtectionEnabled"] for each in versions(furnished)] == [False, True]
    assert written(furnished)["layout"] == "rows"


def test_what_may_not_be_seen_is_named_and_init_works(furnished: Scene) -> None:
    with FaultProxy(furnished.aws.endpoint("dynamodb")) as proxy:
        proxy.on(DENIED, operation="ListTagsOfResource")
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        shown = furnished.call("init", furnished.table, environment=environment)
        assert (shown.code, "kept, but for tags" in shown.out) == (0, True), shown.out + shown.err
        (first,) = versions(furnished)
        assert set(first.unknown) == {"tags"}
        assert "AccessDeniedException" in first.unknown["tags"]
        assert furnished.call("init", furnished.table, environment=environment).code == 0
        assert len(versions(furnished)) == 1
    told = furnished.call("tail", furnished.table, "--until-caught-up").err
    assert "now known: tags" in told
    assert versions(furnished)[0].tags == {"stage": "test", "team": "tower"}


def test_a_dynamodb_of_ones_own_sends_nobody_to_awss_auto_scaling(scene: Scene) -> None:
    create(scene)
    scene.environment |= {f"AWS_ENDPOINT_URL_{each}": scene.aws.endpoint(each.lower()) for each in ("S3", "DYNAMODB")}
    scene.environment.pop("AWS_ENDPOINT_URL", None)
    (unseen,) = scene.call("init", scene.table, "--json").json()["unseen"]
    assert unseen.startswith("auto scaling: not asked for")


def test_a_permission_that_is_lost_takes_nothing_from_the_catalog(furnished: Scene) -> None:
    assert furnished.call("init", furnished.table).code == 0
    with FaultProxy(furnished.aws.endpoint("dynamodb")) as proxy:
        proxy.on(DENIED, operation="ListTagsOfResource")
        environment = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        for _ in range(2):
            told = furnished.call("tail", furnished.table, "--until-caught-up", environment=environment)
            assert told.code == 0
            assert told.err.count("cannot be seen: tags: ListTagsOfResource") == 1
        assert len(versions(furnished)) == 1
        furnished.aws.client("dynamodb").update_table(TableName=furnished.table, DeletionProtectionEnabled=False)
        assert furnished.call("tail", furnished.table, "--until-caught-up", environment=environment).code == 0
    newest, _ = versions(furnished)
    assert (newest.tags, set(newest.unknown)) == ({"stage": "test", "team": "tower"}, {"tags"})
    assert newest.table["DeletionProtectionEnabled"] is False


def test_a_tail_goes_on_where_the_settings_cannot_be_read(furnished: Scene) -> None:
    assert furnished.call("init", furnished.table).code == 0
    furnished.put(images.image("a", 1))
    with FaultProxy(furnished.aws.endpoint("dynamodb")) as proxy:
        slow = answer(400, json.dumps({"__type": "ValidationException", "message": "no such thing"}))

        def after_the_second(request: Request) -> Response | None:  # the table, and the time of its server
            return slow(request, lambda _: Response(500)) if described.matched > 2 else None

        described = proxy.on(respond(after_the_second), operation="DescribeTable")
        tailed = furnished.call("tail", furnished.table, "--until-caught-up", environment={"AWS_ENDPOINT_URL_DYNAMODB": proxy.url})
    assert tailed.code == 0, tailed.err
    assert tailed.err.count("cannot be looked at") == 1
    assert "1 change captured" in tailed.err
    assert len(versions(furnished)) == 1


# --- a tail that runs -------------------------------------------------------------------------------------------------------------


def catalog_versions(stage: Stage) -> list[TableSettings]:
    """As `versions`, of a stage."""
    return [catalogs.settings_of(each) for each in catalogs.every_version(stage.store, stage.table.name)]


def test_a_running_tail_looks_now_and_then() -> None:
    stage = Stage(SystemClock())
    with stage.running(settings=msgspec.structs.replace(QUICK, settings_every=0.05)) as tail:
        stage.table.tags["team"] = "tower"
        wait_for(lambda: len(catalog_versions(stage)) == 2)
        stage.table.tags["team"] = "apron"
        wait_for(lambda: len(catalog_versions(stage)) == 3)
    assert [each.tags for each in catalog_versions(stage)] == [{"team": "apron"}, {"team": "tower"}, {}]
    assert [line for line in tail.notices if "settings" in line] == [
        f"the settings of {stage.table.name} have changed, and are kept: tags: team {what}" for what in ("added", "changed")
    ]


class Troubled(MemoryTable):
    """A table whose settings can be read only while `trouble` is None; `looks` counts how often they were asked for."""

    trouble: str | None = None
    looks = 0

    def settings(self) -> TableSettings:
        self.looks += 1
        if self.trouble is not None:
            raise Unavailable(f"{self.trouble} {self.looks}")
        return super().settings()


def test_trouble_is_told_once_and_again_only_after_it_had_gone() -> None:
    clock = SystemClock()
    store, table = MemoryStore(clock), Troubled("flights", clock, images.SCHEMA)
    table.enable_stream()
    init(store, table, InitOptions())
    told: list[str] = []
    table.trouble = "busy"
    with SettingsWatch(store, table, 0.01, told.append):
        more_looks(table)
        assert told == ["the settings of flights cannot be looked at: busy 2"]
        table.trouble = None
        more_looks(table)
        assert len(told) == 1
        table.trouble = "busy again"
        more_looks(table)
    assert len(told) == 2


def more_looks(table: Troubled) -> None:
    """Wait until the settings have been asked for several times more."""
    seen = table.looks
    wait_for(lambda: table.looks > seen + 3)


def test_a_defect_does_not_vanish_with_its_thread() -> None:
    class Defective(MemoryTable):
        def settings(self) -> TableSettings:
            raise RuntimeError("a defect")

    clock = SystemClock()
    with (
        pytest.raises(RuntimeError, match="a defect"),
        SettingsWatch(MemoryStore(clock), Defective("flights", clock, images.SCHEMA), 1.0, print),
    ):
        pass


def test_refreshing_changes_the_settings_and_nothing_else() -> None:
    stage = Stage(SystemClock())
    before = stage.vault().catalog
    other = msgspec.structs.replace(before, tenant_attribute="zone")
    catalogs.change(stage.store, "flights", lambda _: other)  # by another process, after ours had read the catalog
    changed = catalogs.load(stage.store, "flights")
    assert (changed.tenant_attribute, [each.tenant_attribute for each in changed.ways or ()]) == ("zone", [None, "zone"])
    stage.table.tags["team"] = "tower"
    assert refresh(stage.store, stage.table).changes == ["tags: team added"]
    after = stage.vault().catalog
    assert catalogs.encode(after) == catalogs.encode(catalogs.with_settings(changed, stage.table.settings()))
    assert refresh(stage.store, stage.table).changes == []


def test_a_catalog_of_the_first_version_learns_the_rest() -> None:
    stage = Stage(SystemClock())
    old = msgspec.structs.replace(stage.vault().catalog, settings=msgspec.Raw(stage.table.facts().description))
    catalogs.change(stage.store, "flights", lambda _: old)
    stage.table.tags["team"] = "tower"
    stage.follow()
    found = catalogs.settings_of(stage.vault().catalog)
    assert (found.tags, found.unknown) == ({"team": "tower"}, {})
    assert any("now known: time to live, tags" in line for line in stage.notices)


def test_init_takes_the_servers_time() -> None:
    class Ahead(MemoryTable):
        def is_empty(self) -> tuple[bool, float]:
            return True, 1_795_406_400.9

    clock = SystemClock()
    table = Ahead("flights", clock, images.SCHEMA)
    table.enable_stream()
    catalog = init(MemoryStore(clock), table, InitOptions()).catalog
    assert (catalog.initialised, catalog.complete_from) == ("2026-11-23T04:00:00Z", 1_795_406_400)
