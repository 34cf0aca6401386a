"""Takes the subject out of files on this machine: what restores, reverts and migrations keep for `--resume` and `--undo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from backstream import private_files
from backstream.errors import Damaged
from backstream.operations.erase.redacting import Redactor
from backstream.operations.erase.searching import Search
from backstream.operations.erase.subject import Subject
from backstream.vault.table_vault import TableVault

HEAD = "its first line names the item, which is what the file is about: finish or delete it, nothing was changed in it"


def without(vault: TableVault, subject: Subject, paths: Sequence[Path], left: Callable[[str, str], None]) -> list[str]:
    """Takes the subject's lines out of these files, each at once or not at all. Returns the names of those that held some.

    `left` receives a file that could not be read or changed, with the reason. A file whose first line names the subject stays:
    without the keys in it, it would select every item.
    """
    search, found = Search(vault, subject), list[str]()
    for path in paths:
        try:
            body = path.read_bytes()
            if not search.is_in(body):
                continue
            if search.is_in(body.partition(b"\n")[0]):
                left(str(path), HEAD)
                continue
            private_files.replace(path, Redactor(search, subject).body(body))
            found.append(str(path))
        except OSError as error:
            left(str(path), f"it cannot be read or changed: {error.strerror}")
        except Damaged as error:
            left(str(path), error.message)
    return found
