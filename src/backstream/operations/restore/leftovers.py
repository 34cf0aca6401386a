"""What a restore could not do: named in its report, and, where a second attempt can do it, in a file that `resume` takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from backstream.errors import Failed, UsageError
from backstream.operations.restore.request import Failure

MOST_NAMED = 10_000  # failures in a report: more would fill the memory, and the file names them all
_STEM = "backstream-restore-"


class Head(msgspec.Struct, frozen=True):
    """The file's first line: which restore left the keys that follow. `at` in seconds."""

    restore: str
    table: str
    at: int
    target: str
    tenant: str | None = None
    partition: str | None = None
    where: str | None = None


class _Left(msgspec.Struct):
    key: msgspec.Raw = msgspec.field(name="Key")
    why: str = msgspec.field(name="Why", default="")


class Leftovers:
    """Collects failures as they come. The file has its name only once it is whole; `path`: where, None for no file at all."""

    def __init__(self, path: Path | None, head: Head) -> None:
        self._path = path
        self._head = head
        self._file: BinaryIO | None = None
        self.failures: list[Failure] = []
        self.count = 0

    def name(self, failure: Failure) -> None:
        """Something that is wrong, and that no second attempt mends."""
        self.count += 1
        if len(self.failures) < MOST_NAMED:
            self.failures.append(failure)

    def leave(self, key: bytes, why: str) -> None:
        """An item left out, by its canonical key."""
        self.name(Failure(key.decode(), why))
        if self._path is not None:
            if self._file is None:
                self._file = self._begin(self._path)
            self._file.write(msgspec.json.encode(_Left(msgspec.Raw(key), why)) + b"\n")

    def close(self) -> Path | None:
        """Give the file its name and return it; None where nothing was left."""
        if self._file is None or self._path is None:
            return None
        self._file.close()
        _partial(self._path).replace(self._path)
        return self._path

    def discard(self) -> None:
        """Leave no file that could pass for the whole."""
        if self._file is not None and self._path is not None:
            self._file.close()
            _partial(self._path).unlink(missing_ok=True)

    def _begin(self, path: Path) -> BinaryIO:
        try:
            file = _partial(path).open("wb")
        except OSError as error:
            raise Failed(f"what is left of the restore cannot be kept in {path}: {error.strerror}") from error
        file.write(msgspec.json.encode(self._head) + b"\n")
        return file


def path_for(restore: str, folder: Path) -> Path:
    """The file of a restore's id."""
    return folder / f"{_STEM}{restore}.ndjson"


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def load(path: Path) -> tuple[Head, list[bytes]]:
    """What a file says: of which restore it is, and the canonical keys left. UsageError where it is none."""
    try:
        head, *lines = path.read_bytes().splitlines() or [b""]
        return msgspec.json.decode(head, type=Head), list(_keys(lines))
    except OSError as error:
        raise UsageError(f"no restore to resume: {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"not the file of a restore: {path}: {error}") from error


def _keys(lines: Iterable[bytes]) -> Iterable[bytes]:
    return (bytes(msgspec.json.decode(line, type=_Left).key) for line in lines)
