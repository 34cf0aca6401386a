"""Parses the arguments of the library's callers: moments, keys, durations, targets."""

from __future__ import annotations

import datetime
import enum
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backstream.errors import UsageError
from backstream.model import moment_arguments
from backstream.model import objectives as durations
from backstream.model.objectives import Objectives
from backstream.model.values.key_arguments import parse_key
from backstream.model.values.schema import KEY_TYPES, KeyAttribute, KeySchema
from backstream.vault.table_vault import TableVault

SEGMENTS = 4  # of a table that are read side by side, where nobody says otherwise

Moment = str | int | datetime.datetime
Key = str | Mapping[str, Any]
Duration = str | int | None  # `30m`, or seconds


class Via(enum.StrEnum):
    """The way to fill a new table: by this tool's writes, or by DynamoDB's ImportTable from a snapshot in the vault's bucket."""

    WRITES = "writes"
    IMPORT = "import"


def resumable_folder() -> Path:
    """Returns the folder of resumable files: the present one, or another one that is writable."""
    here = Path.cwd()
    return here if os.access(here, os.W_OK) else Path(tempfile.gettempdir())


def objectives_of(rpo: Duration, rto: Duration) -> Objectives:
    """Returns the objectives. Raises UsageError if one is not a duration."""
    return Objectives(*(None if each is None else durations.parse(each) if isinstance(each, str) else each for each in (rpo, rto)))


def seconds_of(duration: str | float) -> float:
    """Returns the seconds of `90s` or `4m`, or of a number of seconds. Raises UsageError if it is neither."""
    return durations.parse(duration) if isinstance(duration, str) else duration


def moment_of(at: Moment, now: float) -> int:
    """Returns the second of a moment. Raises UsageError if it is not one."""
    return moment_arguments.parse(at.isoformat() if isinstance(at, datetime.datetime) else str(at), now)


def second_of(at: Moment, now: float, vault: TableVault) -> int:
    """Returns the second of a moment. Raises UsageError, with the recovery window, if it is not one."""
    try:
        return moment_of(at, now)
    except UsageError as error:
        raise UsageError(error.message, hint=f"{error.hint} {vault.window(now)}") from error


def key_of(vault: TableVault, key: Key) -> bytes:
    """Returns the canonical key."""
    return parse_key(vault.catalog.key_schema, key if isinstance(key, str) else json.dumps(key))


def url_of(to: str | Path) -> str:
    """Returns the URL of a place for files: a URL stays, and a path becomes a `file://` URL."""
    if not str(to):
        raise UsageError("an empty text names no place", hint="Name a folder, a file, or s3://BUCKET/PATH.")
    return str(to) if "://" in str(to) else Path(to).absolute().as_uri()


def key_schema_of(text: str) -> KeySchema:
    """Returns the keys in `id:S` or `zone:S,number:N`, the hash key first. Raises UsageError if they are invalid."""
    parts = [tuple(part.strip().rpartition(":")[::2]) for part in text.split(",")]
    named = {name for name, _ in parts}
    if len(parts) not in (1, 2) or len(named) < len(parts) or not all(name and kind in KEY_TYPES for name, kind in parts):
        raise UsageError(f"not a key schema: {text!r}", hint="Write id:S, or zone:S,number:N with the hash key first; S, N or B.")
    return KeySchema(*(KeyAttribute(name, kind) for name, kind in parts))


def via_of(via: Via | str) -> Via:
    """Returns the member. Raises UsageError if it is not one."""
    try:
        return Via(via)
    except ValueError as error:
        raise UsageError(f"not a way to fill a table: {via!r}", hint=f"One of {', '.join(Via)}.") from error
