"""Files for other readers: written whole or not at all, since a scraper or a browser may come at any moment."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from backstream import private_files
from backstream.errors import Failed, UsageError

SHARED = 0o644  # figures alone: who collects them is another user


def check_folder(path: Path) -> None:
    """Raises UsageError if there is no folder for that file: before an hour's work, not after it."""
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist", hint="Create it, or give another path.")


def publish(path: Path, body: bytes, *, shared: bool = False) -> None:
    """Writes a file in place of an existing one. Raises Failed if that is not possible. `shared`: other users may read it."""
    partial = private_files.draft_of(path)
    try:
        with private_files.create(partial) as file:
            file.write(body)
        if shared:
            partial.chmod(SHARED)
        partial.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        with suppress(OSError):  # where even its name is none, nothing is there
            partial.unlink(missing_ok=True)


def append(path: Path, line: bytes) -> None:
    """Adds a line of figures to a file that an agent follows. Raises Failed if that is not possible."""
    try:
        new = not path.exists()
        with path.open("ab") as file:
            if new:
                path.chmod(SHARED)
            file.write(line)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> Failed:
    return Failed(f"{path} cannot be written: {error.strerror}", hint="Make room, or give another path.")
