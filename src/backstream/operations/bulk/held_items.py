"""The items of files on disk, each key once: scanned and fetched like a table. Memory holds a page, whatever their number."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn, Self

import msgspec

from backstream.errors import Failed, Refused
from backstream.model.values import wire
from backstream.ports import ConditionalWrite, ScanPage, TableFacts, Write
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.dumps.held import HeldTable, TableKeys, checked

PAGE = 1_000
_MAKE = "CREATE TABLE items (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, image BLOB NOT NULL)"
_PUT = "INSERT INTO items (key, image) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET image = excluded.image"


class HeldItems:
    """See `ports.ScannedTable`. Nothing is ever written.

    Raises the errors of `HeldTable.pages`, and Refused if something is known to be missing. `digest`: identifies the contents;
    `count`: the number of items; `repeated`: the number of items that a later one with the same key replaced.
    """

    def __init__(self, held: HeldTable, keys: TableKeys) -> None:
        self.name = held.facts.url
        self._held = held
        self._schema = keys.schema
        self._folder = TemporaryFolder()
        self._lock = threading.Lock()
        try:
            self._files = sqlite3.connect(self._folder.path / "items", check_same_thread=False)
            self._files.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_MAKE}")
            self.read = self._load(keys)
            self._check_whole()
            self.count: int = self._files.execute("SELECT count(*) FROM items").fetchone()[0]
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise Failed(f"{self.name} could not be put on disk: {error}", hint="Is there room in TMPDIR?") from error
            raise

    def close(self) -> None:
        """Removes the files."""
        if hasattr(self, "_files"):
            self._files.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, keys: TableKeys) -> int:
        read = 0
        for page in self._held.pages(keys):
            self._files.executemany(_PUT, checked(page, keys.schema))
            gone = [(wire.key_of(keys.schema, each),) for each in page.deleted]
            self._files.executemany("DELETE FROM items WHERE key = ?", gone)
            read += len(page.images)
        self._files.commit()
        return read

    def _check_whole(self) -> None:
        if missing := self._held.missing():
            what = f"{self._held.facts.what} in {self.name}"
            raise Refused(f"{what} is not whole: {'; '.join(missing)}", hint="Copy all of it first.")

    @property
    def repeated(self) -> int:
        """The number of items that a later one with the same key replaced; 0 if items were deleted, too."""
        return 0 if self._held.facts.moment and self._held.facts.rows is None else self.read - self.count

    def digest(self) -> str:
        """Returns what identifies the contents, in whatever order the files hold them."""
        whole = hashlib.sha256()
        for key, image in self._rows("SELECT key, image FROM items ORDER BY key"):
            whole.update(len(key).to_bytes(4) + key + len(image).to_bytes(4) + image)
        return whole.hexdigest()[:32]

    def images(self, after: int = 0) -> Iterator[Sequence[tuple[bytes, bytes]]]:
        """Yields keys with images in the order of the keys, some together, from the item with that number on."""
        page: list[tuple[bytes, bytes]] = []
        for row in self._rows("SELECT key, image FROM items ORDER BY key LIMIT -1 OFFSET ?", after):
            page.append(row)
            if len(page) >= PAGE:
                yield page
                page = []
        if page:
            yield page

    def _rows(self, query: str, *values: int) -> Iterator[tuple[bytes, bytes]]:
        with sqlite3.connect(self._folder.path / "items", check_same_thread=False) as own:
            yield from own.execute(query, values)

    # --- as a table ---

    def facts(self) -> TableFacts:
        """See `ScannedTable.facts`: an active table without a stream."""
        told = self._held.facts
        return TableFacts(
            name=self.name,
            arn=f"file:{self.name}",
            table_id="",
            schema=self._schema,
            status="ACTIVE",
            stream_arn=None,
            stream_enabled=False,
            stream_view=None,
            description=msgspec.json.encode(told.description or {}),
            items=self.count,
        )

    def page(
        self,
        segment: int,
        segments: int,
        after: bytes | None,
        limit: int | None = None,
        *,
        consistent: bool = True,  # noqa: ARG002 - nothing changes
    ) -> ScanPage:
        """See `ScannedTable.page`. `after` is a number."""
        query = "SELECT number, image FROM items WHERE number > ? AND number % ? = ? ORDER BY number LIMIT ?"
        with self._lock:
            rows = self._files.execute(query, (int(after or b"0"), segments, segment, min(limit or PAGE, PAGE))).fetchall()
        last = str(rows[-1][0]).encode() if rows else None
        return ScanPage([image for _, image in rows], last, 0.0, 0.0)

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """See `ScannedTable.fetch`."""
        with self._lock:
            found = [self._files.execute("SELECT image FROM items WHERE key = ?", (key,)).fetchone() for key in keys]
        return [each[0] for each in found if each is not None]

    def write_if(self, write: Write, before: bytes | None) -> NoReturn:  # noqa: ARG002 - nothing is written
        """Raises Refused: files are only read."""
        raise Refused(f"{self.name} is only read", hint="Restore it into a table.")

    def write_each(self, writes: Sequence[ConditionalWrite]) -> NoReturn:  # noqa: ARG002 - nothing is written
        """Raises Refused: files are only read."""
        raise Refused(f"{self.name} is only read", hint="Restore it into a table.")
