"""Images as bytes: when two are the same item, and what is read out of them."""

from __future__ import annotations

import base64
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.values import wire
from kit import images, strategies


def respelled(value: Any, source: random.Random) -> Any:
    """The same value, written differently: attributes and sets in another order, numbers with zeros and exponents."""
    match value:
        case {"N": text}:
            return {"N": number_respelled(text, source)}
        case {"NS": texts}:
            return {"NS": [number_respelled(text, source) for text in shuffled(texts, source)]}
        case {"SS": members} | {"BS": members}:
            return {next(iter(value)): shuffled(members, source)}
        case {"L": values}:
            return {"L": [respelled(each, source) for each in values]}
        case {"M": fields}:
            return {"M": item_respelled(fields, source)}
    return value


def item_respelled(fields: strategies.Item, source: random.Random) -> strategies.Item:
    """An item likewise."""
    return {name: respelled(fields[name], source) for name in shuffled(list(fields), source)}


def number_respelled(text: str, source: random.Random) -> str:
    """`1.5` as `15e-1`, `1.50` or `01.5`."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    more = source.randrange(3)
    written = "0" * source.randrange(2) + "".join(map(str, digits)) + "0" * more
    return f"{'-' if sign else ''}{written}e{exponent - more}"


def shuffled(values: list[Any], source: random.Random) -> list[Any]:
    """In another order."""
    return source.sample(values, len(values))


def meaning(value: Any) -> Any:
    """What an attribute value is, in Python's own terms."""
    match value:
        case {"N": text}:
            return "N", Decimal(text)
        case {"NS": texts}:
            return "NS", frozenset(map(Decimal, texts))
        case {"B": text}:
            return "B", base64.b64decode(text)
        case {"BS": texts}:
            return "BS", frozenset(map(base64.b64decode, texts))
        case {"SS": texts}:
            return "SS", frozenset(texts)
        case {"L": values}:
            return "L", [meaning(each) for each in values]
        case {"M": fields}:
            return "M", {name: meaning(each) for name, each in fields.items()}
    return value


@given(strategies.ITEMS, st.randoms(use_true_random=False))
def test_an_item_written_differently_is_the_same(item: strategies.Item, source: random.Random) -> None:
    assert wire.same_image(wire.encode(item), msgspec.json.format(wire.encode(item_respelled(item, source)), indent=2))


@given(strategies.ITEMS, strategies.ITEMS)
def test_two_items_are_the_same_exactly_if_they_mean_the_same(one: strategies.Item, other: strategies.Item) -> None:
    assert wire.same_image(wire.encode(one), wire.encode(other)) == (meaning({"M": one}) == meaning({"M": other}))


@given(strategies.ITEMS, strategies.VALUES, st.data())
def test_one_attribute_makes_the_difference(item: strategies.Item, value: strategies.Value, data: st.DataObject) -> None:
    assume(item)
    name = data.draw(st.sampled_from(sorted(item)))
    assume(meaning(item[name]) != meaning(value))
    assert not wire.same_image(wire.encode(item), wire.encode({**item, name: value}))
    assert not wire.same_image(wire.encode(item), wire.encode({n: v for n, v in item.items() if n != name}))


@given(strategies.ITEMS)
def test_every_generated_item_is_well_formed(item: strategies.Item) -> None:
    assert all(map(wire.well_formed, item.values()))
    assert wire.decode(wire.encode(item)) == item


@pytest.mark.parametrize("name", images.hard_images())
def test_hard_images_are_themselves(name: str) -> None:
    image = images.hard_images()[name]
    assert wire.same_image(image, msgspec.json.format(image, indent=1))
    assert not wire.same_image(image, images.image("other", 0))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b'{"a":1}',
        b'{"a":{}}',
        b'{"a":{"S":"x","N":"1"}}',
        b'{"a":{"X":"x"}}',
        b'{"a":{"S":1}}',
        b'{"a":{"N":1}}',
        b'{"a":{"N":"one"}}',
        b'{"a":{"NS":["1",2]}}',
        b'{"a":{"B":"not base64"}}',
        b'{"a":{"L":null}}',
        b'{"a":{"M":[]}}',
        b'{"a":{"BOOL":1}}',
        b'{"a":{"L":[{"S":"x"},"y"]}}',
    ],
)
def test_damaged_images_are_named_not_compared(damaged: bytes) -> None:
    with pytest.raises(Damaged):
        wire.same_image(damaged, b'{"a":{"S":"x"}}')


@given(strategies.ITEMS, st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order_of_attributes(item: strategies.Item, source: random.Random) -> None:
    names = list(item)
    source.shuffle(names)
    assert wire.fingerprint(wire.encode(item)) == wire.fingerprint(wire.encode({name: item[name] for name in names}))


@given(strategies.ITEMS, strategies.ITEMS)
def test_what_has_one_fingerprint_is_one_item(one: strategies.Item, other: strategies.Item) -> None:
    first, second = wire.encode(one), wire.encode(other)
    assert wire.fingerprint(first) != wire.fingerprint(second) or wire.same_image(first, second)


def test_a_fingerprint_tells_names_and_values_apart() -> None:
    images = [
        b'{"a":{"S":"b"},"c":{"S":"d"}}',
        b'{"a":{"S":"d"},"c":{"S":"b"}}',
        b'{"c":{"S":"d"}}',
        b'{"a":{"N":"1"}}',
        b'{"a":{"S":"1"}}',
    ]
    assert len({wire.fingerprint(each) for each in images}) == len(images)
    with pytest.raises(Damaged):
        wire.fingerprint(b"[1]")
