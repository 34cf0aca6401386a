"""The lines of a plan show the change itself, however long the values are, and in whatever order their parts come."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from backstream.apps.cli.differences import changed_lines

TAGS = [f"tag-{number:03}" for number in range(200)]
FIELDS = {f"field-{number}": {"S": "x" * 20} for number in range(50)}
LONG = "x" * 390_000
MOST = 400  # characters of a line


def item(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"id": {"S": "a"}, "v": value})


def backwards(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"M": {**dict(reversed(fields.items())), **more}}


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"SS": TAGS}, {"SS": [*TAGS[:7:-1], *TAGS[:7], "new"]}, ('"tag-007"', '"new"')),
        ({"NS": [f"{number}" for number in range(100)]}, {"NS": [f"{number}.0" for number in range(101)]}, ("[]", '["100.0"]')),
        (
            {"BS": ["AA==", *(f"{number:04}" for number in range(90))]},
            {"BS": [f"{number:04}" for number in range(90)]},
            ("AA==", "[]"),
        ),
        ({"M": FIELDS}, backwards(FIELDS, **{"field-3": {"S": "y"}}), ('"field-3":{"S":"xxx', '"field-3":{"S":"y"}')),
        ({"M": {"in": {"M": FIELDS}}}, {"M": {"in": backwards(FIELDS, more={"N": "1"})}}, ("{", '"more":{"N":"1"}')),
        ({"S": LONG}, {"S": LONG[:200_000] + "Y" + LONG}, ("xxx", "xxYxx")),
        ({"L": [{"S": LONG}, {"S": "b"}]}, {"L": [{"S": LONG}, {"S": "c"}]}, ('"b"', '"c"')),
        ({"S": LONG}, {"N": "5"}, ('{"S":"xxx', '{"N":"5"}')),
        ({"M": FIELDS}, {"M": {}}, ('"field-0"', '{"M":{}}')),
    ],
)
def test_a_long_value_shows_what_differs(old: dict[str, Any], new: dict[str, Any], shown: tuple[str, str]) -> None:
    (line,) = changed_lines(item(old), item(new), cut=True)
    before, after = line.split(" -> ")
    assert len(line) < MOST
    assert shown[0] in before
    assert shown[1] in after


def test_the_same_value_in_another_spelling_has_no_line() -> None:
    assert changed_lines(item({"NS": ["1", "2.50"]}), item({"NS": ["2.5", "1.0"]}), cut=True) == []
