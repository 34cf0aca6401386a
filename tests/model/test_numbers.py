"""The plain notation of a number, held against Python's exact decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from backstream.model.values.numbers import canonical, compare, in_range
from kit import strategies


@given(strategies.numbers())
def test_it_is_the_same_number_in_plain_notation(text: str) -> None:
    plain = canonical(text)
    assert Decimal(plain) == Decimal(text)
    integer, _, fraction = plain.removeprefix("-").partition(".")
    assert (integer + fraction).isdigit()
    assert integer == "0" or not integer.startswith("0")
    assert not fraction.endswith("0")
    assert plain != "-0"
    assert canonical(plain) == plain


@given(strategies.numbers(), strategies.numbers())
def test_two_texts_are_one_exactly_if_the_numbers_are(one: str, other: str) -> None:
    assert (canonical(one) == canonical(other)) == (Decimal(one) == Decimal(other))


@given(strategies.numbers(), strategies.numbers())
def test_two_texts_are_ordered_as_the_numbers_are(one: str, other: str) -> None:
    first, second = Decimal(one), Decimal(other)
    assert compare(one, other) == (first > second) - (first < second)
    assert compare(one, one) == compare(one, canonical(one)) == 0


@pytest.mark.parametrize("text", ["9" * 38 + "E88", "-9.99E+125", "1E-130", "0", "0.0" + "1" * 38, "1" * 38 + "000"])
def test_numbers_that_dynamodb_takes(text: str) -> None:
    assert in_range(text) == canonical(text)


@pytest.mark.parametrize("text", ["1" * 39, "1E126", "-1E126", "9E-131", "1.5E-131", "1." + "0" * 38 + "1"])
def test_numbers_that_it_does_not_take(text: str) -> None:
    with pytest.raises(ValueError, match="DynamoDB"):
        in_range(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.50", "1.5"),
        ("1E+3", "1000"),
        ("-0.0", "0"),
        ("+.5", "0.5"),
        ("5.", "5"),
        ("0012", "12"),
        ("1e-3", "0.001"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("-9.99E+125", "-999" + "0" * 123),
        ("1E-130", "0." + "0" * 129 + "1"),
    ],
)
def test_examples(text: str, plain: str) -> None:
    assert canonical(text) == plain


@pytest.mark.parametrize("text", ["", ".", "-", "e5", "1e", "--1", "1_000", "0x1", "NaN", "Infinity", "1 2", "\u0663", "1,5"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        canonical(text)
