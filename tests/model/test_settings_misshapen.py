"""Settings of a catalog that somebody wrote: whatever is wrong in them, they are Damaged, or a plan comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.model.tables import grants
from backstream.model.tables.setup import after_import, plan
from backstream.model.tables.setup_words import words_of
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from fuzz.newer_records import CATALOG
from kit.furnished import ARN, OTHER, SCHEMA, STREAM, settings, table

WRONG: tuple[object, ...] = (None, True, 7, -1.5, "x", "arn:aws:kms:x", [], {}, [None], [[]], {"x": None}, "9" * 30)
REPLICA = {"RegionName": "eu-west-1", "KMSMasterKeyId": "x", "GlobalSecondaryIndexes": [{"IndexName": "by-carrier"}]}
WHOLE = settings(
    table=table(
        Replicas=[REPLICA],
        GlobalTableWitnesses=[{"RegionName": "eu-west-2"}],
        VectorIndexes=[{"IndexName": "v", "SearchSchema": [{"AttributeName": "a"}]}],
        WarmThroughput={"ReadUnitsPerSecond": 50_000, "WriteUnitsPerSecond": 4},
        OnDemandThroughput={"MaxReadRequestUnits": 5},
        BillingModeSummary={"BillingMode": "PROVISIONED"},
    )
)


def changed(value: Any, wrong: object) -> Iterator[Any]:
    """The same JSON again and again, each time with something else in it replaced."""
    yield wrong
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {each: one for each, one in value.items() if each != name}
            for other in changed(inner, wrong):
                yield {**value, name: other}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            for other in changed(inner, wrong):
                yield [*value[:place], other, *value[place + 1 :]]


def catalog_with(body: object) -> Catalog:
    return msgspec.structs.replace(
        CATALOG, table_arn=ARN, stream_arn=STREAM, key_schema=SCHEMA, settings=msgspec.Raw(msgspec.json.encode(body))
    )


def planned(catalog: Catalog) -> None:
    try:
        found = catalogs.settings_of(catalog)
    except Damaged:
        return
    whole = plan(found, SCHEMA, OTHER)
    grants.grants(whole, OTHER.account, accept=False)
    setup = grants.guarded(whole, OTHER, OTHER.account)
    commands = [each.command for each in setup.steps] + [each.command for each in setup.todo]
    commands += [each.command for each in after_import(setup.creation, OTHER)]
    said = [*words_of(setup, time_to_live=True), *commands]
    assert all(isinstance(each, str) for each in said)


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_nothing_in_them_ends_a_restore_as_a_defect(wrong: object) -> None:
    for each in changed(msgspec.to_builtins(WHOLE), wrong):
        planned(catalog_with(each))
