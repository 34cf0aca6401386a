"""Hypothesis strategies: DynamoDB's values and items, as decoded JSON (binary as base64 text)."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

Value = dict[str, Any]
Item = dict[str, Value]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BINARIES = st.binary(max_size=12).map(lambda data: base64.b64encode(data).decode())


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number DynamoDB takes, in any spelling: up to 38 digits, with or without point, sign, exponent and needless zeros."""
    digits = draw(st.from_regex(r"\A[0-9]{1,38}\Z"))
    point = draw(st.none() | st.integers(0, len(digits)))
    mantissa = digits if point is None else f"{digits[:point]}.{digits[point:]}"
    exponent = draw(st.none() | st.integers(-90, 85))
    return (
        draw(st.sampled_from(["", "-", "+"])) + mantissa + ("" if exponent is None else f"{draw(st.sampled_from('eE'))}{exponent}")
    )


def sets(kind: str, members: st.SearchStrategy[str]) -> st.SearchStrategy[Value]:
    """A set of that kind: at least one member, none twice."""
    return st.lists(members, min_size=1, max_size=4, unique=True).map(lambda values: {kind: values})


SCALARS: st.SearchStrategy[Value] = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    numbers().map(lambda text: {"N": text}),
    BINARIES.map(lambda text: {"B": text}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.just({"NULL": True}),
    sets("SS", TEXTS),
    sets("NS", st.integers(-999, 999).map(str)),
    sets("BS", BINARIES),
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(TEXTS, inner, max_size=3).map(lambda fields: {"M": fields}),
    ),
    max_leaves=6,
)
ITEMS: st.SearchStrategy[Item] = st.dictionaries(TEXTS.filter(bool), VALUES, max_size=4)
