"""Builds CreateTable's request for a table like another one, from that one's settings. Pure.

Description and request differ: the description states what exists (zero capacity of an on-demand table, -1 for no maximum), the
request what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.tables.settings import TableSettings
from backstream.model.values.schema import KeySchema

ON_DEMAND = "PAY_PER_REQUEST"
PROVISIONED = "PROVISIONED"
OF_AWS = "aws:"  # tags of this beginning are AWS's own: nobody else may set them

Lines = Sequence[Mapping[str, Any]]


class Creation(msgspec.Struct, frozen=True):
    """A table to create. `request`: CreateTable's request without the table's name; `schema`: the keys that it names."""

    schema: KeySchema
    request: Mapping[str, Any]


def on_demand(schema: KeySchema) -> Creation:
    """Returns the creation of an on-demand table with these keys, and nothing else."""
    return creation_of(schema, TableSettings({}), indexes=False)


def creation_of(schema: KeySchema, settings: TableSettings, *, indexes: bool = True) -> Creation:
    """Returns the creation of a table with these settings, as far as CreateTable can set them; without `indexes` it has neither
    global nor local ones.

    The keys come from `schema`, because they are the items'; settings of a synthetic or an old catalog may know less.
    """
    table = settings.table
    provisioned = is_provisioned(table)
    lines = {name: table[name] for name in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes") if indexes and table.get(name)}
    request: dict[str, Any] = {
        "BillingMode": PROVISIONED if provisioned else ON_DEMAND,
        "AttributeDefinitions": definitions(schema, table, [each for found in lines.values() for each in found]),
        "KeySchema": _key_schema(schema),
        **_throughput(table, provisioned=provisioned),
    }
    if "LocalSecondaryIndexes" in lines:
        request["LocalSecondaryIndexes"] = [_index(each) for each in lines["LocalSecondaryIndexes"]]
    if "GlobalSecondaryIndexes" in lines:
        request["GlobalSecondaryIndexes"] = [global_index(each, table) for each in lines["GlobalSecondaryIndexes"]]
    if table.get("StreamSpecification", {}).get("StreamEnabled"):
        request["StreamSpecification"] = table["StreamSpecification"]
    if encryption := _encryption(table.get("SSEDescription") or {}):
        request["SSESpecification"] = encryption
    if table_class := table.get("TableClassSummary", {}).get("TableClass"):
        request["TableClass"] = table_class
    if tags := [{"Key": key, "Value": value} for key, value in settings.tags.items() if not key.startswith(OF_AWS)]:
        request["Tags"] = tags
    return Creation(schema, request)


# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableCreationParameters.html
_IMPORTABLE = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "SSESpecification",
)


def importable(creation: Creation) -> dict[str, Any]:
    """Returns the part that ImportTable accepts. The rest is set afterwards: see `model.tables.setup.after_import`."""
    return {name: creation.request[name] for name in _IMPORTABLE if name in creation.request}


def is_provisioned(table: Mapping[str, Any]) -> bool:
    """True if a described table has a set capacity. AWS states no billing mode if it was never changed."""
    if mode := (table.get("BillingModeSummary") or {}).get("BillingMode"):
        return bool(mode == PROVISIONED)
    return bool(_capacity(table))


def global_index(line: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a described global index as a request names it, in CreateTable and in UpdateTable."""
    if not is_provisioned(table):
        return _index(line) | _throughput(line, provisioned=False)
    # A request without an index's capacity is refused. A dump may lack it: then it is the table's.
    return _index(line) | (_throughput(line, provisioned=True) or _throughput(table, provisioned=True))


def definitions(schema: KeySchema, table: Mapping[str, Any], indexes: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Returns the types of the table's keys and of these indexes' keys. A request may not name others."""
    types = {each["AttributeName"]: each["AttributeType"] for each in table.get("AttributeDefinitions", ())}
    types |= {each.name: each.type for each in schema.attributes}
    of_indexes = [key["AttributeName"] for each in indexes for key in each["KeySchema"]]
    names = dict.fromkeys([*schema.names, *of_indexes])
    return [{"AttributeName": name, "AttributeType": types[name]} for name in names if name in types]


def _key_schema(schema: KeySchema) -> list[dict[str, str]]:
    roles = zip(schema.attributes, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": each.name, "KeyType": role} for each, role in roles]


def _index(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("IndexName", "KeySchema", "Projection") if name in line}


def _throughput(part: Mapping[str, Any], *, provisioned: bool) -> dict[str, Any]:
    """Returns the capacity of a table or a global index, or its maximums."""
    if provisioned:
        return {"ProvisionedThroughput": found} if (found := _capacity(part)) else {}
    most = {name: units for name, units in (part.get("OnDemandThroughput") or {}).items() if units > 0}
    return {"OnDemandThroughput": most} if most else {}


def _capacity(part: Mapping[str, Any]) -> dict[str, int]:
    said = part.get("ProvisionedThroughput") or {}
    return {name: said[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits") if said.get(name)}


def _encryption(said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the encryption settings; none for AES256, which is the default of a table."""
    if said.get("SSEType") != "KMS":
        return {}
    key = {"KMSMasterKeyId": said["KMSMasterKeyArn"]} if said.get("KMSMasterKeyArn") else {}
    return {"Enabled": True, "SSEType": "KMS", **key}
