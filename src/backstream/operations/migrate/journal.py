"""A migration's own file: which items it has written, so that none is migrated twice, and so that it can be taken back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from backstream.operations.bulk import journal

_STEM = "backstream-migrate-"


class MigrationHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `began`: the second in which it began; `at`, `snapshot`: what it is run over, None for the live table;
    `digest`: of the script; `undo`: whether the vault could take it back when it began.
    """

    migration: str
    table: str
    script: str
    digest: str
    began: int
    at: int | None = None
    snapshot: str | None = None
    undo: bool = True


Journal = journal.Journal[MigrationHead]
Noted = journal.Noted


class MigrationJournal(journal.JournalState[MigrationHead]):
    """What a migration's file says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MigrationHead, "migration")


def path_for(migration_id: str, folder: Path) -> Path:
    """The file of a migration's id."""
    return folder / f"{_STEM}{migration_id}.ndjson"
