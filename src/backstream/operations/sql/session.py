"""One DuckDB that knows the vault's views and nothing else: no files, no extensions, no settings that a query could change."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from functools import partial
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import duckdb
import pyarrow as pa

from backstream.engine.local.memory import MEGABYTE, Memory
from backstream.errors import BackstreamError, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.operations.sql import facts_views
from backstream.operations.sql.changes_view import ChangesView
from backstream.operations.sql.columns import Columns
from backstream.operations.sql.history_view import HistoryView
from backstream.operations.sql.items_view import ItemsView
from backstream.operations.sql.learning import Unlearned
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.scan import Asked, Read, Scan
from backstream.operations.sql.statements import check, explained
from backstream.operations.sql.typed import OLD, is_name
from backstream.temporary_folders import TemporaryFolder

BATCH = 2_000  # rows of an answer that come together
LEAST = 64 * MEGABYTE  # with less, DuckDB cannot even sort
CLOSED = (  # in this order: with the last one, nothing outside can be reached, and that cannot be undone
    "TimeZone = 'UTC'",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "allow_persistent_secrets = false",
    "enable_external_access = false",
)
# A query may be run again once its columns are known, with the same times then. DuckDB's own functions would go on.
CLOCK = ("now", "get_current_timestamp", "transaction_timestamp")
OTHER_CLOCKS = (("current_date", "DATE"), ("today", "DATE"), ("current_localtimestamp", "TIMESTAMP"))
OWN = frozenset({"main", "temp", "system", "memory", "pg_catalog", "information_schema"})  # DuckDB's schemas and databases
MOMENTS = "moments"  # the scan behind `items_at`
VIEWS = ("changes", "items", "history", "gaps", "windows")


Take = Callable[[pa.Schema, Iterator[pa.RecordBatch]], None]
_NOT_IN_ARROW = re.compile(r"\b(?:UHUGEINT|BIGNUM|BIT|VARIANT|TIME WITH TIME ZONE)\b")
_UNKNOWN = re.compile(r'(?:Referenced column|a column named) "([^"]+)"')


class _View(Protocol):
    def columns(self, named: Collection[str]) -> Columns: ...
    def read(self, made: Columns, asked: Asked) -> Iterator[pa.RecordBatch]: ...


class _TableViews:
    """One table's views. They outlive a query, because they remember what they have learned."""

    def __init__(self, name: str, reading: TableReading, at: int | None) -> None:
        self.name = name
        self.reading = reading
        items = ItemsView(reading, reading.now if at is None else at)
        self.views: dict[str, _View] = {
            "changes": ChangesView(reading),
            "items": items,
            MOMENTS: ItemsView(reading),
            "history": HistoryView(reading),
            **({} if at is None else {"items_at": items}),
        }


class _UnknownColumn(Exception):
    """A query names a column that is not known. It may be a typed one."""

    def __init__(self, name: str, error: duckdb.Error) -> None:
        super().__init__(name)
        self.name = name
        self.error = error


class Session:
    """Answers queries about some tables. `readings`: by the name of each table. `at`: the moment of the view `items`.

    A query names the views of the first table by their own names, and each table's views as `"TABLE".changes`. The time of the
    query (`now()`) is the last microsecond of the second at which the reading began.
    """

    def __init__(self, readings: Mapping[str, TableReading], memory: Memory, *, at: int | None = None) -> None:
        self._readings = readings = dict(zip(schema_names(readings), readings.values(), strict=True))
        self._failure: BaseException | None = None
        self._stack = ExitStack()
        folder = self._stack.enter_context(TemporaryFolder())
        self._connection = self._stack.enter_context(_connected(folder.path, memory))
        _set_clock(self._connection, max((each.now for each in readings.values()), default=0))
        for name in readings:
            self._connection.execute(f"CREATE SCHEMA {_name(name)}")
        self._tables = [_TableViews(name, reading, at) for name, reading in readings.items()]
        self._define(())
        if len(readings) == 1:
            self._connection.execute(f"SET search_path = {_text(_name(next(iter(readings))))}")
        self._connection.execute("SET lock_configuration = true")

    def _define(self, named: Collection[str]) -> None:
        """Defines all views anew, over scans in the schema of temporary objects. `named`: names of typed columns that are used."""
        for number, table in enumerate(self._tables):
            for view in table.views:
                self._view(number, table, view, named)
            facts = facts_views.GAPS, partial(facts_views.gaps, table.reading)
            self._create(table.name, "gaps", self._scan(number, "gaps", *facts))
            facts = facts_views.WINDOWS, partial(facts_views.windows, table.reading)
            self._create(table.name, "windows", self._scan(number, "windows", *facts))

    def _view(self, number: int, table: _TableViews, view: str, named: Collection[str]) -> None:
        source = table.views[view]
        made = source.columns(named)
        scan = self._scan(number, view, made.schema, partial(source.read, made))
        if view != MOMENTS:
            self._create(table.name, view, scan)
            return
        self._connection.execute(
            f"CREATE OR REPLACE MACRO {_name(table.name)}.items_at(at_moment) AS TABLE SELECT * EXCLUDE (moment) FROM {scan} "  # noqa: S608 - quoted
            "WHERE moment = date_trunc('second', CAST(at_moment AS TIMESTAMPTZ))"
        )

    def _create(self, name: str, view: str, scan: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE VIEW {_name(name)}.{view} AS SELECT * FROM {scan}")  # noqa: S608 - quoted

    def _scan(self, number: int, view: str, schema: pa.Schema, read: Read) -> str:
        name = f"backstream_{number}_{view}"
        self._connection.register(name, Scan(schema, read, self._note))
        return f"temp.{name}"

    def _note(self, error: BaseException) -> None:
        self._failure = self._failure or error

    # --- queries ---

    def schemas(self) -> dict[str, list[tuple[str, str]]]:
        """Returns the columns of every view. With several tables, the name of a view begins with its table's."""
        several = len(self._readings) > 1
        return {
            (f"{_name(name)}.{view}" if several else view): self.schema(name, view) for name in self._readings for view in VIEWS
        }

    def schema(self, name: str, view: str) -> list[tuple[str, str]]:
        """Returns the columns of a view: their names and DuckDB's types."""
        found = self._connection.execute(f"DESCRIBE {_name(name)}.{view}").fetchall()
        return [(str(row[0]), str(row[1])) for row in found]

    def run(self, text: str, take: Take) -> None:
        """Runs one query, and calls `take` with the columns and rows of its answer.

        `take` may be called again before it has all rows, and begins anew then. Raises UsageError for a broken query, Refused for
        one that writes or reads anything else, and the readers' errors.
        """
        statement = check(self._connection, text)
        named: list[str] = []
        while True:
            self._define(named)
            try:
                self._run(statement, take)
            except Unlearned as unlearned:
                unlearned.learn()
            except _UnknownColumn as unknown:
                if unknown.name in named:
                    raise explained(unknown.error) from unknown.error
                named.append(unknown.name)
            else:
                self._check_unknown(named)
                self._say_unknown(named)
                return

    def _run(self, statement: str, take: Take) -> None:
        self._failure = None
        try:
            answer = self._bound(statement)
            _check_types(answer)
            with answer.to_arrow_reader(BATCH) as reader:
                take(reader.schema, self._batches(reader))
        except duckdb.Error as error:
            raise self._cause(error) from error

    def _check_unknown(self, named: Sequence[str]) -> None:
        """Raises UsageError for a name that may be an attribute's that got no column: its items may have it all the same."""
        known = {each.name.lower() for table in self._tables for each in table.reading.columns.columns}
        unknown = [each for each in named if each.lower().removesuffix(OLD) not in known]
        for table in self._tables:
            if unknown and table.reading.columns.is_full:
                raise UsageError(
                    f"{table.reading.table} has more attributes than typed columns: {unknown[0]} may be one of the others",
                    hint="The images have all of them: new ->> '$.\"NAME\".S'.",
                )

    def _say_unknown(self, named: Sequence[str]) -> None:
        """Notes the names that no item has: a column of theirs is NULL."""
        for table in self._tables:
            known = {each.name.lower() for each in table.reading.columns.columns}
            unknown = [each for each in named if each.lower().removesuffix(OLD) not in known]
            close = get_close_matches(unknown[0].lower().removesuffix(OLD), known) if unknown else []
            also = f" (similar: {', '.join(close)})" if close else ""
            table.reading.note(
                [f"no item of {table.reading.table} that was read has the column {each}: it is NULL{also}" for each in unknown]
            )

    def _bound(self, statement: str) -> duckdb.DuckDBPyRelation:
        """Returns the query as a relation, whose rows come as they are read.

        The errors of `sql` do not tell the place in the query; the errors of `execute` do.
        """
        try:
            return self._connection.sql(statement)
        except (duckdb.BinderException, duckdb.CatalogException):
            self._connection.execute(statement)
            raise

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except (pa.ArrowException, OSError) as error:
            raise self._cause(error) from error

    def _cause(self, error: Exception) -> BaseException:
        """Returns what ended a query: an error of our readers, which DuckDB has only passed on, or its own."""
        if self._failure is not None:
            return self._failure
        if isinstance(error, duckdb.BinderException) and (found := _UNKNOWN.search(str(error))) and is_name(found[1]):
            return _UnknownColumn(found[1], error)
        return explained(error) if isinstance(error, duckdb.Error) else _of_text(str(error))

    def close(self) -> None:
        """Leaves nothing behind."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _connected(spills: Path, memory: Memory) -> duckdb.DuckDBPyConnection:
    most = max(LEAST, memory.total // 2)
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{most // MEGABYTE}MiB",
            "threads": 2 if most >= 2 * LEAST else 1,
            "preserve_insertion_order": most >= 4 * LEAST,
            "temp_directory": str(spills),
            "python_enable_replacements": False,
        },
    )
    for setting in CLOSED:
        connection.execute(f"SET {setting}")
    return connection


def schema_names(tables: Iterable[str]) -> list[str]:
    """Returns the name of each table's schema: its own, with a number behind it where DuckDB or another table has that name.

    DuckDB does not tell `Orders` from `orders`.
    """
    names = list(tables)
    taken, found = set(OWN), list[str]()
    for name in names:
        others = taken.union(each.lower() for each in names)
        free = chain([name] if name.lower() not in taken else [], (f"{name}_{number}" for number in count(2)))
        found.append(next(each for each in free if each == name or each.lower() not in others))
        taken.add(found[-1].lower())
    return found


def _set_clock(connection: duckdb.DuckDBPyConnection, second: int) -> None:
    now = f"TIMESTAMPTZ '{moment.iso_micros((second + 1) * MICROS - 1)}'"
    for name, value in (*((each, now) for each in CLOCK), *((each, f"CAST({now} AS {kind})") for each, kind in OTHER_CLOCKS)):
        connection.execute(f"CREATE TEMP MACRO {name}() AS {value}")


def _check_types(answer: duckdb.DuckDBPyRelation) -> None:
    """Raises UsageError for a type that Arrow gets in another form, or cut off."""
    for name, kind in zip(answer.columns, answer.types, strict=True):
        if (found := _NOT_IN_ARROW.search(str(kind))) is not None:
            raise UsageError(
                f"the column {name} has the type {found[0]}, which cannot be written", hint="CAST it to VARCHAR in the query."
            )


def _name(name: str) -> str:
    """Returns a name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _of_text(text: str) -> BackstreamError:
    """Returns the error that DuckDB told through Arrow, as text alone."""
    kinds: Sequence[tuple[str, type[duckdb.Error]]] = (
        ("Out of Memory Error", duckdb.OutOfMemoryException),
        ("IO Error", duckdb.IOException),
        ("Permission Error", duckdb.PermissionException),
    )
    kind = next((kind for word, kind in kinds if word in text), duckdb.Error)
    return explained(kind(text))
