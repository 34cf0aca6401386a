"""Which statements are run: one that reads. DuckDB's own parser says what a statement is."""

from __future__ import annotations

import re

import duckdb

from backstream.errors import BackstreamError, Failed, Refused, UsageError

READ_ONLY = (
    "`backstream sql` only reads: give SELECT, WITH, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN. "
    "--csv, --json and --parquet write the answer."
)
_BLANK = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
# DuckDB runs what EXPLAIN ANALYZE explains.
_EXPLAINED = re.compile(
    rf"{_BLANK}*EXPLAIN(?:{_BLANK}+ANALYZE\b)?(?:{_BLANK}*\([^()]*\))?(?P<statement>.*)", re.IGNORECASE | re.DOTALL
)


def check(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """Returns the one statement in a text. Raises UsageError for none, several or broken ones, and Refused for one that writes."""
    try:
        found = connection.extract_statements(text)
    except duckdb.Error as error:
        raise explained(error) from error
    if len(found) != 1:
        what = "no statement" if not found else f"{len(found)} statements"
        raise UsageError(f"{what} in the query", hint="Give one SELECT. WITH names the parts of a longer one.")
    query = str(found[0].query)
    kind = _explained_kind(connection, query) if found[0].type is duckdb.StatementType.EXPLAIN else found[0].type
    if kind is not duckdb.StatementType.SELECT:
        raise Refused(f"not run, as it does not only read: a statement of the kind {kind.name}", hint=READ_ONLY)
    return query


def _explained_kind(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.StatementType:
    """Returns the kind of the statement that an EXPLAIN explains; EXPLAIN itself if that cannot be told."""
    inner = _EXPLAINED.fullmatch(query)
    try:
        found = [] if inner is None else connection.extract_statements(inner["statement"])
    except duckdb.Error:
        found = []
    return found[0].type if len(found) == 1 else duckdb.StatementType.EXPLAIN


def explained(error: duckdb.Error) -> BackstreamError:
    """Returns DuckDB's error as one of ours. An error in the query names its place."""
    lines = [line.rstrip() for line in str(error).splitlines()]
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, duckdb.OutOfMemoryException):
        return Failed(
            f"the query needs more memory or space for temporary files than it may use: {first}",
            hint="Set BACKSTREAM_MEMORY_MB to a larger number of megabytes, make room where temporary files go (TMPDIR), "
            "or ask for fewer hours and columns.",
        )
    if isinstance(error, duckdb.IOException):
        return Failed(
            f"temporary files cannot be written: {first}", hint="Make room where they go, or set TMPDIR to another folder."
        )
    if isinstance(error, duckdb.PermissionException):
        return Refused(f"not allowed in a query: {first}", hint="A query reads the vault's views, and no files or extensions.")
    return UsageError(f"{_what(error)}: {first}", hint="\n".join(_place(lines[1:])))


def _what(error: duckdb.Error) -> str:
    broken = isinstance(error, (duckdb.ParserException, duckdb.SyntaxException, duckdb.BinderException, duckdb.CatalogException))
    return "the SQL is broken" if broken else "the query failed"


def _place(lines: list[str]) -> list[str]:
    """Returns the lines that show the place, with those before it that name alternatives."""
    return [line for line in lines if line.strip()]
