"""The one canonical key of an item, whatever way its source writes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged, MalformedRecord
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key
from kit import strategies

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N"))


def key(zone: str, number: str) -> dict[str, Any]:
    """The key attributes, in the schema's order."""
    return {"zone": {"S": zone}, "number": {"N": number}}


@given(strategies.TEXTS, strategies.numbers(), strategies.ITEMS)
def test_neither_order_nor_other_attributes_matter(zone: str, number: str, item: strategies.Item) -> None:
    expected = canonical_key(SCHEMA, key(zone, number))
    backwards = dict(reversed(key(zone, number).items()))
    assert canonical_key(SCHEMA, {**item, **backwards}) == expected
    assert wire.key_of(SCHEMA, msgspec.json.format(wire.encode({**item, **backwards}), indent=1)) == expected
    assert list(msgspec.json.decode(expected)) == ["zone", "number"]


@given(strategies.TEXTS, strategies.numbers(), strategies.TEXTS, strategies.numbers())
def test_two_keys_are_one_exactly_if_their_values_are(zone: str, number: str, zone2: str, number2: str) -> None:
    same = zone == zone2 and Decimal(number) == Decimal(number2)
    assert (canonical_key(SCHEMA, key(zone, number)) == canonical_key(SCHEMA, key(zone2, number2))) == same


@given(st.sampled_from("SB"), strategies.BINARIES)
def test_texts_stay_as_they_are(kind: str, text: str) -> None:
    schema = KeySchema(KeyAttribute("id", kind))
    assert msgspec.json.decode(canonical_key(schema, {"id": {kind: text}})) == {"id": {kind: text}}


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"zone": {"S": "a"}},
        {"zone": {"S": "a"}, "number": {"S": "1"}},
        {"zone": {"S": "a"}, "number": {"N": 1}},
        {"zone": {"S": "a"}, "number": {"N": "one"}},
        {"zone": {"S": "a"}, "number": {"N": "1", "S": "1"}},
        {"zone": "a", "number": {"N": "1"}},
    ],
)
def test_an_item_without_its_key(item: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord, match="key attribute"):
        canonical_key(SCHEMA, item)
    with pytest.raises(Damaged, match="key"):
        wire.key_of(SCHEMA, msgspec.json.encode(item))
