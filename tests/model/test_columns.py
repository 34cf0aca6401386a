"""Typed columns: every value of every item is in exactly one of them, exactly, under a name that no other column has."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.columns.names import column_name
from backstream.model.columns.schema import MOST_COLUMNS, ColumnSchema, from_json, to_json
from backstream.model.columns.values import decimal_of, row_of, rows_of, typed
from backstream.model.values import wire
from kit.strategies import TEXTS, VALUES, Item

# Few names, so that one has values of several types; twins by case, dots, no letters at all, names like our own.
NAMES = (
    st.sampled_from(["a", "A", "a.b", "a-b", "a_b", "", "é", "é.", "key", "_null", "a_s", "x" * 51, "X" * 51, "1", "new"]) | TEXTS
)
ITEMS: st.SearchStrategy[list[Item]] = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=6)


def plainly(kind: str, inner: Any) -> Any:
    if kind == "B":
        return base64.b64decode(inner)
    return inner if kind in {"S", "N", "BOOL"} else json.dumps(inner, ensure_ascii=False, separators=(",", ":"))


@given(ITEMS, ITEMS)
def test_every_value_is_in_the_one_column_of_its_type_and_nowhere_else(first: list[Item], second: list[Item]) -> None:
    """Two batches: the second one's columns are added, and none of the first one's changes."""
    schema = ColumnSchema()
    for items in (first, second):
        before = schema
        found = typed(rows_of([wire.encode(item) for item in items]), schema)
        schema = found.schema
        assert schema.columns[: len(before.columns)] == before.columns
        seen: list[Item] = [{name: {"NULL": True} for name in names} for names in found.nulls]
        for column in schema.columns:
            for place, value in enumerate(found.values.get(column.name, ())):
                if value is not None:
                    assert column.attribute not in seen[place], "one attribute in two columns"
                    assert value == plainly(column.type, items[place][column.attribute][column.type])
                    seen[place][column.attribute] = items[place][column.attribute]
        assert seen == items
        assert found.unfit == [0] * len(items)
    assert from_json(to_json(schema)) == schema


@given(st.lists(NAMES, max_size=30))
def test_names_are_ascii_and_unique_without_regard_to_case(attributes: list[str]) -> None:
    schema = ColumnSchema().with_kinds((name, kind) for name in attributes for kind in ("S", "N", "BOOL"))
    names = [each.name for each in schema.columns]
    assert len({name.lower() for name in names}) == len(names) == 3 * len(set(attributes))
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,119}", name) for name in names)


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("status", "status_s"),
        ("customerId", "customerId_s"),
        ("a.b", "a_b_e45e4d9e_s"),
        ("", "c_e3b0c442_s"),
        ("2fa", "c_2fa_9d4ee4a0_s"),
        ("naïve", "na_ve_d7c73d8f_s"),
        ("x" * 50, "x" * 50 + "_s"),
        ("x" * 51, "x" * 36 + "_5b2a4d7e_s"),
    ],
)
def test_names_that_engines_cannot_read_get_a_part_of_their_digest(attribute: str, name: str) -> None:
    assert re.sub("_[0-9a-f]{8}_", "_#_", column_name(attribute, "_s", ())) == re.sub("_[0-9a-f]{8}_", "_#_", name)


def test_of_two_names_that_differ_in_case_the_later_one_gets_a_suffix_and_keeps_it() -> None:
    schema = ColumnSchema().with_kinds([("Status", "S")])
    later = schema.with_kinds([("status", "S"), ("STATUS", "S"), ("Status", "N")])
    assert [each.attribute for each in later.columns] == ["Status", "status", "STATUS", "Status"]
    assert later.columns[0].name == "Status_s"
    assert re.fullmatch("status_[0-9a-f]{8}_s", later.columns[1].name)
    assert re.fullmatch("STATUS_[0-9a-f]{8}_s", later.columns[2].name)
    assert later.with_kinds([("status", "S")]) is later


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("1.50", 2, "1.50"),
        ("1E+2", 2, "100.00"),
        ("-0.0", 2, "0.00"),
        ("1.505", 2, None),
        ("9" * 36 + ".99", 2, "9" * 36 + ".99"),
        ("9" * 37, 2, None),
        ("9" * 38, 0, "9" * 38),
        ("1E+125", 0, None),
        ("0.1", 0, None),
        ("1E-38", 38, "0." + "0" * 37 + "1"),
        ("1", 38, None),
    ],
)
def test_a_decimal_is_the_number_exactly_or_it_is_not_there(text: str, scale: int, value: str | None) -> None:
    found = decimal_of(text, scale)
    assert (None if found is None else format(found, "f")) == value


def test_a_new_scale_is_a_new_column_and_what_does_not_fit_is_counted() -> None:
    schema = ColumnSchema().with_scales({"amount": 2})
    rows = [row_of(b'{"amount":{"N":"%s"}}' % text) for text in (b"1.5", b"1.505", b"1E+125")]
    found = typed([*rows, row_of(b'{"amount":{"S":"many"}}')], schema.with_scales({"amount": 3}))
    assert [each.name for each in found.schema.columns] == ["amount_d2", "amount_d3", "amount_s"]
    assert found.values["amount_d2"] == [Decimal("1.50"), None, None, None]
    assert found.values["amount_d3"] == [Decimal("1.500"), Decimal("1.505"), None, None]
    assert found.values["amount_s"] == [None, None, None, "many"]
    assert found.unfit == [0, 1, 2, 0]


@pytest.mark.parametrize("scale", [-1, 39])
def test_a_scale_that_no_decimal_has_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match="not a scale"):
        ColumnSchema().with_scales({"amount": scale})


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b'{"S":null}',
        b'{"S":"a","N":"1"}',
        b'{"X":"a"}',
        b'"a"',
        b'{"M":[]}',
        b'{"L":null}',
        b'{"B":"?"}',
        b'{"L":"a"}',
        b'{"S":"a","NULL":true}',
        b'{"SS":["\xff"]}',
    ],
)
def test_what_is_not_one_typed_value_is_damaged(value: bytes) -> None:
    with pytest.raises(Damaged):
        typed([row_of(b'{"id":{"S":"a"},"x":%s}' % value)], ColumnSchema())
    with pytest.raises(Damaged):
        typed(rows_of([b'{"id":{"S":"a"}}', b'{"id":{"S":"a\\":"},"x":%s}' % value]), ColumnSchema())
    with pytest.raises(Damaged):
        typed(rows_of([b'{"id":{"S":"a\\":"}}', b'{"id":{"S" :"b"},"x":%s}' % value]), ColumnSchema())


def test_what_has_no_room_is_in_no_column_and_the_schema_says_that_it_is_full() -> None:
    schema = ColumnSchema().with_kinds((f"a{number}", "S") for number in range(MOST_COLUMNS + 5))
    assert len(schema.columns) == MOST_COLUMNS
    assert schema.is_full
    found = typed([row_of(b'{"a0":{"S":"x"},"new":{"S":"y"},"gone":{"NULL":true}}')], schema)
    assert (found.schema, found.values["a0_s"], found.nulls) == (schema, ["x"], [["gone"]])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"format":2,"columns":[]}',
        b'{"format":1,"columns":[{"name":"a_s","attribute":"a","type":"X"}]}',
        b'{"format":1,"columns":[{"name":"a_s","attribute":"a","type":"S"},{"name":"A_S","attribute":"A","type":"S"}]}',
    ],
)
def test_a_stored_schema_that_is_none_is_damaged(body: bytes) -> None:
    with pytest.raises(Damaged):
        from_json(body)
