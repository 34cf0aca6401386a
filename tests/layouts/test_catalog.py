"""The catalog: what the first version wrote is read for ever, and settings pass through hands that do not know them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged, NotFound
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.tables.grants import guarded
from backstream.model.tables.settings import PARTS, TableSettings
from backstream.model.tables.settings_changes import differences
from backstream.model.tables.setup import TableNames, after_import, plan
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault import catalog_versions
from backstream.vault.catalog import Catalog
from backstream.vault.horizon import Horizon, chain
from kit.clock import ManualClock

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
NAME = "_backstream/flights/catalog.json"


def golden(name: str) -> Catalog:
    """A catalog that was written once."""
    return catalogs.decode((GOLDEN / name).read_bytes(), NAME)


def test_golden_catalog_that_holds_describe_table_as_it_came() -> None:
    catalog = golden("catalog-with-description.json")
    found = catalogs.settings_of(catalog)
    assert (catalog.table, catalog.complete_from) == ("flights", 1795406400)
    assert found.table["KeySchema"] == [
        {"AttributeName": "zone", "KeyType": "HASH"},
        {"AttributeName": "number", "KeyType": "RANGE"},
    ]
    assert found.table["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert "ItemCount" not in found.table
    assert set(found.unknown) == set(PARTS)


def test_the_catalog_in_force_at_a_second() -> None:
    clock = ManualClock(1_795_406_400.0)
    store = MemoryStore(clock)
    for tag in ("first", "second"):
        settings = TableSettings({}, tags={"t": tag})
        catalogs.save(store, catalogs.with_settings(golden("catalog.json"), settings), catalogs.known(store, "flights"))
        clock.move(10.5)

    def tag_at(second: int) -> tuple[str, float]:
        catalog, received = catalog_versions.in_force(store, "flights", second)
        return catalogs.settings_of(catalog).tags["t"], received

    assert tag_at(1_795_406_300) == ("first", 1_795_406_400.0), "the oldest, where none is that old"
    assert tag_at(1_795_406_409) == ("first", 1_795_406_400.0)
    assert tag_at(1_795_406_410) == ("second", 1_795_406_410.5), "a second is meant whole"
    with pytest.raises(NotFound):
        catalog_versions.in_force(store, "gates", 1_795_406_410)


def test_golden_catalog_with_settings() -> None:
    found = catalogs.settings_of(golden("catalog.json"))
    assert found.time_to_live == "expires"
    assert found.tags == {"stage": "prod", "team": "tower"}
    assert found.point_in_time_recovery.recovery_period_in_days == 35
    assert [each.stream_arn for each in found.kinesis_destinations] == ["arn:aws:kinesis:us-east-1:000000000000:stream/flights"]
    assert found.autoscaling.policies[0]["PolicyName"] == "reads"
    assert found.unknown == {"resource_policy": "AccessDeniedException"}


def test_golden_catalog_of_a_table_that_was_made_again() -> None:
    """Format 2: written once its table had another life."""
    body = (GOLDEN.parent / "format-2" / "catalog.json").read_bytes()
    catalog = catalogs.decode(body, NAME)
    assert catalog.format == 2
    (life,) = catalog.lives
    assert (life.created, life.table_id, life.stream, life.complete) == (1795599000, catalog.table_id, catalog.stream, True)
    assert catalog.life_at(1795598999) is None
    assert catalog.life_at(1795599000) == life
    assert [each.stream_arn.rpartition("/")[2] for each in catalog.former] == ["2026-11-22T01:00:00.000", "2026-11-23T04:00:00.123"]
    assert [(each.layout, each.naming, each.tenant_attribute) for each in catalog.ways or ()] == [
        ("log", "plain", None),
        ("rows", "sha256", "zone"),
    ]
    assert catalogs.encode(catalog) == body, "what is read is written again as it was"


def test_golden_catalog_with_a_horizon() -> None:
    """Format 3: written once `retain` has removed history."""
    body = (GOLDEN.parent / "format-3" / "catalog.json").read_bytes()
    catalog = catalogs.decode(body, NAME)
    assert catalog.format == 3
    assert catalog.horizon == Horizon(1_795_606_400, "2026-11-25T11:33:20Z", "state-20261126T011320Z-0badcafe")
    assert catalogs.encode(catalog) == body, "what is read is written again as it was"


def test_golden_catalog_with_forgotten_items() -> None:
    """Format 4: written once `erase --forget-future` has told writers what to discard."""
    body = (GOLDEN.parent / "format-4" / "catalog.json").read_bytes()
    catalog = catalogs.decode(body, NAME)
    assert catalog.format == 4
    assert catalog.erasures == ("20261130T085437Z-452049",)
    assert catalog.forgotten == "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    assert catalogs.encode(catalog) == body, "what is read is written again as it was"
    with pytest.raises(Damaged, match="says what none does"):
        catalogs.decode(body.replace(b"0f1e2d3c", b"../../.."), NAME)


def test_golden_catalog_with_kept_states() -> None:
    """Format 5: written once single states from before the horizon are kept, or are to be."""
    body = (GOLDEN.parent / "format-5" / "catalog.json").read_bytes()
    catalog = catalogs.decode(body, NAME)
    assert catalog.format == 5
    assert (catalog.keep, catalog.keep_daily, catalog.keep_monthly) == (90 * 86_400, 365 * 86_400, 2555 * 86_400)
    assert [each.since for each in catalog.kept_states] == ["2026-10-31T23:59:59Z", "2026-11-24T23:59:59Z", "2026-11-25T23:59:59Z"]
    assert [each.second for each in chain(catalog.kept_states, 1_795_564_799)] == [1_793_491_199, 1_795_564_799]
    assert [each.second for each in chain(catalog.kept_states, 1_795_651_199)] == [1_795_651_199]
    assert chain(catalog.kept_states, 1_795_564_798) == []
    assert catalogs.encode(catalog) == body, "what is read is written again as it was"
    without = msgspec.structs.replace(catalog, kept_states=(), keep_daily=None, keep_monthly=None)
    assert catalogs.format_of(without) == 3, "older versions read it again"


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [(0, "whole", False), (1, "second", 1_795_651_199), (2, "second", 1_795_651_200), (1, "base", "../x"), (0, "second", -1)],
)
def test_kept_states_that_are_none_are_damage(number: int, field: str, value: object) -> None:
    spoilt = json.loads((GOLDEN.parent / "format-5" / "catalog.json").read_bytes())
    spoilt["kept_states"][number][field] = value
    with pytest.raises(Damaged, match="says what none does"):
        catalogs.decode(json.dumps(spoilt).encode(), NAME)


@pytest.mark.parametrize(("second", "base"), [(-1, "state-1"), (10**15, "state-1"), (1, ""), (1, "../x")])
def test_a_horizon_that_is_none_is_damage(second: int, base: str) -> None:
    spoilt = json.loads((GOLDEN.parent / "format-3" / "catalog.json").read_bytes())
    spoilt["horizon"] |= {"second": second, "base": base}
    with pytest.raises(Damaged, match="says what none does"):
        catalogs.decode(json.dumps(spoilt).encode(), NAME)


def test_where_failed_batches_land_is_in_the_newer_ones_alone() -> None:
    assert golden("catalog.json").failures is None
    assert golden("catalog-with-description.json").failures is None
    assert golden("catalog-with-failures.json").failures == "s3://my-backups-failed"


def test_the_settings_are_written_for_people() -> None:
    written = catalogs.encode(
        catalogs.with_settings(golden("catalog.json"), TableSettings({"TableName": "flights"}, tags={"a": "b"}))
    )
    assert b'\n    "tags": {\n      "a": "b"\n    },\n' in written
    name = "catalog-with-failures.json"
    assert catalogs.encode(golden(name)) == (GOLDEN / name).read_bytes()


def test_settings_of_a_later_version_pass_through_unharmed() -> None:
    written = json.loads((GOLDEN / "catalog.json").read_bytes())
    written["settings"]["an_idea_of_2030"] = {"x": 1}
    catalog = catalogs.decode(json.dumps(written).encode(), NAME)
    changed = msgspec.structs.replace(catalog, tenant_attribute="zone")
    assert json.loads(catalogs.encode(changed))["settings"]["an_idea_of_2030"] == {"x": 1}
    assert catalogs.settings_of(changed).time_to_live == "expires"


@pytest.mark.parametrize("broken", ["7", '{"table":7}', "[]"])
def test_settings_that_are_none_are_damage_only_for_who_reads_them(broken: str) -> None:
    catalog = msgspec.structs.replace(golden("catalog.json"), settings=msgspec.Raw(broken.encode()))
    again = catalogs.decode(catalogs.encode(catalog), NAME)
    with pytest.raises(Damaged, match="flights"):
        catalogs.settings_of(again)


ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"
_PARTS = (
    *("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "Replicas", "GlobalTableWitnesses", "ProvisionedThroughput"),
    *("OnDemandThroughput", "SSEDescription", "TableClassSummary", "StreamSpecification", "BillingModeSummary"),
    *("AttributeDefinitions", "WarmThroughput", "DeletionProtectionEnabled", "MultiRegionConsistency", "KeySchema"),
)
_VALUES = (
    "7",
    '"x"',
    "null",
    "[7]",
    '["x"]',
    "[{}]",
    "[[]]",
    '{"a":1}',
    '[{"IndexName":"x"}]',
    '[{"IndexName":"x","KeySchema":[{}]}]',
)


@pytest.mark.parametrize("part", _PARTS)
def test_a_description_of_another_shape_is_damage_or_harmless(part: str) -> None:
    """Whoever can write a catalog ends no command as a defect: not where a table is set up, nor where it is compared."""
    schema, names = golden("catalog.json").key_schema, TableNames(f"{ARN}flights", f"{ARN}new")
    for value in _VALUES:
        settings = msgspec.Raw(f'{{"table":{{"{part}":{value}}}}}'.encode())
        try:
            found = catalogs.settings_of(msgspec.structs.replace(golden("catalog.json"), settings=settings))
        except Damaged:
            continue
        made = plan(found, schema, names)
        guarded(made, names, "000000000000")
        list(after_import(made.creation, names))
        differences(found, TableSettings({}))
        differences(TableSettings({}), found)


def test_a_kinesis_source_is_kept() -> None:
    source = KinesisSource("arn:aws:kinesis:us-east-1:000000000000:stream/changes", 7 * 86_400)
    catalog = msgspec.structs.replace(golden("catalog.json"), kinesis=source)
    assert catalogs.decode(catalogs.encode(catalog), "") == catalog
    assert golden("catalog.json").kinesis is None
    assert b"kinesis" not in catalogs.encode(golden("catalog.json"))[-200:]
