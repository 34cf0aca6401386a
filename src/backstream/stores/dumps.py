"""dynamodump's dumps on disk: `DUMP/TABLE/schema.json` and `DUMP/TABLE/data/0001.json`, ..., in a folder, a zip or a tar.

Nothing is unpacked to disk: members are read in place.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from backstream.errors import Damaged, Failed, NotFound
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE

SCHEMA = "schema.json"
_PAGE = re.compile(r"data/(\d+)\.json")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, *UNDECODABLE)


class Member(msgspec.Struct, frozen=True):
    """One file of a dump. `name`: relative to the dump's root, with slashes; `modified`: epoch seconds."""

    name: str
    body: bytes
    modified: float


class DumpPage(msgspec.Struct, frozen=True):
    """One page of a table's items, by its number."""

    number: int
    member: Member


class DynamodumpDump:
    """One table in a dump. `path`: a folder, an archive, or the table's own folder. Raises NotFound if there is no such dump."""

    def __init__(self, path: Path, table: str) -> None:
        self.path = path
        if not path.exists():
            raise NotFound(f"there is no dump at {path}", hint="Give dynamodump's --dumpPath, or the archive that it made.")
        roots = {name[: -len(SCHEMA)] for name in _names(path) if name == SCHEMA or name.endswith(f"/{SCHEMA}")}
        named = sorted(root for root in roots if f"/{root}".endswith(f"/{table}/"))
        alone = roots == {""}  # the path is the table's own folder
        if len(named) != 1 and not alone:
            others = ", ".join(sorted(root.rstrip("/") for root in roots)) or "no table at all"
            raise NotFound(
                f"the dump {path} does not hold one table {table} with its {SCHEMA}: it holds {others}",
                hint=f"Give the folder above {table}/{SCHEMA}, or the folder of the one table itself.",
            )
        self._root = "" if alone and not named else named[0]

    def schema(self) -> Member:
        """Returns DescribeTable's answer, as it was written."""
        return next(each for each in _members(self.path) if each.name == self._root + SCHEMA)

    def pages(self) -> Iterator[DumpPage]:
        """Yields the pages, in their stored order."""
        for each in _members(self.path, self._root + "data/"):
            if match := _PAGE.fullmatch(each.name.removeprefix(self._root)):
                yield DumpPage(int(match[1]), each)


def _names(path: Path) -> list[str]:
    with _explained(path):
        if path.is_dir():
            return [each.relative_to(path).as_posix() for pattern in ("", "*/", "*/*/") for each in path.glob(pattern + SCHEMA)]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                return archive.getnames()
    raise Damaged(f"{path} is neither a folder nor a whole zip or tar archive")


def _members(path: Path, prefix: str = "") -> Iterator[Member]:
    """Yields the files whose names begin with that prefix, in their order: an archive is read once, from beginning to end."""
    with _explained(path):
        if path.is_dir():
            files = sorted((path / prefix).glob("*.json") if prefix else path.rglob(SCHEMA))
            for each in files:
                _check_size(path, each.name, each.stat().st_size)
                yield Member(each.relative_to(path).as_posix(), each.read_bytes(), each.stat().st_mtime)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if info.filename.startswith(prefix) and not info.is_dir():
                        _check_size(path, info.filename, info.file_size)
                        written = datetime(*info.date_time, tzinfo=UTC).timestamp()
                        yield Member(info.filename, archive.read(info), written)
        else:
            with tarfile.open(path) as archive:
                for entry in archive:
                    if entry.isfile() and entry.name.startswith(prefix):
                        _check_size(path, entry.name, entry.size)
                    file = archive.extractfile(entry) if entry.isfile() and entry.name.startswith(prefix) else None
                    if file is not None:
                        yield Member(entry.name, file.read(), float(entry.mtime))


def _check_size(path: Path, name: str, size: int) -> None:
    """Raises Damaged if a member states a size beyond a page's limit. No more than the stated size is read."""
    if size > object_limits.PAGE:
        raise object_limits.too_large(f"{path}: {name}", object_limits.PAGE, size)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise Damaged(f"the archive {path} is damaged: {error}", hint="Was it copied whole?") from error
    except OSError as error:
        raise Failed(f"the dump {path} cannot be read: {error.strerror or error}") from error
