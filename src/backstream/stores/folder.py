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
from backstream.stores.directory import named

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
        return _NO_VERSION

    def get(self, name: str) -> StoredObject:
        path = self._root / name
        try:
            with self._explained("read", name):
                body = path.read_bytes()
                modified = path.stat().st_mtime
        except FileNotFoundError as error:
            raise MissingObject(f"There is no {self.url}/{name}.") from error
        return StoredObject(ObjectInfo(name, _NO_VERSION, len(body), modified, {}), body)

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise named(error, f"Could not {doing} {self.url}/{name}: {error.strerror}.", self._root) from error
