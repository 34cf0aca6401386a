"""Which bytes are an item that DynamoDB can hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.values import item_limits, wire
from backstream.model.values.item_limits import InvalidItem
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.model.values.sound_images import ImageReader

SCHEMA = KeySchema(KeyAttribute("id", "S"))
read = ImageReader(SCHEMA)


def nested(levels: int) -> bytes:
    """A text with so many lists around it."""
    return b'{"L":[' * levels + b'{"S":"a"}' + b"]}" * levels


SOUND = [
    b'{"S":""}',
    b'{"S":"a\\n\\u00e9\\/ \\"N\\":\\"x\\""}',
    '{"S":"é😀"}'.encode(),
    b'{"N":"-0.5"}',
    b'{"N":"-0"}',
    b'{"N":"%s"}' % (b"1" * 38),
    b'{"N":"%s"}' % (b"1" + b"0" * 125),
    b'{"N":"0.%s1"}' % (b"0" * 129),
    b'{"N":"1E+3"}',
    b'{"B":""}',
    b'{"B":"AAH+/w=="}',
    b'{"BOOL":false}',
    b'{"NULL":true}',
    b'{"SS":["a","b",""]}',
    b'{"NS":["1","-1","1E+3"]}',
    b'{"BS":["AA==","AQ=="]}',
    b'{"L":[]}',
    b'{"M":{}}',
    b'{"M":{"a":{"M":{"a":{"L":[{"N":"1.5"},{"BOOL":true}]}}}}}',
    b'{ "L" : [ {"NULL":true}, {"M":{}} ] }',
    nested(31),
]
UNSOUND = [
    b"{}",
    b"[]",
    b'"a"',
    b"1",
    b"null",
    b'{"S":1}',
    b'{"S":null}',
    b'{"S":"a","N":"1"}',
    b'{"S":"a","S":"a"}',
    b'{"X":"a"}',
    b'{"s":"a"}',
    b'{"N":1}',
    b'{"N":""}',
    b'{"N":"abc"}',
    b'{"N":"NaN"}',
    b'{"N":"0x1"}',
    b'{"N":"1_0"}',
    b'{"N":"\xd9\xa1"}',  # a digit, and not an ASCII one
    b'{"\\u004e":"abc"}',
    b'{"N":"%s"}' % (b"1" * 39),
    b'{"N":"1E+126"}',
    b'{"N":"1E-131"}',
    b'{"N":"%s"}' % (b"9" * 10_000),
    b'{"B":"a"}',
    b'{"B":"-_-_"}',
    b'{"B":{"type":"Buffer","data":[1]}}',
    b'{"BOOL":"true"}',
    b'{"BOOL":1}',
    b'{"NULL":false}',
    b'{"SS":[]}',
    b'{"SS":["a","a"]}',
    b'{"SS":"a"}',
    b'{"SS":[1]}',
    b'{"NS":["1","1.0"]}',
    b'{"NS":["0","-0"]}',
    b'{"NS":["x"]}',
    b'{"BS":["AA==","AB=="]}',
    b'{"L":{}}',
    b'{"L":["a"]}',
    b'{"M":[]}',
    b'{"M":{"a":"b"}}',
    b'{"M":{"a":{"S":"1"},"a":{"S":"2"}}}',
    b'{"M":{"a":{"S":"1"},"\\u0061":{"S":"2"}}}',
    b'{"S":"a"},"v":{"S":"b"}',
    b'{"S":"\xff"}',
    b'{"S":"\\ud800"}',
    b'{"S":"\n"}',
    b'{"S":"a"',
    nested(32),
    nested(100_000),
]


def image(value: bytes) -> bytes:
    """An item of the table with this value."""
    return b'{"id":{"S":"k"},"v":%s}' % value


@pytest.mark.parametrize("value", SOUND, ids=lambda value: repr(value[:40]))
def test_sound(value: bytes) -> None:
    assert read(image(value)) == b'{"id":{"S":"k"}}'


@pytest.mark.parametrize("value", UNSOUND, ids=lambda value: repr(value[:40]))
def test_unsound(value: bytes) -> None:
    with pytest.raises(Damaged, match=r"not an item|a name comes twice"):
        read(image(value))


def test_an_empty_name_is_nothing_to_refuse_an_item_for() -> None:
    """A file, a Parquet file or a view can hold it. The value below it is looked at as all others are."""
    assert read(image(b'{"S":"a"},"":{"N":"1E2"}')) == b'{"id":{"S":"k"}}'
    with pytest.raises(Damaged, match="not an item that DynamoDB can hold"):
        read(image(b'{"N":"1E2"},"":{"N":"x"}'))


def test_the_key_has_to_be_of_the_table() -> None:
    assert read(b'{"v":{"NULL":true},"id":{"S":"a"}}') == b'{"id":{"S":"a"}}'
    for other in (b'{"v":{"S":"a"}}', b'{"id":{"N":"1"}}', b'{"id":{"S":"a"},"id":{"S":"b"}}', b"{}", b"[]"):
        with pytest.raises(Damaged):
            read(other)


TEXTS = st.one_of(
    st.text(max_size=3), st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,2})?(E[+-][0-9]{1,3})?", fullmatch=True), st.just("AA==")
)
KINDS = st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "X"])
ANY: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(KINDS, st.one_of(TEXTS, st.booleans(), st.none(), st.lists(TEXTS, max_size=3)), min_size=1, max_size=2),
    lambda inner: st.dictionaries(
        KINDS, st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)), max_size=1
    ),
    max_leaves=5,
)


@given(ANY)
def test_the_quick_look_says_what_the_limits_say(value: Any) -> None:
    said = msgspec.json.encode({"id": {"S": "k"}, "v": value})
    try:
        item_limits.check(wire.decode(said))
        sound = True
    except InvalidItem:
        sound = False
    if sound:
        assert read(said) == b'{"id":{"S":"k"}}'
    else:
        with pytest.raises(Damaged):
            read(said)
