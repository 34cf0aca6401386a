"""The file of a migration, or of a restore in place: it lists the items that were written, so that they can be undone.

The first line identifies the migration or restore. Then, by the number of each change:

    ["i", 7, KEY, BEFORE, AFTER]   it is going to be made: the item's key, and digests of its image before and after, null for none
    ["i", 7, KEY, BEFORE, AFTER, IMAGE]   the same of a restore, which keeps the image before too, since the vault may not have it
    ["t", 7]                       it is being tried: the request goes out next
    ["d", 7]                       it is done
    ["w", 7]                       it was not done, and will not be: somebody had changed the item
    ["e"]                          all items have been looked at
    ["u"]                          it is being taken back

An "i" line is on the disk before its request goes out, a "t" line at least with the operating system: `kill -9` loses neither. Only
one process at a time has the file. Its owner alone may read it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from backstream import private_files
from backstream.errors import Failed, Refused, UsageError
from backstream.model import migration
from backstream.model.migration import ItemRewrite
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason

_INTENDED, _TRIED, _DONE, _WITHDRAWN = 1, 2, 3, 4
_MARKS = {"t": _TRIED, "d": _DONE, "w": _WITHDRAWN}

HeadT = TypeVar("HeadT", bound=msgspec.Struct)


class Noted(msgspec.Struct, frozen=True):
    """One change in the file. `tried`: True if its request may have gone out; `image`: the image before, if it is kept."""

    number: int
    key: bytes
    before: str | None
    after: str | None
    tried: bool
    image: bytes | None = None


class Journal(Generic[HeadT]):
    """The file, held by this process. Safe to call from many threads. `keeps_images`: True if it keeps the images before."""

    def __init__(self, path: Path, file: BinaryIO, head: HeadT, number: int, *, keeps_images: bool = False) -> None:
        self.path = path
        self.head = head
        self._file = file
        self._next = number
        self._keeps_images = keeps_images
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0  # bytes since this process has it

    @classmethod
    def begin(cls, path: Path, head: HeadT, *, keeps_images: bool = False) -> Journal[HeadT]:
        """Begins a new file, durable. Raises Failed if it cannot be kept."""
        try:
            file = _create(path)
        except OSError as error:
            raise _not_kept(path, error) from error
        journal = cls(path, file, head, 0, keeps_images=keeps_images)
        _hold(file, path)
        journal._write([msgspec.json.encode(head)])
        journal._sync()
        return journal

    @classmethod
    def reopen(cls, path: Path, standing: JournalState[HeadT], *, keeps_images: bool = False) -> Journal[HeadT]:
        """Opens a file that an earlier process left, to resume it. Raises Refused if another process has it."""
        try:
            file = private_files.reopen(path)
        except OSError as error:
            raise _not_kept(path, error) from error
        _hold(file, path)
        file.truncate(standing.whole)  # a line that a kill cut short
        file.seek(0, os.SEEK_END)
        return cls(path, file, standing.head, standing.count, keeps_images=keeps_images)

    @property
    def count(self) -> int:
        """The number of changes in it."""
        return self._next

    def intend(self, changes: Sequence[ItemRewrite]) -> list[int]:
        """Notes changes that are going to be made, and returns their numbers. They are durable when it returns."""
        digests = [(migration.digest(each.before), migration.digest(each.after)) for each in changes]
        with self._lock:
            numbers = list(range(self._next, self._next + len(changes)))
            self._next += len(changes)
            lines = [
                msgspec.json.encode(["i", number, msgspec.Raw(each.key), before, after, *self._image(each)])
                for number, each, (before, after) in zip(numbers, changes, digests, strict=True)
            ]
            self._write(lines)
        self._sync()
        return numbers

    def _image(self, change: ItemRewrite) -> list[msgspec.Raw]:
        if not self._keeps_images or change.before is None:
            return []
        return [msgspec.Raw(wire.one_line(change.before))]

    def tried(self, number: int) -> None:
        """Notes that the change's request goes out next."""
        self._mark("t", number)

    def done(self, number: int) -> None:
        """Notes that the change is done."""
        self._mark("d", number)

    def withdraw(self, number: int) -> None:
        """Notes that the change was not done, and will not be."""
        self._mark("w", number)

    def end(self) -> None:
        """Notes that all items have been looked at."""
        with self._lock:
            self._write([b'["e"]'])
        self._sync()

    def take_back(self) -> None:
        """Notes that the changes are being undone: from now on nobody resumes it."""
        with self._lock:
            self._write([b'["u"]'])
        self._sync()

    def close(self) -> None:
        """Closes the file; it stays for a resume or an undo."""
        self._file.close()

    def discard(self) -> None:
        """Deletes the file, because nothing was written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _mark(self, mark: str, number: int) -> None:
        with self._lock:
            self._write([b'["%s",%d]' % (mark.encode(), number)])

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            body = b"".join(line + b"\n" for line in lines)
            self._file.write(body)
            self._file.flush()
            self._written += len(body)
        except (OSError, ValueError) as error:  # ValueError: it was closed, since the migration was stopped
            raise _not_kept(self.path, error) from error

    def _sync(self) -> None:
        """Makes everything written by now durable. Threads that wait for one another share the effort."""
        with self._lock:
            wanted = self._written
        with self._syncing:
            if self._synced >= wanted:
                return
            with self._lock:
                reached = self._written
            try:
                os.fsync(self._file.fileno())
            except (OSError, ValueError) as error:
                raise _not_kept(self.path, error) from error
            self._synced = reached


class JournalState(Generic[HeadT]):
    """The contents of a file: `is_settled` tells whether an item was written, `open` returns changes that may have been made;
    `whole`: the bytes of whole lines.

    `head`: the type of its first line; `what`: a description of the file. A settled change takes 16 bytes of memory.
    """

    def __init__(self, path: Path, head: type[HeadT], what: str) -> None:
        self._path = path
        self._marks = bytearray()
        self._settled: set[bytes] = set()
        self.whole = 0
        self.ended = False
        self.taken_back = False
        lines = self._lines()
        try:
            self.head: HeadT = msgspec.json.decode(next(lines, b""), type=head)
        except UNDECODABLE as error:
            raise UsageError(f"not the file of a {what}: {path}: {reason(error)}") from error
        for line in lines:
            try:
                self._note(self._decoded(line))
            except (LookupError, TypeError, ValueError) as error:
                raise self._damaged(line, "a line that no journal has") from error
        for each in self.changes():
            if self._marks[each.number] == _DONE:
                self._settled.add(_short(each.key))

    @property
    def count(self) -> int:
        """The number of changes in it."""
        return len(self._marks)

    @property
    def done(self) -> int:
        """The number of changes that were made."""
        return self._marks.count(_DONE)

    def is_settled(self, key: bytes) -> bool:
        """True if the item was migrated."""
        return _short(key) in self._settled

    def settle(self, key: bytes) -> None:
        """Notes that the item was migrated."""
        self._settled.add(_short(key))

    @property
    def open(self) -> list[Noted]:
        """Returns changes that may or may not have been made: those under way at an interruption."""
        return [each for each in self.changes() if self._marks[each.number] in (_INTENDED, _TRIED)]

    def changes(self) -> Iterator[Noted]:
        """Yields every change that was not withdrawn, in the order of the file."""
        lines = self._lines()
        next(lines, None)
        for line in lines:
            mark, *rest = self._decoded(line)
            if mark == "i" and self._marks[rest[0]] != _WITHDRAWN:
                number, key, before, after, *image = rest
                kept = bytes(self._raw(line)[5]) if image else None
                yield Noted(number, msgspec.json.encode(key), before, after, self._marks[number] != _INTENDED, kept)

    def last_changes(self) -> Iterator[Noted]:
        """Yields the last change of each item that was not withdrawn, in the order of the file."""
        last = {_short(each.key): each.number for each in self.changes()}
        return (each for each in self.changes() if last[_short(each.key)] == each.number)

    @staticmethod
    def _raw(line: bytes) -> list[msgspec.Raw]:
        """Returns the parts of a line with their original bytes: an image is never encoded anew."""
        return msgspec.json.decode(line, type=list[msgspec.Raw])

    def _lines(self) -> Iterator[bytes]:
        try:
            with private_files.opened(self._path) as file:
                whole = 0
                for line in private_files.lines(file, self._path):
                    if not line.endswith(b"\n"):
                        break
                    whole += len(line)
                    self.whole = max(self.whole, whole)
                    yield line
        except OSError as error:
            raise UsageError(
                f"cannot read {self._path}: {error.strerror}",
                hint="Run it in the folder where the file lies, or give the file's path.",
            ) from error

    def _decoded(self, line: bytes) -> list[Any]:
        try:
            return msgspec.json.decode(line, type=list[Any])
        except UNDECODABLE as error:
            raise self._damaged(line, reason(error)) from error

    def _damaged(self, line: bytes, why: str) -> UsageError:
        return UsageError(f"{self._path} is damaged: {why}: {line[:80]!r}")

    def _note(self, line: list[Any]) -> None:
        """Notes a line. Raises LookupError, TypeError or ValueError if it is not one that `Journal` writes."""
        mark, *rest = line
        if mark == "e":
            self.ended = True
        elif mark == "u":
            self.taken_back = True
        elif mark == "i":
            _check_change(rest, len(self._marks))
            self._marks.append(_INTENDED)
        else:
            (number,) = rest
            if type(number) is not int or number < 0:
                raise ValueError(number)
            self._marks[number] = _MARKS[mark]


def _check_change(parts: list[Any], number: int) -> None:
    """Raises ValueError if it is not a change with this number."""
    said, key, before, after, *image = parts
    digests = all(each is None or isinstance(each, str) for each in (before, after))
    if said != number or not isinstance(key, dict) or not digests or len(image) > 1:
        raise ValueError(said)


def _create(path: Path) -> BinaryIO:
    """Creates a new file that only its owner may read; its name is durable."""
    file = private_files.create(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def _short(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=16).digest()


def _hold(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Refused(f"another process is at this: {path}", hint="Wait until it has ended, or stop it.") from error


def _not_kept(path: Path, error: OSError | ValueError) -> Failed:
    why = error.strerror if isinstance(error, OSError) else error
    return Failed(f"what is done cannot be kept in {path}: {why}", hint="Make room, or run it in another folder.")
