"""Files and folders that only their owner may read, for every caller: they hold items, keys and positions.

Files are 0600 and folders 0700 at least, whatever the umask. A new file is created, never found (O_EXCL), and no name is followed
to somewhere else (O_NOFOLLOW). In a folder that others may write to, such as /tmp, a name may have been prepared by them.

A file that controls writes to a table (a journal, a resume file, a plan) is trusted only if its user and root alone may have
written it. ssh does so with its keys. See docs/notes/0040-whose-files-are-believed.md.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import BinaryIO, cast

from backstream.errors import Refused, UsageError
from backstream.model.values.object_limits import LINE

FILE, FOLDER = 0o600, 0o700
OTHERS_WRITE = 0o022
OTHERS = 0o077
ROOT = 0
_DIGITS = 8  # bytes of a random name: 64 bits


def token() -> str:
    """Returns a part of a name that cannot be guessed."""
    return secrets.token_hex(_DIGITS)


def create(path: Path) -> BinaryIO:
    """Creates a new file, to be written and read. Raises FileExistsError if anything exists there, even a link to nowhere."""
    return _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, "w+b")


def draft_of(path: Path) -> Path:
    """Returns a secret name beside `path`, for contents that replace it when they are whole."""
    return path.with_name(f".{path.name}.{token()}.partial")


def replace(path: Path, body: bytes) -> None:
    """Writes a file whole in place of an existing one, or not at all. Raises OSError; nothing stays beside it then."""
    draft = draft_of(path)
    try:
        with create(draft) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):  # where even its name is none, nothing is there
            draft.unlink(missing_ok=True)


def append(path: Path) -> BinaryIO:
    """Opens a file for appending; creates it if it does not exist."""
    return _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "ab")


def reopen(path: Path) -> BinaryIO:
    """Opens an existing file, to be read and written. Raises OSError if it is a link, and Refused if others may have written it.

    A file of this user that others may read, as older versions wrote it, becomes private.
    """
    file = _own(_opened(path, os.O_RDWR, "r+b"), path)
    found = os.fstat(file.fileno())
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & OTHERS:
        with suppress(OSError):  # some shared disks have no modes
            os.fchmod(file.fileno(), FILE)
    return file


def read(path: Path, most: int) -> bytes:
    """Returns the contents of a file of at most `most` bytes.

    Raises OSError if it is a link or missing, and UsageError if it is larger.
    """
    with _opened(path, os.O_RDONLY, "rb") as file:
        contents = file.read(most + 1)
    if len(contents) > most:
        raise UsageError(f"{path} has more than {most:,} bytes: it is no file of this tool")
    return contents


def opened(path: Path) -> BinaryIO:
    """Opens a file that this tool has written for its user, for reading. Raises OSError and Refused like `reopen`."""
    return _own(_opened(path, os.O_RDONLY, "rb"), path)


def lines(file: BinaryIO, path: Path, most: int = LINE) -> Iterator[bytes]:
    """Yields the lines of a file, with their line breaks.

    Raises UsageError at one of more than `most` bytes: this tool writes none.
    """
    while line := file.readline(most + 1):
        if len(line) > most:
            raise UsageError(f"{path} has a line of more than {most:,} bytes: it is no file of this tool")
        yield line


def _own(file: BinaryIO, path: Path) -> BinaryIO:
    """Returns the file. Raises Refused, and closes it, if others may have written it."""
    found, name = os.fstat(file.fileno()), quote(str(path))
    if found.st_uid not in (ROOT, os.geteuid()):
        why = "belongs to another user"
        hint = (
            f"Run this as that user. Or look at the file, make it yours with `install -m 600 {name} COPY` in a folder of your own, "
            "and name COPY."
        )
    elif found.st_mode & OTHERS_WRITE:
        why = "may be written by other users"
        hint = (
            f"Look at the file. If nobody has changed it: `chmod go-w {name}`. Where that has no effect, as on some shared disks, "
            "work in a folder on another file system."
        )
    else:
        return file
    file.close()
    raise Refused(f"{path} {why}, so what it says is not believed; nothing was touched", hint=hint)


def readable_by_others(folder: Path) -> list[Path]:
    """Returns what others may look into: the folder itself, and what lies directly in it. Older versions kept no modes."""
    if not stat.S_IMODE(folder.stat().st_mode) & OTHERS:
        return []  # whatever lies in it
    below = [each for each in sorted(folder.iterdir()) if not each.is_symlink() and stat.S_IMODE(each.stat().st_mode) & OTHERS]
    return [folder, *below] if below else []


def make_folder(folder: Path) -> None:
    """Creates a folder and its missing parents."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(FOLDER, exist_ok=True)


def _opened(path: Path, flags: int, mode: str) -> BinaryIO:
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE)
    return cast("BinaryIO", os.fdopen(handle, mode))
