"""Says in words what a setup sets of a new table, so that an operator reads what a catalog asks for before it is done. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backstream.model.tables.creation import PROVISIONED
from backstream.model.tables.setup import Setup


def words_of(setup: Setup, *, time_to_live: bool) -> list[str]:
    """Returns a line for each setting that the plan sets. `time_to_live`: False if it is left off."""
    step = setup.time_to_live if time_to_live else None
    wanted = [] if step is None else [f"time to live by {step.request['TimeToLiveSpecification']['AttributeName']}"]
    return [*_of_creation(setup.creation.request), *wanted, *(each.what for each in setup.steps)]


def _of_creation(request: Mapping[str, Any]) -> Iterator[str]:
    yield f"capacity: {_capacity(request, request)}"
    for name, kind in (("LocalSecondaryIndexes", "local index"), ("GlobalSecondaryIndexes", "global index")):
        for index in request.get(name, ()):
            yield f"{kind} {index['IndexName']}" + (f": {_capacity(index, request)}" if kind.startswith("global") else "")
    if stream := request.get("StreamSpecification"):
        yield f"stream of {stream.get('StreamViewType')}"
    if encryption := request.get("SSESpecification"):
        yield f"encryption by {encryption.get('KMSMasterKeyId') or 'the key that AWS keeps for DynamoDB in this account'}"
    if table_class := request.get("TableClass"):
        yield f"table class {table_class}"
    for tag in request.get("Tags", ()):
        yield f"tag {tag['Key']}={tag['Value']}"


def _capacity(part: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    if table["BillingMode"] == PROVISIONED:
        units = part.get("ProvisionedThroughput") or {}
        return f"provisioned, {units.get('ReadCapacityUnits')} units of reads, {units.get('WriteCapacityUnits')} of writes"
    most = part.get("OnDemandThroughput") or {}
    limits = ", ".join(f"{name} {value}" for name, value in sorted(most.items()))
    return f"on demand, {limits}" if limits else "on demand"
