"""The account of a migration: the counts, the shown changes, and the commands that resume it or undo it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from backstream.model import moment
from backstream.model.migration import ItemRewrite
from backstream.model.plan import Action
from backstream.model.values import wire
from backstream.model.values.shell_words import shell_line
from backstream.operations.migrate.journal import MigrationHead
from backstream.operations.migrate.request import Migrated, MigrationContext, MigrationRequest
from backstream.operations.restore import Failure
from backstream.operations.restore.plan import Planning, Sampled, units_a_second
from backstream.operations.restore.resume_file import MOST_NAMED


class MigrationCounts:
    """The account of one run. `already`: items that earlier runs have changed; `file`: the journal's, if there is one."""

    def __init__(self, head: MigrationHead, source: str, asked: MigrationRequest, around: MigrationContext) -> None:
        self._head = head
        self._source = source
        self._asked = asked
        self._around = around
        self._began = around.clock.now()
        self._planning = Planning(units_a_second(around.table.facts().description, asked.max_units))
        self._shown: list[Sampled] = []
        self._failures: list[Failure] = []
        self._conflicts = 0
        self.failed_count = 0
        self.already = 0
        self.file: Path | None = None
        self.warnings: list[str] = []

    @staticmethod
    def is_other(before: bytes | None, live: bytes | None) -> bool:
        """True if the live item differs from the one that the change was decided for."""
        return before is not live and not wire.same_state(before, live)

    def planned(self, change: ItemRewrite) -> None:
        """Counts one decided change."""
        action = Action.DELETE if change.after is None else Action.PUT
        self._planning.add(change.key, action, change.after, change.before)
        if len(self._shown) < self._asked.shown:
            raw = [msgspec.Raw(b"null" if each is None else wire.one_line(each)) for each in (change.before, change.after)]
            self._shown.append(Sampled(msgspec.Raw(change.key), action.value, *raw))

    def conflict(self, key: bytes, why: str) -> None:
        """Notes an item that somebody else has changed."""
        self._conflicts += 1
        self.unread(Failure(key.decode(), why))

    def failed(self, key: bytes, why: str) -> None:
        """Notes a change that was not made."""
        self.unread(Failure(key.decode(), why))

    def unread(self, failure: Failure) -> None:
        """Notes something that was not done."""
        self.failed_count += 1
        if len(self._failures) < MOST_NAMED:
            self._failures.append(failure)

    def for_finish(self, counts: Counter[str]) -> dict[str, Any]:
        """Returns the counts for the hook."""
        named = ("scanned", "changed", "deleted", "unchanged")
        others = {"already": self.already, "failed": self.failed_count, "conflicts": self._conflicts}
        return {"live": self._asked.live, **{name: counts[name] for name in named}, **others}

    # --- words ---

    def words_before(self) -> str:
        """Returns the command that resumes it after an interruption."""
        return f"{self._go_on()}{self._or_back()}"

    def words_after(self, counts: Counter[str], kept: bool) -> str:  # noqa: FBT001 - two callers, both beside its definition
        """Describes the state after an error, and the next steps."""
        if not self._asked.live:
            return "Nothing was written."
        done = counts["changed"] + counts["deleted"] + self.already
        if not kept and not done:
            return "Nothing was written."
        return f"{done:,} items were changed before. Resume with: {self._go_on()}{self._or_back()}"

    def _go_on(self) -> str:
        script, table = self._head.script, self._head.table
        return shell_line(["backstream", "migrate", table, script, "--live", "--resume", str(self.file), *self._vault()])

    def _or_back(self) -> str:
        return f"; or take back what it has done with: {self._undo()}" if self._head.undo and self.file is not None else ""

    def _undo(self) -> str:
        return shell_line(["backstream", "migrate", self._head.table, "--undo", str(self.file), "--live", *self._vault()])

    def _back(self) -> str:
        at = moment.iso(self._head.began)
        return shell_line(["backstream", "restore", self._head.table, "--at", at, "--in-place", *self._vault()])

    def _vault(self) -> list[str]:
        return [] if self._around.vault is None else ["--vault", self._around.vault.store.url]

    # --- the report ---

    def report(self, counts: Counter[str], warnings: Sequence[str], *, kept: bool, resumable: bool) -> Migrated:
        """Returns the report. `kept`: True if the journal stays."""
        back = self._head.undo and kept and counts["changed"] + counts["deleted"] + self.already > 0
        return Migrated(
            table=self._head.table,
            migration=self._head.migration,
            source=self._source,
            live=self._asked.live,
            scanned=counts["scanned"],
            changed=counts["changed"],
            deleted=counts["deleted"],
            unchanged=counts["unchanged"],
            already=self.already,
            failed=self.failed_count,
            conflicts=self._conflicts,
            seconds=round(self._around.clock.now() - self._began, 3),
            failures=self._failures,
            warnings=[*self.warnings, *warnings],
            plan=msgspec.structs.replace(self._planning.planned(), sample=[]),
            changes=self._shown,
            file=str(self.file) if kept else None,
            undo=self._undo() if back else None,
            back=self._back() if back else None,
            resume=self._go_on() if resumable else None,
        )
