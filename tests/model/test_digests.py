"""The digest of a state: equal exactly where two states are equal, and cheap where nothing is unusual."""

from __future__ import annotations

import base64
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.values import digests, wire

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['"N":"1.0"', "\\", "é", "\u2028", '{"S":["a"]}', "a: b", "N"]
)
numbers = st.sampled_from(
    ["0", "-0", "0.0", "1", "1.0", "1E0", "10E-1", "-12.50", "-12.5", "1E+3", "1000", "0.10", "0.1", "1E-130"]
)
binaries = st.binary(max_size=4).map(lambda raw: base64.b64encode(raw).decode())


def values(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"L": each}),
        st.dictionaries(texts, inner, max_size=3).map(lambda each: {"M": each}),
    )


scalars = st.one_of(
    texts.map(lambda each: {"S": each}),
    numbers.map(lambda each: {"N": each}),
    binaries.map(lambda each: {"B": each}),
    st.booleans().map(lambda each: {"BOOL": each}),
    st.just({"NULL": True}),
    st.lists(numbers, min_size=1, max_size=3).map(lambda each: {"NS": each}),
    st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda each: {"SS": each}),
    st.lists(binaries, min_size=1, max_size=3, unique=True).map(lambda each: {"BS": each}),
)
items = st.dictionaries(texts, st.recursive(scalars, values, max_leaves=4), min_size=1, max_size=4)


def spelled(value: Any, chance: random.Random) -> Any:
    """The same value in another spelling: names and members in another order, numbers in another notation."""
    if isinstance(value, dict):
        pairs = [(name, spelled(each, chance)) for name, each in value.items()]
        chance.shuffle(pairs)
        return {name: other_members(name, each, chance) for name, each in pairs}
    return [spelled(each, chance) for each in value] if isinstance(value, list) else value


def other_members(name: str, value: Any, chance: random.Random) -> Any:
    if name == "N" and isinstance(value, str) and chance.random() < 0.5 and "E" not in value:
        return value + ("0" if "." in value else ".0")
    if name in wire.SETS and isinstance(value, list):
        return chance.sample(value, len(value))
    return value


@given(items, st.randoms(use_true_random=False), st.sampled_from([None, 1]))
def test_another_spelling_has_the_same_digest(item: dict[str, Any], chance: random.Random, indent: int | None) -> None:
    image = msgspec.json.encode(item)
    other = msgspec.json.encode(spelled(item, chance))
    other = other if indent is None else msgspec.json.format(other, indent=indent)
    assert wire.same_image(image, other)
    assert digests.of_state(image) == digests.of_state(other)


@given(items, items)
def test_digests_are_equal_exactly_where_the_states_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = msgspec.json.encode(one), msgspec.json.encode(other)
    assert (digests.of_state(first) == digests.of_state(second)) == wire.same_image(first, second)


def test_no_item_has_a_digest_of_its_own() -> None:
    assert digests.of_state(None) == "absent"
    assert digests.of_state(b"{}") != "absent"


def test_a_digest_never_changes() -> None:
    """It stands in logs for ever."""
    assert digests.of_state(b'{"n":{"N":"1.50"},"id":{"S":"a"}}') == digests.of_state(b'{"id":{"S":"a"},"n":{"N":"1.5"}}') == GOLDEN
    assert digests.canonical(b'{"n":{"N":"1.50"},"id":{"S":"a"}}') == b'{"id":{"S":"a"},"n":{"N":"1.5"}}'
    rich = b'{"s":{"NS":["2","1.0"]},"m":{"M":{"b":{"B":"AP8="},"a":{"L":[{"SS":["y","x"]}]}}},"id":{"S":"\\u00e9"}}'
    assert digests.canonical(rich) == (
        '{"id":{"S":"é"},"m":{"M":{"a":{"L":[{"SS":["x","y"]}]},"b":{"B":"AP8="}}},"s":{"NS":["1","2"]}}'.encode()
    )


GOLDEN = "f0ccc570b54db199"


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"a":1}', b'{"a":{"N":"x"}}', b'{"a":{"M":{"b":1}}}', b'{"a":{"B":"!"}}'])
def test_what_is_no_item_is_damaged(bad: bytes) -> None:
    assert digests.of_state_if_sound(bad) is None
    with pytest.raises(Damaged):
        digests.of_state(bad)
