"""`sql` against a dict: random histories of hard items, and what the views tell of them, images and typed columns alike."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from backstream.engine.local.memory import Memory
from backstream.model import moment
from backstream.model.columns.schema import ColumnSchema
from backstream.model.values import wire
from backstream.operations.base.compact import compact
from backstream.operations.sql.answers import rows_of
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.session import Session
from backstream.ports import Put
from backstream.vault.catalog import Layout
from kit import images, wide_items
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.stage import Stage

FEW, MANY = 6, 2_000


def lived(source: random.Random) -> Stage:
    """A table of hard items, in its vault, perhaps compacted."""
    clock = ManualClock()
    stage, alive = Stage(clock, layout=source.choice([Layout.LOG, Layout.ROWS]), shards=2), set[int]()
    for _ in range(source.randrange(25)):
        number = source.randrange(5)
        if number in alive and source.random() < 0.25:
            stage.delete([number])
            alive.remove(number)
        else:
            image = wide_items.item(source, number)
            stage.table.write([Put(image)])
            stage.model.append((int(clock.now()), wire.key_of(images.SCHEMA, image), image))
            alive.add(number)
        clock.move(source.choice([0, 1, 2_000]))
    clock.move(5)
    stage.follow()
    if source.random() < 0.3:
        clock.move(7_200)
        stage.follow()
        compact(stage.vault(), clock, memory=SMALL)
    return stage


def typed_item(columns: ColumnSchema, row: dict[str, Any], ending: str = "") -> dict[str, Any] | None:
    """The item that a row's typed columns tell; NULLs are told of the new image alone."""
    found: dict[str, Any] = {} if ending else {name: {"NULL": True} for name in row["_null"]}
    for each in columns.columns:
        plain = row[each.name + ending]
        if plain is not None:
            assert each.attribute not in found
            inner = base64.b64encode(plain).decode() if each.type == "B" else plain
            found[each.attribute] = {each.type: inner if each.type in {"S", "N", "B", "BOOL"} else json.loads(plain)}
    return found or None


def without_nulls(image: str | None) -> dict[str, Any] | None:
    return None if image is None else {name: each for name, each in wire.decode(image.encode()).items() if "NULL" not in each}


def check(seed: int) -> None:
    """One random history."""
    source = random.Random(seed)
    stage = lived(source)
    now = int(stage.clock.now())
    reading = TableReading(stage.vault(), stage.clock, now, memory=SMALL)
    with Session({"flights": reading}, Memory()) as session:

        def asked(query: str) -> list[dict[str, Any]]:
            found = list[dict[str, Any]]()

            def take(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
                found.clear()
                found.extend(dict(zip(schema.names, row, strict=True)) for row in rows_of(batches))

            session.run(query, take)
            return found

        state: dict[str, str] = {}
        for row in asked("SELECT * FROM changes ORDER BY micros, sequence"):
            assert row["old"] == state.get(row["key"])
            state = {key: image for key, image in {**state, row["key"]: row["new"]}.items() if image is not None}
            told = typed_item(reading.columns, row)
            assert told == wire.decode((row["new"] or row["key"]).encode())
            assert typed_item(reading.columns, row, "_old") == without_nulls(row["old"])
        assert {key.encode(): image.encode() for key, image in state.items()} == stage.expected(now)

        for at in {now, *(source.choice(stage.model)[0] for _ in range(2 if stage.model else 0))}:
            expected = stage.expected(at)
            rows = asked(f"SELECT * FROM items_at('{moment.iso(at)}')")
            assert {row["key"].encode(): row["image"].encode() for row in rows} == expected
            assert all(typed_item(reading.columns, row) == wire.decode(row["image"].encode()) for row in rows)
            then = f"since <= '{moment.iso(at)}' AND (until IS NULL OR until > '{moment.iso(at)}') AND image IS NOT NULL"
            assert {row["key"].encode(): row["image"].encode() for row in asked(f"FROM history WHERE {then}")} == expected
            early = asked(f"SELECT count(*) AS n FROM changes WHERE time <= '{moment.iso(at)}'")
            assert early[0]["n"] == sum(row["micros"] // 1_000_000 <= at for row in asked("SELECT micros FROM changes"))


@pytest.mark.parametrize("seed", range(FEW))
def test_every_view_tells_what_was_written(seed: int) -> None:
    check(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(FEW, MANY, 100))
def test_every_view_tells_what_was_written_in_two_thousand_tables(first: int) -> None:
    for seed in range(first, min(first + 100, MANY)):
        check(seed)
