"""Files and folders that nobody but their owner may read, whoever calls: they hold items, keys and positions.

Files are 0600 and folders 0700 at least, whatever the umask. A new file is created, never found (O_EXCL), and no name is followed
to somewhere else (O_NOFOLLOW): in a folder that others may write to, such as /tmp, a name may have been prepared by them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from backstream.errors import UsageError
from backstream.model.values.object_limits import LINE

FILE, FOLDER = 0o600, 0o700
_DIGITS = 8  # bytes of a random name: 64 bits


def token() -> str:
    """A part of a name that cannot be guessed."""
    return secrets.token_hex(_DIGITS)


def create(path: Path) -> BinaryIO:
    """A new file, to be written and read. FileExistsError where anything is there, also a link to nowhere."""
    return _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, "w+b")


def draft_of(path: Path) -> Path:
    """A name beside `path` that nobody knows, for contents that are to take its place when they are whole."""
    return path.with_name(f".{path.name}.{token()}.partial")


def append(path: Path) -> BinaryIO:
    """A file to be written on at its end; made where it is not there."""
    return _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "ab")


def reopen(path: Path) -> BinaryIO:
    """A file that is there, to be read and written. OSError where it is a link."""
    return _opened(path, os.O_RDWR, "r+b")


def read(path: Path) -> bytes:
    """The contents of a file that this tool has written. OSError where it is a link, as FileNotFoundError where it is missing."""
    with opened(path) as file:
        return file.read()


def opened(path: Path) -> BinaryIO:
    """The same, to be read in pieces."""
    return _opened(path, os.O_RDONLY, "rb")


def lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The lines of a file, with their line breaks. UsageError at one that is longer than any that this tool writes or asks for."""
    while line := file.readline(LINE + 1):
        if len(line) > LINE:
            raise UsageError(f"{path} has a line of more than {LINE:,} bytes: it is no file of this tool")
        yield line


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(FOLDER, exist_ok=True)


def _opened(path: Path, flags: int, mode: str) -> BinaryIO:
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE)
    return cast("BinaryIO", os.fdopen(handle, mode))
