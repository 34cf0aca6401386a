"""Opens what older tools, AWS and this tool left in files: the sources of `restore --from-file`, `diff`, `migrate`, `backfill`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backstream.apps.config import Config
from backstream.apps.loading import extras
from backstream.apps.verbs.arguments import url_of
from backstream.errors import NotFound
from backstream.stores.dumps import SCHEMA, DynamodumpDump
from backstream.vault.aws_export import LineFormat
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.dynamodump import DynamodumpTable
from backstream.vault.dumps.held import HeldTable
from backstream.vault.dumps.opening import FileOptions, OpenOptions, open_held

ION, EXTRA = "backstream.vault.dumps.ion_items", "ion"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")


def held_in(config: Config, path: str | Path, table: str, options: FileOptions, at: int | None = None) -> HeldTable:
    """Returns the items that a folder, a file or a URL holds. `at`: the second that exports must lead to.

    Raises NotFound if nothing is there, and the errors of each format.
    """
    if "://" not in str(path) and _is_dynamodump(Path(path)):
        return DynamodumpTable(DynamodumpDump(Path(path), table), table, config.clock.now())
    form = CsvForm.of(options.delimiter, options.columns)
    opening = OpenOptions(table, config.clock.now(), at, checksums=options.checksums, csv=form, ion=load_ion)
    return open_held(url_of(path), config.files, opening)


def load_ion() -> LineFormat:
    """Returns the reader of Amazon Ion. Raises UsageError if its package is not installed."""
    module: Any = extras.load(ION, EXTRA)
    lines: LineFormat = module.ION_LINES
    return lines


def _is_dynamodump(path: Path) -> bool:
    """True for a folder with dynamodump's description of a table, and for an archive. Raises NotFound if there is nothing."""
    if not path.exists():
        raise NotFound(f"there is no dump at {path}", hint="Give a dump's folder or file, its archive, or the URL of an export.")
    if path.is_dir():
        return any(next(path.glob(pattern + SCHEMA), None) is not None for pattern in ("", "*/", "*/*/"))
    return path.name.endswith(ARCHIVES)
