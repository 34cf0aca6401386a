"""Keeps the images of an item's entries out of memory: an item may have thousands of versions, and a page shows a few of them."""

from __future__ import annotations

import tempfile
import threading
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec

from backstream.errors import Failed
from backstream.model.changes.entry import Entry

IN_MEMORY = 1 << 20  # bytes of images that need no file


class EntryApart(Entry, frozen=True, array_like=True, gc=False):
    """An entry without its image. `spot`: the offset and the length of the image in the file; None if it had none of its own."""

    spot: tuple[int, int] | None = None


class ImagesApart:
    """A temporary file of images, which nobody else can open. Safe from any thread."""

    def __init__(self) -> None:
        self._file = cast("BinaryIO", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - `__exit__` closes it
        self._end = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def taken(self, entry: Entry) -> Entry:
        """Returns the entry without its image, which goes to the file.

        A delete's old image is dropped: no version shows it. Raises Failed if there is no space.
        """
        if isinstance(entry, EntryApart) or (entry.image is None and entry.old is None):
            return entry
        kept = None if entry.removed else entry.image
        fields = {**msgspec.structs.asdict(entry), "image": None, "old": None}
        return EntryApart(**fields, spot=None if kept is None else self._write(kept))

    def whole(self, entry: Entry) -> Entry:
        """Returns the entry with its image again."""
        if not isinstance(entry, EntryApart) or entry.spot is None:
            return entry
        offset, length = entry.spot
        with self._lock:
            self._file.seek(offset)
            return msgspec.structs.replace(entry, image=self._file.read(length))

    def _write(self, image: bytes) -> tuple[int, int]:
        with self._lock:
            begin = self._end
            try:
                self._file.seek(begin)
                self._file.write(image)
            except OSError as error:
                raise Failed(
                    f"the temporary folder takes no more: {error.strerror}",
                    hint="Free some space there, or set TMPDIR to another one.",
                ) from error
            self._end += len(image)
        return begin, len(image)
