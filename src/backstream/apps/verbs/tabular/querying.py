"""`sql` in the library: `Vault.sql` and `TableBackup.sql`. DuckDB and pyarrow are loaded only when a session is opened."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from backstream import private_files
from backstream.apps.config import Config
from backstream.apps.verbs.arguments import Moment, second_of
from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import explained
from backstream.errors import Failed, NotFound, TargetNotEmpty
from backstream.operations.bulk.progress import Progress, Silent

if TYPE_CHECKING:
    from backstream.operations.sql.session import Session

NEEDED = ("duckdb", "pyarrow")
SQL = "backstream.operations.sql"


def check_installed() -> None:
    """Raises Failed, with the command that installs them, if something is missing."""
    missing = [each for each in NEEDED if find_spec(each) is None]
    if missing:
        raise Failed(f"SQL is not installed: {', '.join(missing)} missing", hint="pip install 'backstream[sql]'")


class SqlSession:
    """Answers queries. `notes`: what is uncertain about the answers so far; `damaged`: what was left out, by name."""

    def __init__(self, session: Session, notes: list[str], damaged: list[str]) -> None:
        self._session = session
        self._answers: Any = import_module(f"{SQL}.answers")
        self.notes = notes
        self.damaged = damaged

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Returns all rows of an answer, each with its columns by name. See `write` for the errors."""
        found = list[dict[str, Any]]()

        def take(schema: Any, batches: Iterator[Any]) -> None:
            self._answers.check_names(schema.names)
            found.clear()
            found.extend(dict(zip(schema.names, row, strict=True)) for row in self._answers.rows_of(batches))

        self._session.run(query, take)
        return found

    def write(self, query: str, to: BinaryIO, form: str = "table") -> int:
        """Writes an answer and returns the number of its rows. `form`: table, csv, json or parquet.

        Nothing is written before all rows are known. Raises UsageError for broken SQL, with the place, Refused for a query that
        writes, or reads anything but the vault's views, and Failed if there is no room.
        """
        with ExitStack() as stack:
            stack.enter_context(explained(Path(tempfile.gettempdir())))
            draft = stack.enter_context(tempfile.TemporaryFile())
            count = self._write(query, draft, form)
            draft.seek(0)
            shutil.copyfileobj(draft, to)
            to.flush()
            return count

    def write_file(self, query: str, path: str | Path, form: str) -> int:
        """Does the same into a new file, which is there only when it is whole. Raises TargetNotEmpty if something is there."""
        target = Path(path)
        if target.exists():
            raise TargetNotEmpty(f"{target} is there already", hint="Give another path, or move it away.")
        with _told(target), _draft(target) as draft:
            count = self._write(query, draft, form)
            draft.flush()
            os.fsync(draft.fileno())
        return count

    def _write(self, query: str, file: BinaryIO, form: str) -> int:
        count = 0

        def take(schema: Any, batches: Iterator[Any]) -> None:
            nonlocal count
            file.seek(0)
            file.truncate()
            count = self._answers.write(self._answers.Form(form), file, schema, batches)

        self._session.run(query, take)
        return count

    def schema(self) -> dict[str, list[tuple[str, str]]]:
        """Returns the columns of each view, with DuckDB's types."""
        return self._session.schemas()

    def close(self) -> None:
        """Ends the session, and removes its temporary files."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Context in which an error of the system names the file that could not be written."""
    try:
        yield
    except OSError as error:
        raise Failed(
            f"{target} cannot be written: {error.strerror or error}", hint="Give a path in a folder that is there and has room."
        ) from error


@contextmanager
def _draft(target: Path) -> Iterator[BinaryIO]:
    """Opens a file that becomes `target` at the end, and is removed if that is not reached."""
    draft = private_files.draft_of(target)
    try:
        with private_files.create(draft) as file:
            yield file
        draft.rename(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def open_session(
    config: Config,
    names: Sequence[str],
    *,
    at: Moment | None = None,
    allow_gap: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> SqlSession:
    """Returns a session over these tables: see `Vault.sql`."""
    check_installed()
    if not names:
        raise NotFound(f"no table is in {config.url}", hint="`backstream init TABLE` begins with one.")
    memory, now = config.memory, config.clock.now()
    half = Memory(memory.total // 2)
    reading_of: Callable[..., Any] = import_module(f"{SQL}.reading").TableReading
    columns_of: Callable[..., Any] = import_module(f"{SQL}.typed").kept
    notes, damaged = list[str](), list[str]()
    readings = {}
    for name in names:
        vault = config.with_memory(half).vault(name)
        readings[name] = reading_of(
            vault,
            config.clock,
            int(now),
            half,
            progress or Silent(),
            allow_gap=allow_gap,
            skip_damaged=skip_damaged,
            notes=notes,
            damaged=damaged,
            columns=columns_of(vault),
        )
    first = next(iter(readings.values())).vault
    second = None if at is None else second_of(at, now, first)
    session: Session = import_module(f"{SQL}.session").Session(readings, memory, at=second)
    return SqlSession(session, notes, damaged)


class Querying:
    """The part of a table's backup that answers queries."""

    _config: Config
    _name: str

    def sql(
        self, query: str, *, at: Moment | None = None, allow_gap: bool = False, skip_damaged: bool = False
    ) -> list[dict[str, Any]]:
        """Returns the rows of a query over this table's views. See `Vault.sql` for sessions, files and all tables."""
        with open_session(self._config, [self._name], at=at, allow_gap=allow_gap, skip_damaged=skip_damaged) as session:
            return session.rows(query)
