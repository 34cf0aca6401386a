"""The files that earlier runs have left in the server's folder, by which they are resumed or undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from backstream.errors import BackstreamError
from backstream.operations.restore.targets.kept import UndoJournal
from backstream.operations.revert.applying import Standing

MOST = 50  # files that are looked at, the newest
LARGEST = 64 << 20  # bytes of one that is read for its state
_NAME = re.compile(r"backstream-(?P<kind>revert|undo|restore)-(?P<id>[0-9a-f]{16})\.ndjson")


class LeftFile(msgspec.Struct, frozen=True):
    """One file. `kind`: revert, or restore; `state`: its description; `resume`, `undo`: True if that is possible."""

    kind: str
    id: str
    table: str
    modified: float
    state: str
    written: int
    resume: bool
    undo: bool


def left_files(folder: Path) -> list[LeftFile]:
    """Returns the newest files, newest first. An unreadable file is left out: it is not this tool's."""
    found = sorted(_named(folder), key=lambda each: each[1].stat().st_mtime, reverse=True)[:MOST]
    return [each for each in (_state(*each) for each in found) if each is not None]


def _named(folder: Path) -> Iterator[tuple[re.Match[str], Path]]:
    for path in folder.glob("backstream-*.ndjson"):
        match = _NAME.fullmatch(path.name)
        if match is not None and match["kind"] != "restore" and not path.is_symlink():
            yield match, path


def _state(match: re.Match[str], path: Path) -> LeftFile | None:
    modified, kind = path.stat().st_mtime, "revert" if match["kind"] == "revert" else "restore"
    if path.stat().st_size > LARGEST:
        return LeftFile(kind, match["id"], "", modified, "too large to be looked at here", 0, resume=False, undo=False)
    try:
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
    )
