"""Ten questions on many changes: `sql`, pyiceberg's scan of an export, and Spark (tests/spark/test_questions.py) answer alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from backstream.engine.local.memory import Memory
from backstream.model.columns.schema import CHANGES
from backstream.operations.changes import ChangesContext
from backstream.operations.export.iceberg.catalogs import open_catalog
from backstream.operations.export.iceberg.follow import append_changes, source_of
from backstream.operations.export.iceberg.table import IcebergTable
from backstream.operations.export.run import ExportOptions
from backstream.operations.sql.answers import rows_of
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.session import Session
from backstream.stores.directory import DirectoryStore
from backstream.vault.table_vault import TableVault
from kit import big_vault
from kit.clock import ManualClock

NAME = "backstream.big_changes"
HALF = "CAST(CAST(version_n AS BIGINT) AS DECIMAL(38,0))"
# In SQL that DuckDB and Spark understand alike. `changes` is the table; each answer is sorted by all of its columns.
QUESTIONS = (
    "SELECT event, count(*) AS n FROM changes GROUP BY event",
    "SELECT carrier_s, count(*) AS n, count(DISTINCT key) AS items FROM changes GROUP BY carrier_s",
    f"SELECT origin_s, sum({HALF}) AS total, max(micros) AS last FROM changes GROUP BY origin_s",
    "SELECT key, count(*) AS n FROM changes GROUP BY key ORDER BY n DESC, key LIMIT 20",
    "SELECT count(DISTINCT key) AS items, min(micros) AS first, max(micros) AS last FROM changes",
    "SELECT CAST(floor(micros / 60000000) AS BIGINT) AS minute, count(*) AS n FROM changes GROUP BY 1",
    "SELECT count(*) AS n FROM changes WHERE array_contains(changed, 'odd') AND carrier_s = 'A0'",
    """SELECT one, other, count(*) AS n FROM (
        SELECT lag(carrier_s) OVER (PARTITION BY key ORDER BY micros, sequence) AS one, carrier_s AS other FROM changes) AS pairs
       WHERE one < '10' AND other < '10' GROUP BY one, other""",
    """SELECT count(odd_s) AS texts, count(odd_n) AS numbers, count(odd_l) AS lists, count(odd_b) AS bytes,
        count(odd_bool) AS truths, max(odd_n) AS number, max(CAST(odd_n AS DECIMAL(38,0))) AS most FROM changes""",
    "SELECT sum(length(new)) AS after, sum(length(old)) AS before FROM changes WHERE micros >= 1793500610000000 AND event <> 'X'",
)

Ask = Callable[[str], list[tuple[Any, ...]]]


def by_sql(vault: TableVault, clock: ManualClock) -> Iterator[Ask]:
    """`backstream sql`."""
    with Session({"big": TableReading(vault, clock, int(clock.now()), memory=Memory(128 << 20))}, Memory()) as session:

        def ask(question: str) -> list[tuple[Any, ...]]:
            found = list[tuple[Any, ...]]()

            def take(_: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
                found.clear()
                found.extend(rows_of(batches))

            session.run(question, take)
            return found

        yield ask


def by_iceberg(table: Any) -> Iterator[Ask]:
    """The batches of pyiceberg's scan."""
    connection = duckdb.connect()
    connection.register("changes", table.scan().to_arrow())
    yield lambda question: connection.execute(question).fetchall()
    connection.close()


def by_spark(table: Any, master: str) -> Iterator[Ask]:
    """Spark, over the data files of the table's current snapshot."""
    sessions: Any = importlib.import_module("pyspark.sql")
    spark = sessions.SparkSession.builder.master(master).config("spark.sql.session.timeZone", "UTC").getOrCreate()
    files = table.inspect.files().column("file_path").to_pylist()
    spark.read.parquet(*files).createOrReplaceTempView("changes")
    yield lambda question: [tuple(row) for row in spark.sql(question).collect()]


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return sorted(tuple(str(int(each) if isinstance(each, Decimal) else each) for each in row) for row in rows)


def ten_questions(items: int, changes: int, folder: Path, *, spark: str | None = None) -> list[str]:
    """Asks each engine, and returns their names. `spark`: a cluster's master."""
    clock = ManualClock(big_vault.BEGAN - 60)
    (folder / "vault").mkdir()
    vault = big_vault.vault_in(DirectoryStore(folder / "vault", clock))
    big_vault.fill(vault, items, changes)
    last = big_vault.last_second(changes)
    clock.move(last + 60 - clock.now())
    table = IcebergTable(open_catalog(None, f"file://{folder}", {}), NAME, source_of(vault), "changes", CHANGES)
    append_changes(vault, table, ChangesContext(clock, Memory()), ExportOptions(allow_gap=True), until=last)
    exported = open_catalog(None, f"file://{folder}", {}).load_table(NAME)

    engines = {"sql": by_sql(vault, clock), "iceberg": by_iceberg(exported)}
    engines |= {} if spark is None else {"spark": by_spark(exported, spark)}
    answers = [[comparable(ask(question)) for question in QUESTIONS] for engine in engines.values() for ask in engine]
    for number, question in enumerate(QUESTIONS):
        assert len({str(each[number]) for each in answers}) == 1, question
    assert answers[0][0] == [("MODIFY", str(changes))]
    return [*engines]


@pytest.mark.soak
@pytest.mark.parametrize(("items", "changes"), [(500, 20_000), (100_000, 1_000_000)])
def test_ten_questions_have_one_answer(items: int, changes: int, tmp_path: Path) -> None:
    assert ten_questions(items, changes, tmp_path) == ["sql", "iceberg"]
