"""`sql`: the views tell what the vault holds, read no more than they must, and let a query touch nothing else."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import BackstreamError, Damaged, Failed, GapInTheWay, OutsideWindow, Refused, UsageError
from backstream.model import moment
from backstream.model.values import wire
from backstream.operations.sql.answers import rows_of
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.session import Session
from backstream.operations.sql.spans import TimeRange, asked_for
from backstream.ports import Clock, Delete, ObjectStore, Put
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit import images, long_vault
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.images import image
from kit.losing import lose
from kit.stage import Stage

HOUR = 3_600


def reading_of(vault: TableVault, clock: Clock, **more: Any) -> TableReading:
    return TableReading(vault, clock, int(clock.now()), **more)


def asked(reading: TableReading, query: str) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()

    def take(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        found.clear()
        found.extend(dict(zip(schema.names, row, strict=True)) for row in rows_of(batches))

    with Session({reading.table: reading}, Memory()) as session:
        session.run(query, take)
    return found


def used_up(_: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    for _batch in batches:
        pass


def lived(layout: Layout, seed: int = 1) -> Stage:
    """Some hours of puts and deletes."""
    stage, source, alive = Stage(ManualClock(), layout=layout, shards=2), random.Random(seed), set[int]()
    for _ in range(60):
        number = source.randrange(12)
        if number in alive and source.random() < 0.4:
            stage.delete([number])
            alive.remove(number)
        else:
            stage.put([number])
            alive.add(number)
        stage.clock.sleep(source.choice([0, 1, 700, 4_000]))
    stage.clock.sleep(2)
    stage.follow()
    return stage


@pytest.mark.parametrize("layout", list(Layout))
def test_states_versions_and_changes_are_those_that_were_written(layout: Layout) -> None:
    stage = lived(layout)
    reading = reading_of(stage.vault(), stage.clock)
    source = random.Random(2)
    for at in (int(stage.clock.now()), *(source.choice(stage.model)[0] for _ in range(3))):
        rows = asked(reading, f"SELECT key, image FROM items_at('{moment.iso(at)}')")
        assert {each["key"].encode(): each["image"].encode() for each in rows} == stage.expected(at)
        versions = f"since <= '{moment.iso_micros(at * 1_000_000)}' AND coalesce(until, 'infinity') > '{moment.iso(at)}'"
        then = asked(reading, f"SELECT key, image FROM history WHERE image IS NOT NULL AND {versions}")
        assert {each["key"].encode(): each["image"].encode() for each in then} == stage.expected(at)

    changes = asked(reading, "SELECT * FROM changes ORDER BY micros")
    assert len(changes) == len(stage.model) == asked(reading, "SELECT count(*) AS n FROM changes")[0]["n"]
    state: dict[str, str | None] = {}
    for each in changes:
        assert state.get(each["key"]) == each["old"]
        state[each["key"]] = each["new"]
        assert each["zone"] == "z"
        assert wire.decode(each["key"].encode())["number"] == {"N": each["number"]}
    assert {key.encode(): new.encode() for key, new in state.items() if new} == stage.expected()


@pytest.mark.parametrize(
    "hours", [600, pytest.param(long_vault.HOURS, marks=pytest.mark.soak)], ids=["twenty-five days", "three years"]
)
def test_one_hour_of_long_ago_reads_that_hour_alone(hours: int) -> None:
    """As many requests for a long vault as for one of five days, and no segment of another hour."""
    sent = []
    for hours_of_one in (120, hours):
        clock = ManualClock()
        long = long_vault.lived(MemoryStore(clock), clock, hours_of_one)
        store = CountedStore(long.store)
        reading = reading_of(long.vault(store), clock)
        begin = long_vault.BEGAN + 50 * HOUR
        where = f"time >= '{moment.iso(begin)}' AND time < '{moment.iso(begin + HOUR)}'"
        rows = asked(reading, f"SELECT micros FROM (SELECT * FROM changes) WHERE {where} AND event <> 'REMOVE'")
        assert [each["micros"] // 1_000_000 for each in rows] == [long.second(50)]
        read = [name for kind, name in store.names if kind == "GET" and "/log/" in name and name.endswith(".ndjson.zst")]
        assert len(read) == 1
        sent.append(store.requests)
    assert sent[0] == sent[1]


def test_predicates_that_arrow_can_judge_are_narrowed_and_no_row_is_lost() -> None:
    schema = pa.schema([("time", pa.timestamp("us", "UTC")), ("micros", pa.int64()), ("event", pa.string())])
    whole = TimeRange(1_600_000_000, 1_700_000_000)
    begin = 1_650_000_000
    time, micros = pa.compute.field("time"), pa.compute.field("micros")
    inside = (time >= pa.scalar(begin * 1_000_000, schema.field("time").type)) & (micros < (begin + HOUR) * 1_000_000)
    found = asked_for(inside, schema, whole)
    assert len(found) == 1
    assert found[0].since <= begin < begin + HOUR <= found[0].until
    assert found[0].until - found[0].since <= HOUR + 2 * 60
    apart = inside | (micros == (begin + 10_000_000) * 1_000_000)
    assert [each.until - each.since <= HOUR + 120 for each in asked_for(apart, schema, whole)] == [True, True]
    for unknown in (None, pa.compute.field("event") == "INSERT"):
        assert asked_for(unknown, schema, whole) == [whole]
    assert asked_for(micros < 0, schema, whole) == []


def test_typed_columns_are_learned_from_every_row_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute that appears late, another type under one name, twins in case, NULL; and one read of the log for all of it."""
    stage = Stage(ManualClock(), shards=1)
    begin = int(stage.clock.now())
    table = [image("z", 1, total={"N": "1E+100"}), image("z", 1, total={"S": "ten"}, Total={"BOOL": True}, gone={"NULL": True})]
    for each in table:
        stage.table.write([Put(each)])
        stage.clock.sleep(HOUR)
    stage.table.write([Delete(images.key("z", 1))])
    stage.clock.sleep(5)
    stage.follow()
    store = CountedStore(stage.store)
    reading = reading_of(stage.vault(store), stage.clock)
    rows = asked(reading, "SELECT * FROM changes ORDER BY micros")
    twin = next(name for name in rows[0] if name.lower().startswith("total_") and name.endswith("_bool"))
    assert [each["total_n"] for each in rows] == ["1E+100", None, None]
    assert [each["total_n_old"] for each in rows] == [None, "1E+100", None]
    assert [each["total_s"] for each in rows] == [None, "ten", None]
    assert [each[twin] for each in rows] == [None, True, None]
    assert [each[f"{twin}_old"] for each in rows] == [None, None, True]
    assert [each["_null"] for each in rows] == [[], ["gone"], []]
    assert [each["zone_s"] for each in rows] == ["z", "z", "z"], "after a delete the key is left"
    segments = [count for (kind, name), count in store.names.items() if kind == "GET" and name.endswith(".ndjson.zst")]
    assert set(segments) == {1}

    first = f"SELECT total_n, total_s, nobodys_s FROM changes WHERE time < '{moment.iso(begin + 60)}'"
    fresh = reading_of(stage.vault(), stage.clock)
    assert asked(fresh, first) == [{"total_n": "1E+100", "total_s": None, "nobodys_s": None}], "an hour may lack what others have"
    assert any("nobodys_s: it is NULL" in note for note in fresh.notes)
    asked(fresh, f"SELECT total_s FROM items_at('{moment.iso(begin + HOUR)}')")
    monkeypatch.setattr(Memory, "bodies", 0)
    assert asked(reading_of(stage.vault(), stage.clock), "SELECT total_s FROM history WHERE total_s > ''") == [{"total_s": "ten"}]


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        ("SELEC 1", UsageError, "LINE 1: SELEC 1"),
        ("SELECT\n  foo FROM changes", UsageError, "LINE 2:   foo"),
        ("SELECT 1; SELECT 2", UsageError, "2 statements"),
        ("", UsageError, "no statement"),
        ("CREATE TABLE t AS SELECT 1", Refused, "CREATE"),
        ("INSERT INTO changes VALUES (1)", Refused, "INSERT"),
        ("COPY (SELECT 1) TO 'stolen.csv'", Refused, "COPY"),
        ("ATTACH 'other.db'", Refused, "ATTACH"),
        ("SET enable_external_access = true", Refused, "SET"),
        ("INSTALL httpfs", Refused, "LOAD"),
        ("EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", Refused, "CREATE"),
        ("/* - */ explain /* ( */ analyze -- x\n (FORMAT json) DROP VIEW changes", Refused, "DROP"),
        ("EXPLAIN DELETE FROM changes", Refused, "DELETE"),
        ("SELECT 1::UHUGEINT AS a", UsageError, "CAST it to VARCHAR"),
        ("SELECT {b: [1::BIGNUM]} AS a", UsageError, "the column a has the type BIGNUM"),
        ("SELECT * FROM read_text('/etc/passwd')", Refused, "file system operations are disabled"),
        ("SELECT * FROM read_parquet('s3://bucket/x')", BackstreamError, ""),
        ("SELECT * FROM '/etc/passwd'", BackstreamError, ""),
        ("SELECT * FROM glob('/*')", Refused, "disabled"),
        ("SELECT * FROM stage", UsageError, "does not exist"),
        ("SELECT * FROM items_at((SELECT max(time) FROM changes))", UsageError, "needs a moment"),
        ("SELECT * FROM items_at('2999-01-01T00:00:00Z')", OutsideWindow, "future"),
        ("SELECT * FROM items_at('1969-12-31T00:00:00Z')", UsageError, "not a moment"),
        ("SELECT CAST('a' AS INTEGER)", UsageError, "Could not convert"),
    ],
)
def test_a_query_reads_the_views_and_nothing_else(
    query: str, error: type[BackstreamError], said: str, opened: TableReading
) -> None:
    stage = opened  # a variable of the caller is no table
    with pytest.raises(error) as raised:
        asked(stage, query)
    assert said in str(raised.value)
    assert "Traceback" not in str(raised.value)


@pytest.fixture(scope="module")
def opened() -> TableReading:
    stage = Stage(ManualClock(), shards=1)
    stage.put([1])
    stage.clock.sleep(5)
    stage.follow()
    return reading_of(stage.vault(), stage.clock)


def test_what_cannot_be_read_is_named_and_left_out_only_on_demand() -> None:
    stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
    stage.put([1, 2])
    stage.clock.sleep(5)
    stage.follow()
    store: ObjectStore = stage.store
    row = next(each.name for each in store.list("flights/"))
    lose(store, row)
    with pytest.raises(Damaged, match="--skip-damaged") as raised:
        asked(reading_of(stage.vault(), stage.clock), "SELECT new FROM changes")
    assert row in str(raised.value)
    assert asked(reading_of(stage.vault(), stage.clock), "SELECT count(*) AS n FROM changes") == [{"n": 2}], "no image is needed"
    for query, left in (("SELECT new FROM changes", 2), ("SELECT image FROM items", 1), ("SELECT image FROM history", 2)):
        skipping = reading_of(stage.vault(), stage.clock, skip_damaged=True)
        rows = asked(skipping, query)
        assert len(rows) == left
        assert sum(None not in each.values() for each in rows) == 1
        assert row in skipping.damaged[0]


def test_a_full_disk_is_an_error_and_leaves_nothing(opened: TableReading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DuckDB may write no more than there is room for. The session stays usable, and its files go with it."""
    connect = duckdb.connect

    def small(database: str, config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        return connect(database, config={**config, "max_temp_directory_size": "1MB"})

    monkeypatch.setattr(duckdb, "connect", small)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = "SELECT repeat('x', 500) || i AS s FROM range(300000) t(i)"
    large = f"SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY s DESC) AS r, s FROM ({rows})) WHERE s > ''"
    with Session({"flights": opened}, Memory(64 << 20)) as session:
        with pytest.raises(Failed, match="BACKSTREAM_MEMORY_MB"):
            session.run(large, used_up)
        session.run("SELECT 1", used_up)
    assert not list(tmp_path.iterdir())


def test_a_gap_is_in_a_view_and_in_the_way_of_what_it_concerns() -> None:
    stage = Stage(ManualClock(), shards=1)
    stage.put([1])
    stage.follow()
    begin = int(stage.clock.now())
    stage.clock.sleep(HOUR)
    stage.vault().gaps.record(Gap("not kept", begin, begin + 60, stage.vault().catalog.stream, None, "9" * 30))
    stage.put([2])
    stage.clock.sleep(5)
    stage.follow()
    reading = reading_of(stage.vault(), stage.clock)
    assert [each["reason"] for each in asked(reading, "SELECT * FROM gaps")] == ["not kept"]
    with pytest.raises(GapInTheWay):
        asked(reading, "SELECT * FROM changes")
    later = f"SELECT count(*) AS n FROM changes WHERE time > '{moment.iso(begin + 120)}'"
    assert asked(reading, later) == [{"n": 1}]
    assert len(asked(reading_of(stage.vault(), stage.clock, allow_gap=True), "SELECT key FROM changes")) == 2
    assert images.SCHEMA.names == ("zone", "number")
