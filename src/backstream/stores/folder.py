"""Plain files in a folder, as `ports.Files`: a snapshot lies there as it would in a bucket, to be copied with any tool.

Unlike `DirectoryStore` it keeps no versions and adds no names of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstream.errors import MissingObject
from backstream.ports import ObjectInfo, StoredObject
from backstream.stores.directory import named, sync

_NO_VERSION = "null"


class FolderFiles:
    """See `ports.Files`. Names are relative paths; folders are made as they are needed."""

    def __init__(self, folder: Path) -> None:
        self._root = folder

    @property
    def url(self) -> str:
        return f"file://{self._root}"

    def put(self, name: str, body: bytes) -> str:
        path = self._root / name
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with self._explained("write", name):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("xb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            for above in path.parents:
                sync(above)
                if above == self._root:
                    break
        return _NO_VERSION

    def get(self, name: str) -> StoredObject:
        path = self._root / name
        with self._explained("read", name):
            try:
                body, modified = path.read_bytes(), path.stat().st_mtime
            except FileNotFoundError:
                raise MissingObject(f"There is no {self.url}/{name}.") from None
        return StoredObject(ObjectInfo(name, _NO_VERSION, len(body), modified, {}), body)

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise named(error, f"Could not {doing} {self.url}/{name}: {error.strerror}.", self._root) from error
