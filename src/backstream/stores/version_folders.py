"""The folders of objects and of their versions, as listings read them.

A listing passes through here for each object: paths are strings, and each version is looked at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from backstream.errors import Damaged
from backstream.ports import ObjectVersion
from backstream.stores.file_names import name_bytes

BODY = "body"
DELETED = "deleted"


def version_folder(number: int) -> str:
    """Returns the name of the folder of a version with this number."""
    return f"{number:08d}"


def taken(folder: Path | str) -> list[int]:
    """Returns the numbers in an object's folder that are taken, in order; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    except FileNotFoundError:
        return []


def version_rows(name: str, folder: str) -> Iterator[ObjectVersion]:
    """Yields the versions of the object in this folder, newest first. The first one is its newest version."""
    latest = True
    for number in reversed(taken(folder)):
        row = _row(name, folder, version_folder(number), latest=latest)
        if row is not None:
            yield row
            latest = False


def _row(name: str, folder: str, version: str, *, latest: bool) -> ObjectVersion | None:
    """Returns the version as a listing shows it; None if it, or the marker, was removed."""
    for file, marker in ((BODY, False), (DELETED, True)):
        try:
            facts = os.stat(f"{folder}/{version}/{file}")  # noqa: PTH116 - a third of the time of Path.stat
        except (FileNotFoundError, NotADirectoryError):
            continue
        return ObjectVersion(name, version, facts.st_size, seconds(facts), latest=latest, marker=marker)
    return None


def name_text(name: bytes, folder: str) -> str:
    """Returns an object's name as text. Raises Damaged if it is none: the store did not make this folder."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        which = folder.rpartition("/")[2]
        raise Damaged(f"The folder {which!r} in the store was not made by it.", hint="Move it elsewhere.") from None


def seconds(facts: os.stat_result) -> float:
    """Returns the time of a file, in seconds since 1970."""
    return facts.st_mtime_ns / 1_000_000_000  # of two integers: exact to the last bit of the float


def folder_entries(folder: str, begin: bytes) -> Iterator[tuple[bytes, str, str]]:
    """Yields for each object and folder in `folder`: its name or the prefix of its names, its component, and `folder`."""
    try:
        with os.scandir(folder) as entries:
            components = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return iter(())
    return ((begin + name_bytes(component), component, folder) for component in components)
