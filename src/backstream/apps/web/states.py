"""A table's state at a second, for browsing: computed once, kept on disk by key, and read a page at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.apps.web.background.jobs import BackgroundTask, Jobs
from backstream.apps.web.certain import state_has_gap
from backstream.engine.local.memory import Memory
from backstream.engine.local.state import State
from backstream.errors import BackstreamError, Failed, Unavailable
from backstream.model.changes.entry import Entry, from_line, to_line
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.operations.inspect import safety
from backstream.operations.restore.states.nearest import scalar
from backstream.ports import Clock
from backstream.vault.catalog import Catalog
from backstream.vault.table_vault import TableVault

MOST = 6  # states that are kept on disk
SIZE = 50
TOGETHER = 1_000


VaultOf = Callable[[BackgroundTask], TableVault]  # opens the vault for a job, with which it ends


class StateCopy(msgspec.Struct, frozen=True):
    """A state on disk. `items`: their number; `notes`: the uncertainties; `unread`: unreadable objects.

    `gap`: a command refuses it without `--allow-gap`.
    """

    path: Path
    items: int
    notes: list[str]
    unread: list[str]
    gap: bool = False


class StatePage(msgspec.Struct, frozen=True):
    """Some items: key, and image or why it cannot be read. `after`: the last key if more follow, else empty."""

    items: list[tuple[bytes, bytes | BackstreamError | None]]
    after: bytes


class States:
    """The states that were requested lately."""

    def __init__(self, jobs: Jobs, folder: Path, clock: Clock) -> None:
        self._jobs = jobs
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], BackgroundTask] = OrderedDict()

    def of(self, table: str, at: int, memory: Memory, vault_of: VaultOf) -> BackgroundTask:
        """Returns the job that computes a state, or has done so. A second that is not over yet is computed anew.

        The job ends if nobody asks for it for a while (`BackgroundTask.look`). It begins anew when somebody does.
        """
        with self._lock:
            job = self._known.get((table, at))
            if job is None or (job.is_over and job.result is None) or job.began <= at + 1:
                job = self._known[table, at] = BackgroundTask("state", table, at, self._clock)
                self._jobs.start(job, lambda each: write(vault_of(each), at, self._folder, each, memory, self._clock.now()))
            job.look()
            self._known.move_to_end((table, at))
            while len(self._known) > MOST:
                self._forget(self._known.popitem(last=False)[1])
            return job

    @staticmethod
    def _forget(job: BackgroundTask) -> None:
        job.token.set()
        if isinstance(job.result, StateCopy):
            job.result.path.unlink(missing_ok=True)  # whoever reads it just now has it open


def write(vault: TableVault, at: int, folder: Path, job: BackgroundTask, memory: Memory, now: float) -> StateCopy:
    """Computes a state. Raises OutsideWindow for a second in the future."""
    window = vault.window(now)
    safety.check_past(at, now, window)
    notes = safety.check_table(vault.catalog.table, at, window, allow_gap=True)
    path = folder / f"state-{private_files.token()}"
    job.phase("reading the change log", None)
    with State(vault, at, job.advance, memory=memory) as state, closing(_opened(path)) as kept:
        kept.execute("create table items (key blob primary key, tenant text, line blob) without rowid")
        count = 0
        for partition in state:
            rows = [
                (key, tenant_of(vault.catalog, entry), to_line(entry))
                for key in partition
                if partition.exists(key) and (entry := partition[key]) is not None
            ]
            for start in range(0, len(rows), TOGETHER):
                job.token.check()
                kept.executemany("insert into items values (?, ?, ?)", rows[start : start + TOGETHER])
            count += len(rows)
        kept.execute("create index tenants on items (tenant, key)")
        kept.commit()
        broken = [str(each) for each in state.broken(window, now)][:20]
        unread = [f"{each.name}: {each.why}" for each in state.unreadable]
    gap = bool(broken or unread) or state_has_gap(vault, at, now)
    return StateCopy(path, count, [*notes, *broken], unread, gap)


def _opened(path: Path) -> sqlite3.Connection:
    try:
        with private_files.create(path):
            pass
        return sqlite3.connect(path, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise Failed(f"the state cannot be kept in {path}: {error}", hint="Make room.") from error


def tenant_of(catalog: Catalog, entry: Entry) -> str | None:
    """Returns the tenant of an item, by its image, or by the name of its object; None if there is none, or if neither tells."""
    if catalog.tenant_attribute is None:
        return None
    if entry.image is not None:
        return scalar(wire.attribute(entry.image, catalog.tenant_attribute))
    if entry.place is None:
        return None
    parsed = naming.parse_name(catalog.table, catalog.naming, catalog.key_schema, tenants=True, name=entry.place.name)
    return None if parsed is None or parsed.tenant is None else naming.tenant_of(parsed.tenant)


def page(vault: TableVault, state: StateCopy, after: bytes, beginning: bytes, tenant: str | None) -> StatePage:
    """Returns the items after a key. `beginning`: the prefix of their keys; `tenant`: only that one's, None for all."""
    try:
        with closing(sqlite3.connect(f"{state.path.as_uri()}?mode=ro", uri=True)) as kept:
            rows = list(_rows(kept, after, beginning, tenant))
    except sqlite3.OperationalError as error:
        if state.path.exists():
            raise
        raise Unavailable("this state was put away, since others were asked for", hint="Ask for it again.") from error
    shown = [(key, from_line(line)) for key, line in rows[:SIZE]]
    found = dict(vault.images((key, entry) for key, entry in shown))
    return StatePage([(key, found[key]) for key, _ in shown], shown[-1][0] if len(rows) > SIZE else b"")


def _rows(kept: sqlite3.Connection, after: bytes, beginning: bytes, tenant: str | None) -> Iterator[tuple[bytes, bytes]]:
    where, words = "key > ? and key >= ? and key < ?", [after, beginning, beginning + b"\xff"]
    if tenant is None:
        return iter(kept.execute(f"select key, line from items where {where} order by key limit ?", [*words, SIZE + 1]))  # noqa: S608
    asked = [tenant, *words, SIZE + 1]
    return iter(kept.execute(f"select key, line from items where tenant = ? and {where} order by key limit ?", asked))  # noqa: S608
