"""What the older tools write: their names, held against `kit.older_tools`, which knows nothing of ours; and their values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.tables import legacy_names
from backstream.model.tables.legacy_names import Style
from backstream.model.tables.naming import KeyOrder, Naming, object_name
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key
from kit.older_tools import DynamoDbBackUp, Fork, Replicator, as_arrays, as_node_buffers, stringify
from kit.strategies import BINARIES, TEXTS, numbers

TYPES = {
    "S": TEXTS,
    "N": numbers(),
    "B": BINARIES,
}


class Nowhere:
    """A bucket that keeps nothing."""

    def put(self, name: str, body: bytes) -> str:  # noqa: ARG002 - nothing is kept
        return ""

    def delete(self, name: str) -> str:  # noqa: ARG002 - nothing is kept
        return ""


@st.composite
def keys(draw: st.DrawFn) -> tuple[KeySchema, dict[str, Any]]:
    """A key schema of one or two attributes, and a key of it as an event has it."""
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), min_size=1, max_size=2, unique=True))
    attributes = [KeyAttribute(name, draw(st.sampled_from("SNB"))) for name in names]
    return KeySchema(*attributes), {each.name: {each.type: draw(TYPES[each.type])} for each in attributes}


@given(keys())
def test_every_tools_name_is_found(drawn: tuple[KeySchema, dict[str, Any]]) -> None:
    schema, item = drawn
    names = legacy_names.names_of(schema, item)
    for digest in ("sha256", "md5"):
        for of_event in (list(schema.names), list(schema.names)[::-1]):
            name = Replicator(Nowhere(), "t", of_event, digest).name(item).removeprefix("t/")
            same = [order for order in KeyOrder if [each.name for each in legacy_names.ordered(schema, order)] == of_event]
            assert any(Style(Naming(digest), each) in names[name] for each in same)
    plain = Fork(Nowhere(), "t", list(schema.names), plain=True).name(item).removeprefix("t/")
    assert Naming.PLAIN in {style.naming for style in names[plain]}
    for write in (as_node_buffers, as_arrays):
        for body in (item, write(item)):
            written = DynamoDbBackUp(Nowhere(), "t", list(schema.names)).name(write(item)).removeprefix("t/")
            assert written in legacy_names.names_of(schema, body)


@given(keys())
def test_our_names_are_theirs(drawn: tuple[KeySchema, dict[str, Any]]) -> None:
    """In whichever order a bucket is gone on with. Plain names differ where characters would be illegal or ambiguous."""
    schema, item = drawn
    key = canonical_key(schema, item)
    canonical: dict[str, Any] = msgspec.json.decode(key)
    orders = {KeyOrder.SCHEMA: schema.names, KeyOrder.SORTED: sorted(schema.names), KeyOrder.REVERSED: schema.names[::-1]}
    for order, names in orders.items():
        for digest in ("sha256", "md5"):
            theirs = Replicator(Nowhere(), "t", list(names), digest).name(canonical)
            assert object_name("t", Naming(digest), key, order=order) == theirs
    theirs = Fork(Nowhere(), "t", list(schema.names), plain=True).name(canonical)
    values = [text for value in canonical.values() for text in value.values()]
    harmless = all(text.isprintable() and not set(text) & set("%/|") and text not in (".", "..") for text in values)
    if harmless:
        assert object_name("t", Naming.PLAIN, key, order=KeyOrder.SORTED) == theirs


@pytest.mark.parametrize(
    "value", [None, True, "text", 5, [], ["B"], {}, {"B": None}, {"B": 1}, {"L": {}}, {"M": []}, {"BS": "AQ=="}]
)
def test_what_is_no_value_is_left_as_it_is(value: Any) -> None:
    """Whatever stands where a value should: nothing is guessed, nothing fails."""
    assert legacy_names.mended(value) == (value, False)


VALUES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=5)),
        st.builds(lambda text: {"B": text}, BINARIES),
        st.builds(lambda texts: {"BS": texts}, st.lists(BINARIES, min_size=1, max_size=3, unique=True)),
        st.just({"M": {"type": {"S": "Buffer"}, "data": {"L": [{"N": "1"}]}}}),
        st.just({"M": {"B": {"M": {"0": {"N": "1"}}}}}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda each: {"L": each}, st.lists(inner, max_size=3)),
        st.builds(lambda each: {"M": each}, st.dictionaries(st.sampled_from(["a", "B", "type", "data", "0"]), inner, max_size=3)),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=3), VALUES, max_size=4))
def test_binary_values_come_back(item: dict[str, Any]) -> None:
    """At any depth, in both forms; and attributes that only look like them stay."""
    assert legacy_names.mended_item(item) == (item, False)
    for write in (as_node_buffers, as_arrays):
        written = msgspec.json.decode(stringify(write(item)))
        assert legacy_names.mended_item(written) == (item, written != item)


@pytest.mark.parametrize(
    "value",
    [
        {"B": {"type": "Buffer", "data": [256]}},
        {"B": {"type": "Buffer", "data": [True]}},
        {"B": {"type": "Buffer", "data": "AQ=="}},
        {"B": {"0": 1, "2": 3}},
        {"B": {"type": "Blob", "data": [1]}},
        {"B": [1, 2]},
        {"BS": [{"type": "Buffer", "data": [-1]}]},
        {"M": {"b": {"B": 5}}},
    ],
)
def test_what_could_mean_anything_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(Damaged, match="'x' is not in DynamoDB JSON"):
        legacy_names.mended_item({"x": value})


def test_arrivals_are_ordered_as_they_came() -> None:
    """As text of one length, too; and no two items share a number."""
    numbers = [
        legacy_names.sequence(micros, position, b"a") for micros, position in [(5, 0), (5, 1), (6, 0), (1_700_000_000_000_000, 3)]
    ]
    assert numbers == sorted(numbers)
    assert [int(each) for each in numbers] == sorted(map(int, numbers))
    assert {len(each) for each in numbers} == {40}
    assert legacy_names.sequence(5, 0, b"a") != legacy_names.sequence(5, 0, b"b")
