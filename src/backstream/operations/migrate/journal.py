"""A migration's own file: it lists the written items, so that none is migrated twice, and so that they can be undone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from backstream.operations.bulk import journal
from backstream.vault.dumps.opening import FileOptions

_STEM = "backstream-migrate-"


class MigrationHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    `began`: the second in which it began; `at`, `snapshot`: the source, None for the live table; `files`: how the files of
    `snapshot` are written; `digest`: of the script; `undo`: True if the vault could undo it when it began.
    """

    migration: str
    table: str
    script: str
    digest: str
    began: int
    at: int | None = None
    snapshot: str | None = None
    files: FileOptions | None = None
    undo: bool = True


Journal = journal.Journal[MigrationHead]
Noted = journal.Noted


class MigrationJournal(journal.JournalState[MigrationHead]):
    """The contents of a migration's file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MigrationHead, "migration")


def path_for(migration_id: str, folder: Path) -> Path:
    """Returns the path of a migration's file, by its id."""
    return folder / f"{_STEM}{migration_id}.ndjson"
