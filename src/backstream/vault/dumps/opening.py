"""Finds out what a folder or a file holds, and opens it as a source of items."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from backstream.errors import NotFound, Refused
from backstream.ports import ListedObject, StoredObject
from backstream.vault.aws_export import Export, LineFormat
from backstream.vault.aws_export.manifests import FOLDER
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.dumps import DATA, MANIFEST, STARTED
from backstream.vault.dumps.export_chain import ExportChain, chain_of, only_export
from backstream.vault.dumps.held import HeldTable
from backstream.vault.dumps.line_dump import LineDump
from backstream.vault.dumps.line_files import RangedFiles
from backstream.vault.dumps.own_dump import OwnDump

SUMMARY = "manifest-summary.json"
_EXPORT = re.compile(rf"{FOLDER}([^/]+)/(?:_started|{re.escape(SUMMARY)})")
_ID = "export"

Place = Callable[[str], RangedFiles]


class FileOptions(msgspec.Struct, frozen=True):
    """The form of files of items. `checksums`: False if `.md5` files may be missing; `delimiter`, `columns`: of CSV."""

    checksums: bool = True
    delimiter: str | None = None
    columns: str | None = None


class OpenOptions(msgspec.Struct, frozen=True):
    """The options for opening a dump.

    `table`: the table of interest; `now`: epoch seconds, no file counts as younger; `at`: the second that exports must lead to;
    `checksums`: False if `.md5` files may be missing; `csv`: how CSV files are written; `ion`: loads the reader of Amazon Ion.
    """

    table: str
    now: float
    at: int | None = None
    checksums: bool = True
    csv: CsvForm = CsvForm()
    ion: Callable[[], LineFormat] | None = None


def open_held(url: str, place: Place, options: OpenOptions) -> HeldTable:
    """Returns the items that a folder or a file holds. `url`: `s3://bucket/path` or `file:///path`; `place` opens a folder.

    Raises NotFound if nothing is there, and the errors of each kind.
    """
    url = url.rstrip("/")
    root, found, export_id = url.rpartition(f"/{FOLDER}")
    if found and "/" not in export_id:
        return _export(place(root), export_id, url, options)
    here = place(url)
    files = _below(here)
    names = {each.name for each in files}
    if SUMMARY in names:
        return only_export(_opened(_Moved(here), _ID, options), url)
    if MANIFEST in names or (STARTED in names and any(name.startswith(DATA) for name in names)):
        return OwnDump(here, options.now, checksums=options.checksums)
    if f"{url}/".endswith(f"/{FOLDER}"):
        above = place(url.rpartition("/")[0])
        return _several(above, {f"{FOLDER}{name}" for name in names}, url, options)
    if any(_EXPORT.fullmatch(name) for name in names):
        return _several(here, names, url, options)
    if files:
        return LineDump(here, files, options.csv, options.ion, options.now)
    return _file(url, place, options)


def _below(here: RangedFiles) -> list[ListedObject]:
    try:
        return list(here.list(""))
    except NotFound:
        return []


def _file(url: str, place: Place, options: OpenOptions) -> LineDump:
    above, _, name = url.rpartition("/")
    folder = place(above)
    try:
        files = [each for each in folder.list(name) if each.name == name]
    except NotFound:
        files = []
    if not files:
        raise NotFound(f"there is nothing at {url}", hint="Name a dump's folder or file, or an export's .../AWSDynamoDB/ID.")
    return LineDump(folder, files, options.csv, options.ion, options.now)


# --- exports ----------------------------------------------------------------------------------------------------------------------


def _opened(here: RangedFiles | _Moved, export_id: str, options: OpenOptions) -> Export:
    return Export.open(here, export_id, checksums=options.checksums, ion=options.ion)


def _export(here: RangedFiles, export_id: str, url: str, options: OpenOptions) -> ExportChain:
    """Returns one export; with a moment, and the incremental ones beside it that lead there."""
    export = _opened(here, export_id, options)
    if options.at is None:
        return only_export(export, url)
    only_export(export, url)
    others = _finished(here, {each.name for each in _below(here)}, options)
    return chain_of([export, *(each for each in others if each.summary.incremental)], options.table, url, options.at)


def _several(here: RangedFiles, names: Iterable[str], url: str, options: OpenOptions) -> ExportChain:
    return chain_of(_finished(here, names, options), options.table, url, options.at)


def _finished(here: RangedFiles, names: Iterable[str], options: OpenOptions) -> list[Export]:
    """Returns the exports that are complete. One without a summary is not, and nothing is read of it."""
    held = set(names)
    ids = sorted({found[1] for name in held if (found := _EXPORT.fullmatch(name))})
    if not ids:
        raise NotFound(
            f"there is no export in {here.url}/{FOLDER}", hint="Name an export's .../AWSDynamoDB/ID, or a folder above it."
        )
    finished = [each for each in ids if f"{FOLDER}{each}/{SUMMARY}" in held]
    if not finished:
        raise Refused(f"no export in {here.url} is complete: none has its {SUMMARY}", hint="Wait until they are COMPLETED.")
    return [_opened(here, each, options) for each in finished]


class _Moved:
    """An export's own folder, without `AWSDynamoDB/ID/` above it: it was copied alone."""

    def __init__(self, store: RangedFiles) -> None:
        self._store = store

    @property
    def url(self) -> str:
        return self._store.url

    def put(self, name: str, body: bytes) -> str:
        """Raises: nothing is written."""
        raise NotImplementedError

    def get(self, name: str) -> StoredObject:
        """See `Files.get`. The first two parts of a name are the folders that are not there."""
        return self._store.get(re.sub(rf"^{FOLDER}[^/]+/", "", name))
