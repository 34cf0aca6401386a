"""Plain files in a folder, as `ports.Files`: a snapshot has the same files there as in a bucket, to be copied with any tool.

Unlike `DirectoryStore` it keeps no versions and adds no names of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

from backstream import private_files
from backstream.errors import Damaged, MissingBucket, MissingObject
from backstream.model.values.object_limits import Limit, too_large, unlimited
from backstream.ports import ListedObject, ObjectInfo, StoredObject
from backstream.stores.directory import named, sync
from backstream.stores.file_names import may_hold

_NO_VERSION = "null"


class FolderFiles:
    """See `ports.Files`. Names are relative paths; folders are made as they are needed."""

    def __init__(self, folder: Path, limit: Limit = unlimited) -> None:
        self._root = folder
        self._limit = limit

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    def put(self, name: str, body: bytes) -> str:
        path = self._path(name)
        with self._explained("write", name):
            private_files.make_folder(path.parent)
            private_files.replace(path, body)
            for above in path.parents:
                sync(above)
                if above == self._root:
                    break
        return _NO_VERSION

    def get(self, name: str) -> StoredObject:
        path = self._path(name)
        with self._explained("read", name):
            try:
                facts = path.stat()
                if facts.st_size > self._limit(name):
                    raise too_large(f"{self.url}/{name}", self._limit(name), facts.st_size)
                body = path.read_bytes()
            except FileNotFoundError:
                raise MissingObject(f"There is no {self.url}/{name}.") from None
        return StoredObject(ObjectInfo(name, _NO_VERSION, len(body), facts.st_mtime, {}), body)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """Returns a part of a file, as `ObjectStore.get_range`; `start` counts from the file's beginning."""
        path = self._path(name)
        with self._explained("read", name):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read(length)
            except FileNotFoundError:
                raise MissingObject(f"There is no {self.url}/{name}.") from None

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Yields files whose names start with `prefix` and come after `after`, in UTF-8 byte order.

        Raises MissingBucket without the folder.
        """
        if not self._root.is_dir():
            raise MissingBucket(f"There is no folder {self._root}.")
        with self._explained("list", prefix):
            yield from self._below("", prefix.encode(), after.encode())

    def _below(self, folder: str, prefix: bytes, after: bytes) -> Iterator[ListedObject]:
        """Yields the files of one folder, whose own name ends in a slash. It follows no link to a folder."""
        with os.scandir(self._root / folder) as found:
            named = [(os.fsencode(f"{folder}{each.name}{'/' * each.is_dir(follow_symlinks=False)}"), each) for each in found]
        for name, each in sorted(named, key=itemgetter(0)):
            if name.endswith(b"/"):
                if may_hold(name, prefix, after):
                    yield from self._below(os.fsdecode(name), prefix, after)
            elif name.startswith(prefix) and name > after and each.is_file():
                facts = each.stat()
                yield ListedObject(os.fsdecode(name), facts.st_size, facts.st_mtime)

    def _path(self, name: str) -> Path:
        """Returns the path of a name. Raises Damaged if it leads out of the folder: an export's manifest may name any file."""
        if name.startswith("/") or "\0" in name or ".." in name.split("/"):
            raise Damaged(f"{self.url}: a name that leads out of it: {name!r:.300}")
        return self._root / name

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise named(error, f"Could not {doing} {self.url}/{name}: {error.strerror}.", self._root) from error
