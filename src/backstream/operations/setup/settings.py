"""Compares the table's settings with the catalog, and saves them as a new version of it when they have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import msgspec

from backstream.errors import BackstreamError, ConditionNotMet
from backstream.model.tables import settings_changes
from backstream.model.tables.settings import PARTS, TableSettings, carried
from backstream.ports import ObjectStore, Table
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog


class ComparedSettings(msgspec.Struct, frozen=True):
    """The comparison of settings.

    `catalog`: the catalog with the present settings; unreadable parts stay as they were known. `changes`: descriptions of the
    changes that are worth a version; `lost`: the parts that were known and cannot be read now, with the reason.
    """

    catalog: Catalog
    changes: list[str]
    lost: list[str]


def compare(catalog: Catalog, seen: TableSettings) -> ComparedSettings:
    """Compares the table's present settings with those in its catalog. Nothing is written."""
    known = catalogs.settings_of(catalog)
    now = carried(known, seen)
    return ComparedSettings(
        catalogs.with_settings(catalog, now), settings_changes.differences(known, now), settings_changes.lost(known, now)
    )


def unseen(settings: TableSettings) -> list[str]:
    """Returns the parts that could not be read, each with the reason."""
    return [f"{PARTS.get(part, part)}: {why}" for part, why in settings.unknown.items()]


def refresh(store: ObjectStore, table: Table) -> ComparedSettings:
    """Reads the table's settings and, if they have changed, saves a version of its catalog in which nothing else differs.

    Raises the errors of the table and the store, and NotFound before `init`.
    """
    seen = table.settings()  # first: it takes several calls, and the catalog is to be a fresh one
    for _ in range(catalogs.ATTEMPTS):
        upon = catalogs.current(store, table.name)
        compared = compare(upon.catalog, seen)
        if not compared.changes:
            return compared
        try:
            catalogs.save(store, compared.catalog, upon)
        except ConditionNotMet:
            continue
        return compared
    raise catalogs.contended(store, table.name)


class SettingsWatch:
    """A context manager: refreshes the settings at once and every `every` seconds, on a thread of its own, until the block ends.

    A failure is reported once, until the read succeeds again: a tail is about changes, and continues without. Nothing is reported
    twice in a row. It runs on a thread, because a tail must not wait for a service that does not answer.
    """

    def __init__(self, store: ObjectStore, table: Table, every: float, notice: Callable[[str], None]) -> None:
        self._store = store
        self._table = table
        self._every = every
        self._notice = notice
        self._over = threading.Event()
        self._told = ""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="settings")
        self._watching: Future[None] | None = None

    def __enter__(self) -> Self:
        self._watching = self._pool.submit(self._watch)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._pool.shutdown()
        if error is None and self._watching is not None:
            self._watching.result()  # what no BackstreamError says is a defect: it is not to vanish with its thread

    def _watch(self) -> None:
        self._look()
        while not self._over.wait(self._every):
            self._look()

    def _look(self) -> None:
        try:
            compared = refresh(self._store, self._table)
        except BackstreamError as error:
            self._tell(type(error).__name__, f"the settings of {self._table.name} cannot be looked at: {error.message}")
            return
        if compared.changes:
            self._notice(f"the settings of {self._table.name} have changed, and are kept: {'; '.join(compared.changes)}")
        parts = ", ".join(each.partition(":")[0] for each in compared.lost)
        self._tell(parts, f"settings of {self._table.name} that were known cannot be seen: {'; '.join(compared.lost)}")

    def _tell(self, what: str, words: str) -> None:
        """Reports it unless it was the last report. An empty `what` means no trouble: nothing is reported, but a trouble ends."""
        if what and what != self._told:
            self._notice(words)
        self._told = what
