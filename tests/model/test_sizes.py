"""How large DynamoDB takes an item to be: by the words of AWS's page on item sizes, and the example it gives."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.values.sizes import READ_UNIT, WRITE_UNIT, item_bytes, read_units, write_units
from kit.strategies import ITEMS, VALUES


def size(**attributes: dict[str, Any]) -> int:
    return item_bytes(msgspec.json.encode(attributes))


def test_the_example_of_the_documentation() -> None:
    """An item of `shirt-color` R and `shirt-size` M has 23 bytes (CapacityUnitCalculations, and the pricing page)."""
    assert item_bytes(b'{"shirt-color":{"S":"R"},"shirt-size":{"S":"M"}}') == 23


def binary(raw: int) -> dict[str, str]:
    return {"B": base64.b64encode(bytes(raw)).decode()}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"S": ""}, 0, id="an empty string"),
        pytest.param({"S": "\u00e9\U0001f600"}, 6, id="a string is UTF-8"),
        pytest.param({"N": "0"}, 1, id="zero has no significant digit"),
        pytest.param({"N": "7"}, 2, id="one digit"),
        pytest.param({"N": "27"}, 2, id="two digits in a byte"),
        pytest.param({"N": "127"}, 3, id="three digits"),
        pytest.param({"N": "-127"}, 4, id="a sign"),
        pytest.param({"N": "12700000"}, 3, id="zeros at the end are trimmed"),
        pytest.param({"N": "0.000127"}, 3, id="zeros at the beginning are trimmed"),
        pytest.param({"N": "1.270E+100"}, 3, id="an exponent is no digit"),
        pytest.param({"N": "12345678901234567890123456789012345678"}, 20, id="thirty-eight digits"),
        pytest.param(binary(3), 3, id="binary is raw bytes"),
        pytest.param({"NULL": True}, 1, id="null"),
        pytest.param({"BOOL": False}, 1, id="boolean"),
        pytest.param({"L": []}, 3, id="an empty list"),
        pytest.param({"M": {}}, 3, id="an empty map"),
        pytest.param({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + (1 + 2) + (1 + 2), id="a list"),
        pytest.param({"M": {"k": {"S": "ab"}, "\u00e9": {"BOOL": True}}}, 3 + (1 + 1 + 2) + (1 + 2 + 1), id="a map"),
        pytest.param({"M": {"k": {"L": [{"L": []}]}}}, 3 + (1 + 1 + 3 + (1 + 3)), id="one in another"),
        pytest.param({"SS": ["a", "bc"]}, 3, id="a set of strings"),
        pytest.param({"NS": ["1", "-2.5"]}, 2 + 3, id="a set of numbers"),
    ],
)
def test_by_type(value: dict[str, Any], expected: int) -> None:
    assert size(name=value) == len("name") + expected


@pytest.mark.parametrize("raw", range(7))
def test_padding_is_no_byte_of_a_binary_value(raw: int) -> None:
    assert size(b=binary(raw)) == 1 + raw
    assert size(b={"BS": [binary(raw)["B"]]}) == 1 + raw


@given(ITEMS, VALUES)
@settings(max_examples=40)
def test_an_item_is_the_sum_of_its_attributes(item: dict[str, Any], value: dict[str, Any]) -> None:
    assert item_bytes(msgspec.json.encode(item)) == sum(size(**{name: each}) for name, each in item.items())
    assert size(m={"M": {"a": value}}) == 1 + 3 + 1 + size(a=value), "what is in a map has a name, too, and a byte of overhead"


@given(st.binary(max_size=30).filter(lambda data: not data.startswith(b"{")))
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(Damaged):
        item_bytes(data)


@given(item=ITEMS)
@settings(max_examples=60)
def test_text_is_never_shorter_than_what_is_counted(item: dict[str, Any]) -> None:
    image = msgspec.json.encode(item)
    assert item_bytes(image) <= len(image)
    assert write_units(image) == max(1, -(-item_bytes(image) // WRITE_UNIT))
    assert read_units(image) == max(1, -(-item_bytes(image) // READ_UNIT))


@pytest.mark.parametrize(
    ("raw", "units"), [(1, 1), (1_000, 1), (1_020, 1), (1_023, 1), (1_024, 2), (2_047, 2), (2_048, 3), (100_000, 98)]
)
def test_units_of_a_write(raw: int, units: int) -> None:
    """An attribute `b` of so many bytes, and its name."""
    assert write_units(msgspec.json.encode({"b": binary(raw)})) == units
