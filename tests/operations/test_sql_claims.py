"""`sql`: what is not known is not claimed, names never collide, and a query is of one moment."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.verbs.tabular.querying import SqlSession
from backstream.engine.local.memory import Memory
from backstream.errors import Failed, UsageError
from backstream.model import moment
from backstream.model.columns import schema as schemas
from backstream.model.columns.schema import Column
from backstream.model.tables.creation import on_demand
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.sql import columns
from backstream.operations.sql.session import Session
from backstream.operations.sql.typed import is_name
from backstream.ports import Put
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.stage import Stage
from operations.test_export import changes_of, rows_of
from operations.test_retain import DAY, Kept
from operations.test_sql import asked, reading_of, used_up

STILL = "SELECT key FROM history WHERE until IS NULL AND image IS NOT NULL"


def begun() -> Stage:
    """Three items, and a tail that has seen them."""
    stage = Stage(ManualClock(), shards=1)
    stage.clock.sleep(10)
    stage.put([1, 2, 3])
    stage.clock.sleep(10)
    stage.follow()
    return stage


def keys(rows: list[dict[str, Any]]) -> set[bytes]:
    return {each["key"].encode() for each in rows}


def then(at: int) -> str:
    there = f"since <= '{moment.iso(at)}' AND coalesce(until > '{moment.iso(at)}', true)"
    return f"SELECT key FROM history WHERE image IS NOT NULL AND {there}"


# --- what is not known ----------------------------------------------------------------------------------------------------------


def test_items_of_a_table_that_was_created_again_are_not_said_to_be_there_still() -> None:
    stage = begun()
    before, old = int(stage.clock.now()) - 1, stage.expected()
    stage.table.delete()
    stage.model.clear()
    stage.clock.sleep(600)
    stage.table.create(on_demand(images.SCHEMA))
    stage.table.enable_stream()
    created = int(stage.clock.now())
    stage.clock.sleep(5)
    stage.put([3, 7])
    stage.clock.sleep(5)
    stage.follow()
    reading = reading_of(stage.vault(), stage.clock)
    assert keys(asked(reading, STILL)) == set(stage.expected())
    assert keys(asked(reading, then(before))) == set(old)
    assert keys(asked(reading, then(created))) == keys(asked(reading, f"FROM items_at('{moment.iso(created)}')")) == set()
    assert {each["note"] for each in asked(reading, "SELECT note FROM history WHERE number = '1'")} == {
        f"no change says when it went: the table was created again at {moment.iso(created)}"
    }


def test_an_item_that_a_base_backup_did_not_find_is_not_said_to_be_there_still() -> None:
    """Its delete is lost in a gap; another item's is not, and that one ends with it."""
    stage = begun()
    stage.delete([3])
    stage.clock.sleep(5)
    stage.follow()
    stage.table.disable_stream()
    stage.delete([1])
    stage.clock.sleep(100)
    stage.table.enable_stream()
    stage.clock.sleep(5)
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    stage.clock.sleep(5)
    stage.follow()
    reading = reading_of(stage.vault(), stage.clock)
    assert keys(asked(reading, STILL)) == set(stage.expected()) == keys(asked(reading, "FROM items"))
    ends = asked(reading, "SELECT number, event, until IS NULL AS open, note FROM history ORDER BY number, since")
    assert [(each["number"], each["event"], each["open"]) for each in ends] == [
        ("1", "INSERT", False),
        ("2", "INSERT", True),
        ("3", "INSERT", False),
        ("3", "REMOVE", True),
    ]
    assert "did not find it" in ends[0]["note"]
    assert [each["note"] for each in ends[1:]] == [None, None, None]


def test_a_history_with_a_horizon_is_right_from_there_on_and_says_so() -> None:
    clock = ManualClock(1_764_000_000.0)
    stage = Kept(clock, layout=Layout.ROWS, store=MemoryStore(clock))
    stage.live(5)
    stage.retain(2 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    reading = reading_of(stage.vault(), stage.clock)
    for at in stage.moments(horizon.second)[::5]:
        assert keys(asked(reading, then(at))) == set(stage.expected(at))
    assert keys(asked(reading, STILL)) == set(stage.expected())
    assert f"history is kept from {horizon.since}, the horizon" in reading.notes
    earlier = asked(reading, f"SELECT count(*) AS n FROM changes WHERE time > '{moment.iso(horizon.second - DAY)}'")
    assert earlier == [{"n": sum(second > horizon.second for second, _, _ in stage.model)}]
    assert any("none before" in note for note in reading.notes)


def test_doubts_about_a_history_are_said() -> None:
    stage = begun()
    stage.clock.sleep(100)
    reading = reading_of(stage.vault(), stage.clock)
    asked(reading, "SELECT key FROM history")
    assert any(note.startswith("the vault is sure to hold everything up to") for note in reading.notes)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("time > '2001-01-01'", True),
        ("time < now() - INTERVAL 3 YEAR", True),
        ("micros BETWEEN 5 AND 6", True),
        ("event = 'INSERT'", False),
        ("time >= '{since}'", False),
        ("time > '{since}' AND event = 'INSERT'", False),
    ],
)
def test_a_question_about_times_before_the_first_change_is_told_that_nothing_is_known_of_them(where: str, *, said: bool) -> None:
    stage = begun()
    reading, since = reading_of(stage.vault(), stage.clock), moment.iso(stage.vault().coverage.followed_from)
    asked(reading, f"SELECT count(*) FROM changes WHERE {where.format(since=since)}")
    assert any(f"since {since}, none before" in note for note in reading.notes) is said


def test_a_name_that_may_be_an_attributes_without_a_column_is_not_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MOST_COLUMNS", 4)
    stage = begun()
    stage.table.write([Put(images.image("z", 9, **{name: {"S": name} for name in ("a", "b", "c")}))])
    stage.clock.sleep(5)
    stage.follow()
    reading = reading_of(stage.vault(), stage.clock)
    assert len(asked(reading, "SELECT key FROM changes WHERE zone_s = 'z'")) == 4
    with pytest.raises(UsageError, match="c_s may be one of the others"):
        asked(reading, "SELECT key FROM changes WHERE c_s = 'c'")
    assert len(asked(reading, "SELECT key FROM changes WHERE new ->> '$.\"c\".S' = 'c'")) == 1


@pytest.mark.parametrize("layout", list(Layout))
def test_windows_gaps_and_actors_are_those_of_the_vault(layout: Layout, tmp_path: Path) -> None:
    """An item names its writer; who deleted it is not known. An export has the same names."""
    stage = Stage(ManualClock(), shards=1, layout=layout)
    init(stage.store, stage.table, InitOptions(actor_attribute="by"))
    for who in ("ann", "bob"):
        stage.table.write([Put(images.image("z", 1, by={"S": who}))])
        stage.clock.sleep(5)
    stage.delete([1])
    stage.clock.sleep(5)
    stage.follow()
    vault = stage.vault()
    reading, window = reading_of(vault, stage.clock), vault.window(stage.clock.now())
    wanted = [{"actor": "ann"}, {"actor": "bob"}, {"actor": None}]
    for view, time in (("changes", "time"), ("history", "since")):
        assert asked(reading, f"SELECT actor FROM {view} ORDER BY {time}") == wanted
    seconds = "SELECT epoch_us(since) // 1000000 AS since, epoch_us(until) // 1000000 AS until FROM"
    assert asked(reading, f"{seconds} windows") == [{"since": each.since, "until": each.until} for each in window.ranges]
    assert len(window.ranges) == 1
    assert asked(reading, f"{seconds} gaps") == []
    changes_of(stage, vault.coverage.followed_from - 1, int(stage.clock.now()), tmp_path)
    assert [{"actor": each["actor"]} for each in rows_of(tmp_path)[1]] == wanted


# --- one moment -----------------------------------------------------------------------------------------------------------------


def test_a_query_is_of_one_moment_however_often_it_is_run() -> None:
    """A state of `now()` was another one each time that its columns were known, so a large one was never told."""
    stage = begun()
    reading = reading_of(stage.vault(), stage.clock)
    last = datetime.datetime.fromtimestamp(reading.now, datetime.UTC).replace(microsecond=999_999)
    functions = ("now()", "current_timestamp", "get_current_timestamp()", "transaction_timestamp()")
    for each in functions:
        assert asked(reading, f"SELECT {each} AS a") == [{"a": last}]
    for each in ("current_date", "today()"):
        assert asked(reading, f"SELECT {each} AS a") == [{"a": last.date()}]
    assert asked(reading, "SELECT localtimestamp AS a") == [{"a": last.replace(tzinfo=None)}]
    assert keys(asked(reading, "SELECT * FROM items_at(now())")) == set(stage.expected())
    assert len(asked(reading, "SELECT * FROM changes WHERE time BETWEEN now() - INTERVAL 1 DAY AND now()")) == 3


def test_an_answers_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    stage = begun()
    with Session({"flights": reading_of(stage.vault(), stage.clock)}, Memory()) as session:
        to = tmp_path / "missing" / "answer.csv"
        with pytest.raises(Failed, match=r"answer\.csv cannot be written: No such file"):
            SqlSession(session, [], []).write_file("SELECT 1 AS a", to, "csv")
        assert SqlSession(session, [], []).write_file("SELECT 1 AS a", tmp_path / "answer.csv", "csv") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["answer.csv"]


# --- names ----------------------------------------------------------------------------------------------------------------------


def test_tables_of_any_names_are_schemas() -> None:
    """DuckDB has schemas and databases of its own, and tells no case."""
    stage = begun()
    reading = reading_of(stage.vault(), stage.clock)
    own = ["main", "temp", "system", "memory", "pg_catalog", "information_schema"]
    names = [*own, "Orders", "orders", "ORDERS", "orders_2", "select", "a-b.c", "a.b"]
    with Session(dict.fromkeys(names, reading), Memory()) as session:
        shown = {each.rpartition(".")[0] for each in session.schemas()}
        assert shown == {f'"{each}_2"' for each in own} | {
            f'"{each}"' for each in ("Orders", "orders_3", "ORDERS_4", "orders_2", "select", "a-b.c", "a.b")
        }
        session.run(" UNION ALL ".join(f"SELECT number FROM {each}.items_at(now())" for each in sorted(shown)), used_up)
    for name in ("main", "temp", "a.b"):
        with Session({name: reading}, Memory()) as session:
            session.run("SELECT number FROM changes", used_up)


def test_a_keys_column_has_a_name_of_its_own() -> None:
    schema = KeySchema(KeyAttribute("key_since", "S"), KeyAttribute("since", "S"))
    assert [field.name for field, _ in columns.of_keys(schema)] == ["key_since", "key_key_since"]
    schema = KeySchema(KeyAttribute("Time", "S"), KeyAttribute("key_time", "S"))
    assert [field.name for field, _ in columns.of_keys(schema)] == ["key_Time", "key_key_time"]
    schema = KeySchema(KeyAttribute("id_s", "S"), KeyAttribute("ID_S", "N"))
    assert [field.name for field, _ in columns.of_keys(schema)] == ["id_s_key", "key_ID_S_key"]
    assert not any(is_name(field.name) for field, _ in columns.of_keys(schema)), "another attribute may get that name"
    assert is_name(Column("key_id_s", "key_id", "S").name)
