"""`sql`: the history in SQL, for one query, a file, or a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NamedTuple

from backstream.apps import library
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.look.sql_shell import statements, welcome
from backstream.apps.cli.options import AllowGap, Vault
from backstream.apps.cli.output import notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import BackstreamError, UsageError
from backstream.model.counts import counted
from backstream.model.tables import naming
from backstream.model.values.visible import visible

if TYPE_CHECKING:
    from backstream.apps.verbs.tabular.querying import SqlSession

STDOUT = "-"
INTERRUPTED = "Query interrupted"  # DuckDB's error in place of the KeyboardInterrupt that a signal's handler raised
BEGINNINGS = ("select", "with", "from", "values", "describe", "show", "summarize", "explain", "pivot", "unpivot", "table", "(")


class _Output(NamedTuple):
    form: str
    path: Path | None  # None: stdout


def sql(
    table: Annotated[
        str | None,
        Argument(metavar="[TABLE]", help="The DynamoDB table's name; without it, every table is a schema.", show_default=False),
    ] = None,
    query: Annotated[str | None, Argument(metavar="[QUERY]", help="One SELECT; without it, a shell.", show_default=False)] = None,
    *,
    vault: Vault = None,
    file: Annotated[
        Path | None, Option("-f", "--file", metavar="FILE", help="Read the query from a file; - for stdin.", show_default=False)
    ] = None,
    at: Annotated[
        str | None, Option("--at", metavar="MOMENT", help="The moment of the view `items`; now without it.", show_default=False)
    ] = None,
    csv: Annotated[
        str | None, Option("--csv", metavar="[PATH]", help="CSV, on stdout or into a new file.", alone=STDOUT, show_default=False)
    ] = None,
    json: Annotated[
        str | None,
        Option(
            "--json", metavar="[PATH]", help="A JSON array of rows, on stdout or into a new file.", alone=STDOUT, show_default=False
        ),
    ] = None,
    parquet: Annotated[
        str | None, Option("--parquet", metavar="PATH", help="Parquet, into a new file.", show_default=False)
    ] = None,
    skip_damaged: Annotated[bool, Option("--skip-damaged", help="Leave out what cannot be read; it is named.")] = False,
    allow_gap: AllowGap = False,
) -> int:
    """Query a table's history in SQL: the views changes, items, history, gaps and windows, and the function items_at(M).

    The query only reads, and reads the vault alone: no files, no network, no extensions. Conditions on time decide which hours
    are read. Times without an offset are UTC in SQL.
    """
    given = {"csv": csv, "json": json, "parquet": parquet}
    words = [each for each in (table, query) if each is not None]
    for name, value in given.items():  # `--json "SELECT ..."`: the word after an option that may stand alone
        if value is not None and len(words) < 2 and _is_sql(value):
            words.append(value)
            given[name] = STDOUT
    named, text = _table_and_query(words, file)
    output = _output(given)
    try:
        with (
            ProgressBar() as progress,
            library.open(vault).sql(named, at=at, allow_gap=allow_gap, skip_damaged=skip_damaged, progress=progress) as session,
        ):
            if text is None:
                return _shell(session, output)
            try:
                _answer(session, text, output)
            finally:
                _say(session)
            return 0
    except RuntimeError as error:
        if INTERRUPTED not in str(error):
            raise
        raise KeyboardInterrupt from error


def _table_and_query(words: list[str], file: Path | None) -> tuple[str | None, str | None]:
    """Returns the table's name and the query; None for one that was not given. Raises UsageError if the arguments contradict each
    other."""
    table = words.pop(0) if words and not _is_sql(words[0]) else None
    if table is not None:
        naming.check_table_name(table)
    if words and file is not None:
        raise UsageError("a query and a file exclude each other", hint="Give the query itself, or -f FILE.")
    if file is not None:
        return table, _read(file)
    return table, words[0] if words else None


def _is_sql(text: str) -> bool:
    """True for a query, False for a table's name or a path: neither has blanks as a rule, and a path has an ending."""
    beginning = text.strip().lower()
    if any(each.isspace() or each in "(;" for each in beginning) and beginning.startswith((*BEGINNINGS, "--", "/*")):
        return True
    return not _is_name(text) and not Path(text).suffix


def _is_name(text: str) -> bool:
    try:
        naming.check_table_name(text)
    except UsageError:
        return text == STDOUT
    return True


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == STDOUT else file.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not text in UTF-8") from error


def _output(given: dict[str, str | None]) -> _Output:
    chosen = [(form, value) for form, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise UsageError("--csv, --json and --parquet exclude each other", hint="Give one of them.")
    if not chosen:
        return _Output("table", None)
    form, value = chosen[0]
    if form == "parquet" and value == STDOUT:
        raise UsageError("--parquet needs a path", hint="Parquet is not text: --parquet PATH.")
    return _Output(form, None if value == STDOUT else Path(value))


def _answer(session: SqlSession, text: str, output: _Output) -> None:
    if output.path is not None:
        count = session.write_file(text, output.path, output.form)
        notice(f"{counted(count, 'row')} in {output.path}")
        return
    form = "visible-csv" if output.form == "csv" and sys.stdout.isatty() else output.form
    count = session.write(text, sys.stdout.buffer, form)
    if output.form == "table":
        notice(f"({counted(count, 'row')})")


def _say(session: SqlSession) -> None:
    """Tells what is uncertain about the answers, each once."""
    for note in session.notes:
        notice(f"note: {note}")
    for each in session.damaged:
        notice(f"left out, as it cannot be read: {each}")
    session.notes.clear()
    session.damaged.clear()


# --- the shell --------------------------------------------------------------------------------------------------------------------


def _shell(session: SqlSession, output: _Output) -> int:
    """Answers the queries of a terminal, or of stdin. There an error is told and does not end it; elsewhere it does."""
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        for line in welcome(session.schema()):
            notice(line)
    for text in statements(at_terminal=at_terminal):
        try:
            _show_schema(session, sys.stdout.buffer) if text == ".schema" else _answer(session, text, output)
        except BackstreamError as error:
            if not at_terminal:
                raise
            for line in f"error: {error}".split("\n"):
                notice(line)
        finally:
            _say(session)
    return 0


def _show_schema(session: SqlSession, out: BinaryIO) -> None:
    out.write(visible("\n".join(welcome(session.schema())) + "\n").encode())
    out.flush()
