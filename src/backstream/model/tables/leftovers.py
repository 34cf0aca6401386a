"""Members of a table's description that no creation or step sets: replicas, vector indexes, and any that AWS adds one day. Pure.

Each becomes a line for people. Nothing in a description is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from backstream.model.tables.creation import definitions
from backstream.model.values.schema import KeySchema

Described = Mapping[str, Any]

# The members of stored descriptions (see settings.table_of, which leaves out what moves) that are set, or named by a line of their
# own: by the creation, by the steps after it, by the lines about warm throughput and replicas. tests/model/test_api_members.py
# compares them with AWS's own model.
OF_TABLE = frozenset(
    {
        "AttributeDefinitions",
        "BillingModeSummary",
        "DeletionProtectionEnabled",
        "GlobalSecondaryIndexes",
        "GlobalTableSettingsReplicationMode",
        "GlobalTableVersion",
        "GlobalTableWitnesses",
        "KeySchema",
        "LocalSecondaryIndexes",
        "MultiRegionConsistency",
        "OnDemandThroughput",
        "ProvisionedThroughput",
        "Replicas",
        "SSEDescription",
        "StreamSpecification",
        "TableClassSummary",
        "TableName",
        "VectorIndexes",
        "WarmThroughput",
    }
)
OF_INDEX = frozenset({"IndexName", "KeySchema", "OnDemandThroughput", "Projection", "ProvisionedThroughput", "WarmThroughput"})
OF_LOCAL_INDEX = frozenset({"IndexName", "KeySchema", "Projection"})
OF_REPLICA = frozenset(
    {
        "GlobalSecondaryIndexes",
        "GlobalTableSettingsReplicationMode",
        "KMSMasterKeyId",
        "OnDemandThroughputOverride",
        "ProvisionedThroughputOverride",
        "RegionName",
        "ReplicaTableClassSummary",
        "WarmThroughput",
    }
)
OF_INDEX_OF_REPLICA = frozenset({"IndexName", "OnDemandThroughputOverride", "ProvisionedThroughputOverride", "WarmThroughput"})
OF_WITNESS = frozenset({"RegionName"})
OF_VECTOR_INDEX = ("IndexName", "VectorAttribute", "SearchSchema", "Projection", "Dimensions", "DistanceFunction")

_OVERRIDES = ("ProvisionedThroughputOverride", "OnDemandThroughputOverride")
_LATER = "replicas are billed and span regions: add them when the table is as you want it"
_ON_EMPTY = "strong consistency is set with the replicas, on an empty table: --settings-only, add them, then restore into it"
_SHOWN = 300  # characters of a value


class Left(NamedTuple):
    """A line for people. `request`: UpdateTable's, without the table's name, that sets it; None if none is known."""

    what: str
    why: str
    request: Described | None = None


def vector_indexes(table: Described, schema: KeySchema) -> Iterator[Left]:
    """Yields each vector index with the request that creates it. ImportTable and CreateTable could; nothing here has tried them."""
    for index in table.get("VectorIndexes") or ():
        created = {name: index[name] for name in OF_VECTOR_INDEX if index.get(name)}
        named = [{"KeySchema": [each for each in index.get("SearchSchema") or () if "AttributeName" in each]}]
        request = {
            "AttributeDefinitions": definitions(schema, table, named),
            "VectorIndexUpdates": [{"Create": created}],
        }
        yield Left(
            f"vector index {index.get('IndexName')}", "it is built from the items, and billed: create it when they are in", request
        )


def replicas(table: Described, region: str) -> Iterator[Left]:
    """Yields the replicas in other regions, with their own settings, and the witness. `region`: the new table's."""
    strong = table.get("MultiRegionConsistency") == "STRONG"
    others = [each for each in table.get("Replicas") or () if each.get("RegionName") != region]
    witnesses = [{"Create": {"RegionName": each.get("RegionName")}} for each in table.get("GlobalTableWitnesses") or ()]
    whole: dict[str, Any] = {"ReplicaUpdates": [{"Create": _created(each)} for each in others]}
    if strong:  # all of them in one request, as DynamoDB demands: a region of its own for each, or one and a witness
        whole |= {"MultiRegionConsistency": "STRONG"} | ({"GlobalTableWitnessUpdates": witnesses} if witnesses else {})
    mode = table.get("GlobalTableSettingsReplicationMode")
    whole |= {"GlobalTableSettingsReplicationMode": mode} if mode and others else {}
    for number, replica in enumerate(others):
        request = (whole if number == 0 else None) if strong else whole | {"ReplicaUpdates": [{"Create": _created(replica)}]}
        yield Left(f"replica in {replica.get('RegionName')}", _ON_EMPTY if strong else _LATER, request)
    for each in table.get("GlobalTableWitnesses") or ():
        yield Left(f"witness in {each.get('RegionName')}", _ON_EMPTY if strong else _LATER)


def _created(replica: Described) -> dict[str, Any]:
    """Returns a described replica as a request creates it."""
    created = {name: replica[name] for name in ("RegionName", "KMSMasterKeyId", *_OVERRIDES) if replica.get(name)}
    if table_class := (replica.get("ReplicaTableClassSummary") or {}).get("TableClass"):
        created["TableClassOverride"] = table_class
    indexes = [{name: each[name] for name in ("IndexName", *_OVERRIDES) if each.get(name)} for each in _indexes_of(replica)]
    if own := [each for each in indexes if len(each) > 1]:
        created["GlobalSecondaryIndexes"] = own
    return created


def _indexes_of(part: Described) -> Sequence[Described]:
    return part.get("GlobalSecondaryIndexes") or ()


def unknown_members(table: Described) -> Iterator[Left]:
    """Yields what nothing here knows: a newer DynamoDB has it, or an older catalog kept more than is asked for today."""
    yield from _unknown(table, OF_TABLE, "")
    for index in _indexes_of(table):
        yield from _unknown(index, OF_INDEX, f" of {index.get('IndexName')}")
    for index in table.get("LocalSecondaryIndexes") or ():
        yield from _unknown(index, OF_LOCAL_INDEX, f" of {index.get('IndexName')}")
    for index in table.get("VectorIndexes") or ():
        yield from _unknown(index, frozenset(OF_VECTOR_INDEX), f" of {index.get('IndexName')}")
    for replica in table.get("Replicas") or ():
        where = f" of the replica in {replica.get('RegionName')}"
        yield from _unknown(replica, OF_REPLICA, where)
        for index in _indexes_of(replica):
            yield from _unknown(index, OF_INDEX_OF_REPLICA, f" of {index.get('IndexName')}{where}")
    for witness in table.get("GlobalTableWitnesses") or ():
        yield from _unknown(witness, OF_WITNESS, f" of the witness in {witness.get('RegionName')}")


def _unknown(part: Described, known: frozenset[str], where: str) -> Iterator[Left]:
    for name in sorted(part.keys() - known):
        if part[name] not in (None, "", [], {}, False):
            value = msgspec.json.encode(part[name], enc_hook=str).decode()
            yield Left(f"{name}{where}", f"this version does not know it, and has not set it. It was: {value:.{_SHOWN}}")
