"""What CreateTable and ImportTable are told of a new table: the same words."""

from __future__ import annotations

from backstream.model.schema import KeySchema


def parameters(name: str, schema: KeySchema) -> dict[str, object]:
    """An on-demand table of this key schema."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": each.name, "AttributeType": each.type} for each in schema.attributes],
        "KeySchema": [
            {"AttributeName": each.name, "KeyType": role} for each, role in zip(schema.attributes, ("HASH", "RANGE"), strict=False)
        ],
    }
