"""Undoes a migration, or a restore in place: only the items that it changed, each to its state just before. An item is put back
only if it is still unchanged since.

The journal lists the items, with digests of their old and new states. The vault has the images; a restore's journal has them
itself. An item that somebody has changed since is named, and left unchanged. A second run finds all of it done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError, UsageError
from backstream.model import migration
from backstream.model.migration import ItemRewrite
from backstream.model.plan import Action
from backstream.operations.bulk import journal
from backstream.operations.bulk.writer import BulkWriter
from backstream.operations.migrate.applying import CONFLICT, Applying, Conflict, PendingRewrite
from backstream.operations.migrate.before import Before
from backstream.operations.migrate.journal import MigrationJournal, Noted
from backstream.operations.migrate.request import MigrationContext, MigrationRequest
from backstream.operations.migrate.window import vault_of
from backstream.operations.restore import Failure, Planned
from backstream.operations.restore.plan import Planning, units_a_second
from backstream.operations.restore.resume_file import MOST_NAMED

TOGETHER = 10_000  # items whose images are looked up by one reading of the log
FETCHED = 100
CHANGED_SINCE = "somebody has changed it since, so it is left as it is"
OTHERS_CHANGED = frozenset({CHANGED_SINCE, CONFLICT})  # why an item is left that somebody else has changed


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """The result of undoing a migration, or, unless `live`, its plan. Counts are items.

    `put`: restored items; `deleted`: items that did not exist before; `unchanged`: items already in their old state; `conflicts`:
    the number of `failed` items that somebody has changed since.
    """

    table: str
    migration: str
    live: bool
    put: int
    deleted: int
    unchanged: int
    failed: int
    conflicts: int
    seconds: float
    failures: Sequence[Failure] = ()
    plan: Planned | None = None


def undo(path: Path, asked: MigrationRequest, around: MigrationContext) -> Undone:
    """Undoes the changes of a migration.

    Raises UsageError if there is no such file; Refused if there is no vault, or if another process works on it.
    """
    standing = MigrationJournal(path)
    head = standing.head
    if head.table != around.table.name:
        raise UsageError(f"{path} is a migration of {head.table}, not of {around.table.name}")
    vault = vault_of(around)

    def images(noted: Sequence[Noted]) -> ImageBefore:
        return Before(vault, head.began, noted).image

    taking_back = TakingBack(standing.changes, images, vault.key_of, asked, around)
    return in_file(path, standing, asked, lambda: taking_back.run(head.table, head.migration))


def in_file(path: Path, standing: journal.JournalState[HeadT], asked: MigrationRequest, run: Callable[[], Undone]) -> Undone:
    """Undoes something, and notes that in its file first, unless it is a dry run. Raises Refused if another process works on it."""
    if not asked.live:
        return run()
    held = journal.Journal.reopen(path, standing)
    try:
        held.take_back()
        return run()
    finally:
        held.close()


ImageBefore = Callable[[Noted], bytes | None]  # what an item was; None where it did not exist; it raises where that is not known
HeadT = TypeVar("HeadT", bound=msgspec.Struct)


class TakingBack:
    """Puts back the items in a journal.

    `changes`: the journal's changes; `images`: finds the images before, for some of the changes.
    """

    def __init__(
        self,
        changes: Callable[[], Iterable[Noted]],
        images: Callable[[Sequence[Noted]], ImageBefore],
        key_of: Callable[[bytes], bytes],
        asked: MigrationRequest,
        around: MigrationContext,
    ) -> None:
        self._changes = changes
        self._images = images
        self._key_of = key_of
        self._asked = asked
        self._around = around
        self._began = around.clock.now()
        self._planning = Planning(units_a_second(around.table.facts().description, asked.max_units))
        self._applying = Applying(around.table, None)
        self._writer = self._new_writer() if asked.live else None
        self._unchanged = self._put = self._deleted = self._conflicts = self._failed = 0
        self._failures: list[Failure] = []

    def _new_writer(self) -> BulkWriter[PendingRewrite]:
        asked = self._asked
        return BulkWriter(
            self._applying,
            self._around.clock,
            patience=asked.patience,
            max_units=asked.max_units,
            budget=asked.budget,
            most=asked.concurrency,
        )

    def run(self, table: str, what: str) -> Undone:
        """Undoes everything, or, unless `live`, counts it. `what`: the id of the undone operation."""
        try:
            for noted in batches(self._changes(), TOGETHER):
                self._around.progress.phase("reading what was before", None)
                self._take(noted)
            self._finish()
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            raise
        return Undone(
            table=table,
            migration=what,
            live=self._asked.live,
            put=self._put,
            deleted=self._deleted,
            unchanged=self._unchanged,
            failed=self._failed,
            conflicts=self._conflicts,
            seconds=round(self._around.clock.now() - self._began, 3),
            failures=self._failures,
            plan=self._planning.planned(),
        )

    # --- deciding ---

    def _take(self, noted: Sequence[Noted]) -> None:
        """Looks up and puts back the items that are still as the migration left them."""
        standing: list[tuple[Noted, bytes | None]] = []
        for batch in batches(noted, FETCHED):
            live = {self._key_of(image): image for image in self._around.table.fetch([each.key for each in batch])}
            standing += [(each, live.get(each.key)) for each in batch if self._is_left(each, live.get(each.key))]
        before = self._images([each for each, _ in standing if each.before is not None])
        self._around.progress.phase("items", len(standing))
        for each, now in standing:
            self._around.progress.advance(1)
            try:
                self._do(ItemRewrite(each.key, now, before(each)))
            except BackstreamError as error:
                self._fail(each.key, error.message)

    def _is_left(self, noted: Noted, live: bytes | None) -> bool:
        """True if it is still as the migration left it."""
        now = migration.digest(live)
        if now == noted.before:
            self._unchanged += 1
        elif now != noted.after:
            if noted.tried:
                self._conflicts += 1
                self._fail(noted.key, CHANGED_SINCE)
            else:
                self._unchanged += 1  # the migration never came to it
        return now == noted.after and now != noted.before

    def _do(self, change: ItemRewrite) -> None:
        self._planning.add(change.key, Action.DELETE if change.after is None else Action.PUT, change.after, change.before)
        if self._writer is not None:
            self._writer.add(PendingRewrite(change, _no_more))
        elif change.after is None:
            self._deleted += 1
        else:
            self._put += 1

    # --- the account ---

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.finish()
        self._put += self._applying.counts["changed"]
        self._deleted += self._applying.counts["deleted"]
        for each in self._applying.left:
            self._conflicts += 1
            self._fail(each.key, each.why)
        for one in self._writer.left_out:
            self._fail(one.write.change.key, one.reason)

    def _fail(self, key: bytes, why: str) -> None:
        self._failed += 1
        if len(self._failures) < MOST_NAMED:
            self._failures.append(Failure(key.decode(), why))


def _no_more(key: bytes, live: bytes | None) -> ItemRewrite | None:
    """Leaves alone an item that somebody changes during the undo."""
    del key, live
    raise Conflict(CONFLICT)
