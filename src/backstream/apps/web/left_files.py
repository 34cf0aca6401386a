"""The files that earlier runs have left in the server's folder, by which they are resumed or undone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from backstream.errors import BackstreamError
from backstream.operations.restore import resume_file
from backstream.operations.restore.targets.kept import UndoJournal
from backstream.operations.revert.applying import Standing

MOST = 50  # files that are looked at, the newest
LARGEST = 64 << 20  # bytes of one that is read for its state
_NAME = re.compile(r"backstream-(?P<kind>revert|undo|restore)-(?P<id>[0-9a-f]{16})\.ndjson")


class LeftFile(msgspec.Struct, frozen=True):
    """One file. `kind`: revert, or restore; `state`: its description; `resume`, `undo`: True if that is possible.

    `target`: the table that it writes to, another one than `table` if a restore makes it; `written`: rows, None if unknown.
    """

    kind: str
    id: str
    table: str
    modified: float
    state: str
    written: int | None
    resume: bool
    undo: bool
    target: str


def left_files(folder: Path) -> list[LeftFile]:
    """Returns the newest files, newest first. An unreadable file is left out: it is not this tool's."""
    found = sorted(_named(folder), key=lambda each: each[2].st_mtime, reverse=True)[:MOST]
    return [each for each in (_state(*each) for each in found) if each is not None]


def _named(folder: Path) -> Iterator[tuple[re.Match[str], Path, os.stat_result]]:
    for path in folder.glob("backstream-*.ndjson"):
        match = _NAME.fullmatch(path.name)
        if match is not None and not path.is_symlink() and not (match["kind"] == "restore" and _undo_of(match, path).exists()):
            with suppress(FileNotFoundError):  # a run that ends removes its own, also while others look
                yield match, path, path.stat()


def _undo_of(match: re.Match[str], path: Path) -> Path:
    """Returns the file by which a restore is undone; only one in place has it, and then that file speaks for both."""
    return path.with_name(f"backstream-undo-{match['id']}.ndjson")


def _state(match: re.Match[str], path: Path, found: os.stat_result) -> LeftFile | None:
    modified, kind = found.st_mtime, "revert" if match["kind"] == "revert" else "restore"
    if found.st_size > LARGEST:
        return LeftFile(kind, match["id"], "", modified, "too large to look at here", None, resume=False, undo=False, target="")
    try:
        if match["kind"] == "restore":
            return _of_restore(match, path, modified)
        standing = Standing(path) if kind == "revert" else UndoJournal(path)
    except BackstreamError:
        return None
    resumable = (path.with_name(f"backstream-restore-{match['id']}.ndjson").exists()) if kind == "restore" else not standing.ended
    state = "taken back" if standing.taken_back else "can be resumed" if resumable else "done"
    return LeftFile(
        kind,
        match["id"],
        standing.head.table,
        modified,
        state,
        standing.done,
        resume=resumable and not standing.taken_back,
        undo=not standing.taken_back,
        target=standing.head.table,
    )


def _of_restore(match: re.Match[str], path: Path, modified: float) -> LeftFile:
    """Returns the file of a restore into a new table: it is there as long as something is left to do."""
    loaded = resume_file.load(path)
    left = f"{len(loaded.keys):,} rows are left out, can be resumed" if loaded.ended else "can be resumed"
    head = loaded.head
    return LeftFile("restore", match["id"], head.table, modified, left, None, resume=True, undo=False, target=head.target)


def left_file(folder: Path, kind: str, which: str) -> LeftFile | None:
    """Returns one of the files by its kind and id; None if it is not there."""
    return next((each for each in left_files(folder) if (each.kind, each.id) == (kind, which)), None)
