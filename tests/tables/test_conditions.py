"""The condition that an item is still as it was, as an expression."""

from __future__ import annotations

import msgspec

from backstream.tables.conditions import MOST_COMPARED, RequestCondition, unchanged, update

BEFORE = b'{"id":{"S":"a"},"n":{"N":"1.50"}}'


def test_that_there_is_none() -> None:
    assert unchanged(None, "id", BEFORE) == RequestCondition("attribute_not_exists(#k)", {"#k": "id"})


def test_every_attribute_as_it_was_and_none_that_is_to_come() -> None:
    condition = unchanged(BEFORE, "id", b'{"id":{"S":"a"},"m":{"NULL":true}}')
    assert condition.ConditionExpression == "#0 = :0 AND #1 = :1 AND attribute_not_exists(#n0)"
    assert condition.ConditionExpression.isascii()
    assert condition.ExpressionAttributeNames == {"#0": "id", "#1": "n", "#n0": "m"}
    values = condition.ExpressionAttributeValues
    assert values is not None
    assert {name: bytes(raw) for name, raw in values.items()} == {":0": b'{"S":"a"}', ":1": b'{"N":"1.50"}'}, "as they stand"


def test_an_item_of_very_many_attributes_stays_within_what_an_expression_may_hold() -> None:
    many = msgspec.json.encode({f"attribute-{number}": {"N": str(number)} for number in range(1_000)})
    condition = unchanged(many, "attribute-0", many)
    assert len(condition.ConditionExpression) < 4_096
    assert len(condition.ExpressionAttributeNames) == MOST_COMPARED


def test_an_update_names_no_key_however_it_is_spelled() -> None:
    """The vault's image and the live one may spell a key differently, and DynamoDB refuses an update of a key."""
    made = update(BEFORE, rb'{"id":{"S":"\u0061"},"n":{"N":"2"}}', ("id",))
    assert made is not None
    assert made.UpdateExpression == "SET #p0=:p0"
    assert made.ExpressionAttributeNames["#p0"] == "n"
