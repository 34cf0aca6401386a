"""Conditions on attributes: every operator on every type, numbers by value, and errors that say where."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged, UsageError
from backstream.model.condition import MOST_NESTED, Condition
from backstream.model.values.numbers import canonical
from kit.strategies import SCALARS, TEXTS

ITEM = msgspec.json.encode(
    {
        "status": {"S": "paid"},
        "total": {"N": "10.50"},
        "large": {"N": "12345678901234567890123456789012345678"},
        "debt": {"N": "-3"},
        "open": {"BOOL": False},
        "note": {"NULL": True},
        "blob": {"B": "AAE="},
        "tags": {"SS": ["a", "b"]},
        "sizes": {"NS": ["1.0", "2"]},
        "list": {"L": [{"S": "x"}, {"N": "7"}, {"L": [{"S": "deep"}]}, {"BOOL": True}]},
        "map": {"M": {"city": {"S": "Bern"}, "a.b": {"N": "1"}, "inner": {"M": {"and": {"S": "word"}}}}},
        "odd name": {"S": "\u00e9"},
        "not": {"N": "0"},
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('status = "paid"', True),
        ('status = "Paid"', False),
        ('status != "open"', True),
        ('status != "paid"', False),
        ('status >= "paid" and status < "q"', True),
        ('status begins_with "pa"', True),
        ('status begins_with "ai"', False),
        ('status contains "ai"', True),
        ('status = "p\\u0061id"', True),
        ("total = 10.5", True),
        ("total = 1.05e1", True),
        ("total > 10.49999999999999999999999999999999999", True),
        ("total < 10.49999999999999999999999999999999999", False),
        ("large > 12345678901234567890123456789012345677", True),
        ("large = 12345678901234567890123456789012345678", True),
        ("large < 12345678901234567890123456789012345679", True),
        ("debt < -2.9 and debt > -3.1 and debt < 0", True),
        ("open = false", True),
        ("open = true", False),
        ("open != true", True),
        ("note = null", True),
        ("note exists", True),
        ("nothing exists", False),
        ("nothing missing", True),
        ("blob exists", True),
        ('blob = "AAE="', False),
        ('tags contains "a"', True),
        ("tags contains 1", False),
        ("sizes contains 1", True),
        ("sizes contains 2.00", True),
        ('list contains "x"', True),
        ("list contains 7.0", True),
        ("list contains true", True),
        ('list contains "deep"', False),
        ('map.city = "Bern"', True),
        ('map."a.b" = 1', True),
        ("map.a.b exists", False),
        ('map.inner."and" = "word"', True),
        ("status.city exists", False),
        ('"odd name" = "\u00e9"', True),
        ('"not" = 0', True),
        # Types never mix.
        ('total = "10.50"', False),
        ('total != "10.50"', False),
        ('not total = "10.50"', True),
        ('total < "a"', False),
        ("status < 1", False),
        ("status != null", False),
        ("open = null", False),
        ("nothing = null", False),
        ("nothing != 1", False),
        ('total contains "1"', False),
        ('total begins_with "1"', False),
        # Precedence.
        ('status = "paid" or status = "x" and total = 0', True),
        ('(status = "paid" or status = "x") and total = 0', False),
        ('not status = "x" and total = 10.5', True),
        ("not (nothing exists or total = 0)", True),
        ('NOT nothing EXISTS AND (status="paid"OR total=0)', True),
    ],
)
def test_what_it_says_of_an_item(text: str, *, expected: bool) -> None:
    assert Condition(text).matches(ITEM) is expected


@pytest.mark.parametrize(
    ("text", "at", "word"),
    [
        ("", 1, "the end"),
        ("status", 7, "begins_with"),
        ("status = ", 10, "the end"),
        ("status = paid", 10, "`paid`"),
        ("status == 1", 9, "`=`"),
        ("status = 'paid'", 10, "`'paid'`"),
        ("= 1", 1, "name"),
        ("a = 1 b = 2", 7, "`b`"),
        ("a = 1 and", 10, "the end"),
        ("and = 1", 1, "`and`"),
        ("(a = 1", 7, "`)`"),
        ("a = 1)", 6, "`)`"),
        ("a. = 1", 4, "name"),
        ("a = 1.", 5, "`1.`"),
        ("a < true", 5, "a JSON string or a number"),
        ("a begins_with 1", 15, "a JSON string"),
        ('a = "\\x"', 5, "a JSON string"),
        ('a = "\\ud800"', 5, "a JSON string"),
        ('a = "open', 5, '`"open`'),
        ("a = 123456789012345678901234567890123456789", 5, "38 digits"),
        ("a = 1e126", 5, "9.9E+125"),
        ("a = 1e-131", 5, "9.9E+125"),
        ("not " * (MOST_NESTED + 1) + "a = 1", 4 * MOST_NESTED + 1, "levels"),
    ],
)
def test_what_is_no_condition_is_refused_where_it_is_none(text: str, at: int, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        Condition(text)
    assert f"at character {at}," in caught.value.message
    assert word in caught.value.message


@pytest.mark.parametrize("image", [b"no json", b'{"a":{"S":5}}', b'{"a":{"N":"x"}}', b'{"a":{"S":"x","N":"1"}}'])
def test_what_is_no_image_is_damaged(image: bytes) -> None:
    with pytest.raises(Damaged):
        Condition("a = 1").matches(image)


# --- against a model of it --------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.one_of(
    st.integers(-20, 20).map(str),
    st.tuples(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(-60, 60)).map(lambda each: f"{each[0]}e{each[1]}"),
    st.sampled_from(["0", "-0", "0.0", "1.0", "10e-1", "1", "-1", "-1.00", "1E1", "10"]),
)
LITERALS = st.one_of(
    NUMBERS.map(lambda text: {"N": text}),
    TEXTS.map(lambda text: {"S": text}),
    st.sampled_from([{"BOOL": True}, {"BOOL": False}, {"NULL": True}]),
)
OF_SIMPLE_VALUES = st.dictionaries(NAMES, LITERALS, max_size=3)
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def plain(value: dict[str, Any]) -> tuple[str, Any]:
    """A type, and a value of it that Python orders rightly."""
    ((kind, inner),) = value.items()
    return kind, Fraction(inner) if kind == "N" else inner.encode() if kind == "S" else inner


def written(literal: dict[str, Any], *, escaped: bool) -> str:
    ((kind, inner),) = literal.items()
    return str(inner) if kind == "N" else "null" if kind == "NULL" else json.dumps(inner, ensure_ascii=escaped)


Said = tuple[str, Callable[[dict[str, Any]], bool]]


@st.composite
def comparisons(draw: st.DrawFn) -> Said:
    name, literal = draw(NAMES), draw(LITERALS)
    kind, wanted = plain(literal)
    operator = draw(st.sampled_from(list(ORDER) if kind in "NS" else ["=", "!="]))
    space = draw(st.sampled_from(["", " ", "\n "]))

    def holds(item: dict[str, Any]) -> bool:
        if name not in item or next(iter(item[name])) != kind:
            return False
        return ORDER[operator](plain(item[name])[1], wanted)

    return f"{name}{space}{operator}{space}{written(literal, escaped=draw(st.booleans()))}", holds


PRESENCE: st.SearchStrategy[Said] = st.one_of(
    NAMES.map(lambda name: (f"{name} exists", lambda item: name in item)),
    NAMES.map(lambda name: (f'"{name}" missing', lambda item: name not in item)),
)


def combined(inner: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda each: (f"not ({each[0]})", lambda item: not each[1](item))),
        pairs.map(lambda each: (f"({each[0][0]}) and {each[1][0]}", lambda item: each[0][1](item) and each[1][1](item))),
        pairs.map(lambda each: (f"(({each[0][0]}) or ({each[1][0]}))", lambda item: each[0][1](item) or each[1][1](item))),
    )


@given(st.recursive(comparisons() | PRESENCE, combined, max_leaves=6), st.lists(OF_SIMPLE_VALUES, min_size=1, max_size=5))
def test_it_means_what_its_parts_mean(said: Said, items: list[dict[str, Any]]) -> None:
    text, holds = said
    try:
        condition = Condition(text)
    except UsageError as error:
        assert "38 digits" in error.message  # noqa: PT017 - the only thing that may be wrong with it
        return
    for item in items:
        assert condition.matches(msgspec.json.encode(item)) is holds(item), (text, item)


@given(st.dictionaries(TEXTS.filter(bool), SCALARS, max_size=4))
def test_it_can_be_asked_of_every_item(item: dict[str, Any]) -> None:
    image = msgspec.json.encode(item)
    for name, value in item.items():
        quoted = json.dumps(name)
        assert Condition(f"{quoted} exists").matches(image)
        assert not Condition(f"{quoted} missing").matches(image)
        ((kind, inner),) = value.items()
        if kind == "N":
            assert Condition(f"{quoted} = {canonical(inner)}").matches(image)
        elif kind in ("S", "BOOL"):
            assert Condition(f"{quoted} = {written(value, escaped=True)}").matches(image)


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        Condition(text).matches(ITEM)
    except UsageError as error:
        assert "at character" in error.message  # noqa: PT017 - either way is right
