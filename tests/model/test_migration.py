"""Items as plain Python values and back, what a function may give back, and the digest that tells images apart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from backstream.errors import Damaged
from backstream.model import migration
from backstream.model.migration import DELETE, becomes, digest, spliced
from backstream.model.values import python_items, sizes, wire
from backstream.model.values.item_limits import InvalidItem
from kit.images import hard_images, image
from kit.strategies import ITEMS, Item

IMAGE = image("a", 1, n={"N": "1.50"}, s={"SS": ["b", "a"]})


@given(ITEMS)
def test_what_was_not_touched_keeps_its_bytes(item: Item) -> None:
    before = msgspec.json.encode(item)
    for native in (False, True):
        passed = migration.given(before, native=native)
        assert becomes(passed, passed, before, native=native) is before
        assert becomes(None, passed, before, native=native) is before


@given(ITEMS, ITEMS)
def test_plain_values_are_the_same_item(item: Item, other: Item) -> None:
    typed = msgspec.json.encode(python_items.from_plain(python_items.to_plain(msgspec.json.encode(item))))
    assert wire.same_image(typed, msgspec.json.encode(item))
    after = becomes(python_items.to_plain(msgspec.json.encode({**item, **other})), None, msgspec.json.encode(item), native=False)
    assert after is not None
    assert wire.same_image(after, msgspec.json.encode({**item, **other}))
    old, new = (msgspec.json.decode(each, type=dict[str, msgspec.Raw]) for each in (msgspec.json.encode(item), after))
    assert all(bytes(new[name]) == bytes(old[name]) for name in item if name not in other)


def test_hard_images_go_through() -> None:
    for name, each in hard_images().items():
        item = python_items.to_plain(each)
        assert becomes(item, item, each, native=False) is each, name
        item["mark"] = 1
        after = becomes(item, item, each, native=False)
        assert after is not None
        rest = msgspec.json.decode(after, type=dict[str, msgspec.Raw])
        assert {n: bytes(raw) for n, raw in rest.items() if n != "mark"} == {
            n: bytes(raw) for n, raw in msgspec.json.decode(each, type=dict[str, msgspec.Raw]).items()
        }, name


def test_plain_types() -> None:
    item = python_items.to_plain(
        image(
            "a", "12345678901234567890123456789012345678", b={"B": "AAE="}, no={"NULL": True}, bs={"BS": ["AQ=="]}, ns={"NS": ["1"]}
        )
    )
    assert item["number"] == Decimal(12345678901234567890123456789012345678)
    assert (item["b"], item["no"], item["bs"], item["ns"]) == (b"\x00\x01", None, {b"\x01"}, {Decimal(1)})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1.5, "float"),
        (float("nan"), "float"),
        (Decimal("NaN"), "NaN"),
        (Decimal("Infinity"), "Infinity"),
        (10**40 + 1, "not a number that DynamoDB takes"),
        (Decimal("1E+126"), "not a number that DynamoDB takes"),
        (10**5000, "too many digits"),
        (set(), "empty set"),
        ({1, "a"}, "different types"),
        ({True}, "bool"),
        ({None}, "NoneType"),
        ({(1, 2)}, "tuple"),
        ({1: "a"}, "no text"),
        (object(), "object"),
        ("\ud800", "Unicode"),
        ({"deep": [1, {"deeper": 1.0}]}, r"x\.deep\[1\]\.deeper"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_dynamodb_would_not_take(value: object, why: str) -> None:
    with pytest.raises(InvalidItem, match=why):
        becomes({**python_items.to_plain(IMAGE), "x": value}, None, IMAGE, native=False)


@pytest.mark.parametrize(
    "value",
    [
        {"S": 1},
        {"N": 1},
        {"N": "x"},
        {"N": "1E+200"},
        {"SS": []},
        {"NS": ["1", "1.0"]},
        {"B": "%"},
        {"NULL": False},
        {},
        "a",
        {"X": "a"},
    ],
)
def test_what_is_no_dynamodb_json(value: object) -> None:
    with pytest.raises(InvalidItem, match="x"):
        becomes({**wire.decode(IMAGE), "x": value}, None, IMAGE, native=True)


def nested(levels: int, into: str) -> Any:
    """A value of so many levels, the innermost a number."""
    value: Any = 1
    for _ in range(levels - 1):
        value = [value] if into == "list" else {"in": value}
    return value


@pytest.mark.parametrize("into", ["list", "map"])
def test_32_levels_are_kept_and_33_are_not(into: str) -> None:
    after = becomes({**python_items.to_plain(IMAGE), "x": nested(32, into)}, None, IMAGE, native=False)
    assert after is not None
    assert python_items.to_plain(after)["x"] == nested(32, into)
    for levels in (33, 40):
        with pytest.raises(InvalidItem, match=r"^x.* is nested deeper than 32 levels$"):
            becomes({**python_items.to_plain(IMAGE), "x": nested(levels, into)}, None, IMAGE, native=False)


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\U0001f600"])
def test_400_kb_are_kept_and_a_byte_more_is_not(letter: str) -> None:
    """As DynamoDB counts: names and values in UTF-8, not the JSON around them."""
    room = 400 * 1024 - sizes.item_bytes(IMAGE) - len("x")
    each = len(letter.encode())
    text = letter * (room // each) + "b" * (room % each)
    after = becomes({**python_items.to_plain(IMAGE), "x": text}, None, IMAGE, native=False)
    assert after is not None
    assert sizes.item_bytes(after) == 400 * 1024
    for more in ("b", "b" * 1024):
        with pytest.raises(InvalidItem, match="400 KB"):
            becomes({**python_items.to_plain(IMAGE), "x": text + more}, None, IMAGE, native=False)


@pytest.mark.parametrize("result", ["x", [1], True, 0, (), DELETE.__class__, 10**5000], ids=lambda value: type(value).__name__)
def test_nonsense(result: object) -> None:
    with pytest.raises(InvalidItem, match="DELETE"):
        becomes(result, python_items.to_plain(IMAGE), IMAGE, native=False)


def test_a_change_without_a_return_is_seen() -> None:
    passed = python_items.to_plain(IMAGE)
    passed["s"].add("c")
    with pytest.raises(InvalidItem, match="return item"):
        becomes(None, passed, IMAGE, native=False)
    assert becomes(DELETE, passed, IMAGE, native=False) is None


def test_equal_by_value_is_no_change() -> None:
    item = {**python_items.to_plain(IMAGE), "n": Decimal("1.5"), "s": {"a", "b"}}
    assert becomes(item, item, IMAGE, native=False) is IMAGE


def test_the_digest_is_of_the_item_not_of_its_bytes() -> None:
    other = b'{"zone": {"S":"a"}, "s":{"SS":["a","b"]}, "number":{"N":"1.0"}, "n":{"N":"15E-1"}}'
    assert digest(IMAGE) == digest(other)
    assert digest(IMAGE) != digest(image("a", 1, n={"N": "1.51"}, s={"SS": ["b", "a"]}))
    assert digest(image("a", 1, s={"L": [{"S": "a"}]})) != digest(image("a", 1, s={"SS": ["a"]}))
    assert digest(None) is None


@given(ITEMS, ITEMS)
def test_digests_are_equal_as_images_are(one: Item, other: Item) -> None:
    first, second = msgspec.json.encode(one), msgspec.json.encode(other)
    assert (digest(first) == digest(second)) == wire.same_image(first, second)


def test_damaged_images_are_refused() -> None:
    with pytest.raises(Damaged):
        python_items.to_plain(b'{"a":{"X":"1"}}')
    assert spliced({"a": {"S": "b"}}, None) == b'{"a":{"S":"b"}}'
