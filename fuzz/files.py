"""Readers of files: what lies on an operator's machine, and dumps and exports of any tool."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.clock import SystemClock
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.changes.selection import keys_in, numbers_in
from backstream.operations.export import manifest as exports
from backstream.operations.export import restored
from backstream.operations.export.parquet_files import ExportFile
from backstream.operations.migrate.journal import MigrationJournal
from backstream.operations.restore import resume_file
from backstream.operations.restore.targets.kept import UndoJournal
from backstream.operations.revert.plan_file import Plan
from backstream.operations.together import group_file
from backstream.operations.together.restoring import GroupRestoreHead
from backstream.ports import ListedObject
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault.dumps import csv_rows, ion_items
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.held import HeldTable, TableKeys, checked, keys_of
from backstream.vault.dumps.line_dump import LineDump
from backstream.vault.dumps.own_dump import OwnDump
from backstream.vault.table_vault import TableVault
from fuzz.newer_records import CATALOG, TABLE

SCHEMA = KeySchema(KeyAttribute("id", "S"), KeyAttribute("n", "N"))
KEYS = TableKeys(SCHEMA, {"id": "S", "n": "N", "b": "B"})
NOW = 1_796_000_000.0
Target = Callable[[bytes], object]


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with private_files.create(path) as file:
            file.write(data)
        yield path


def _of_path(read: Callable[[Path], object]) -> Target:
    def target(data: bytes) -> object:
        with _file(data) as path:
            return read(path)

    return target


# --- an operator's files ---


def _plan(data: bytes) -> object:
    """A plan, sealed: otherwise its digest stops everything else."""
    body = data + b"\n" * (not data.endswith(b"\n"))
    sealed = body + msgspec.json.encode({"sha256": hashlib.sha256(body).hexdigest()}) + b"\n"
    with _file(sealed) as path:
        plan = Plan(path)
        plan.check_rows(wire.KeyReader(SCHEMA))
        return [each.steps for each in plan.rows()]


def _undo(path: Path) -> object:
    found = UndoJournal(path)
    return found.head, list(found.last_changes()), found.ended, found.taken_back


def _journal(path: Path) -> object:
    found = MigrationJournal(path)
    return found.head, list(found.last_changes()), found.open


# --- dumps and exports ---


def _items(dump: HeldTable, keys: TableKeys = KEYS) -> object:
    return [list(checked(page, keys.schema)) for page in dump.pages(keys)], dump.missing()


def _lines(name: str, *, manifest: bool = False) -> Target:
    def target(data: bytes) -> object:
        store = MemoryStore(SystemClock())
        store.put(name, b'{"id":{"S":"a"},"n":{"N":"1"}}' if manifest else data)
        if manifest:
            store.put("manifest", data)
        files = [ListedObject(each.name, each.size, each.modified) for each in store.list("")]
        return _items(LineDump(store, files, CsvForm(), lambda: ion_items.ION_LINES, NOW))

    return target


def _own_dump(data: bytes) -> object:
    store = MemoryStore(SystemClock())
    store.put("manifest.json", data)
    dump = OwnDump(store, NOW)
    return _items(dump, keys_of(dump.facts.description or {}, "the dump"))


def _csv(data: bytes) -> object:
    return list(csv_rows.rows("x.csv", iter(data.split(b"\n")), CsvForm(), KEYS))


def _export(data: bytes) -> object:
    store = MemoryStore(SystemClock())
    store.put(exports.MANIFEST, data)
    return exports.read(store)


def _parquet(data: bytes) -> object:
    """A file of an export whose manifest has its digest."""
    store = MemoryStore(SystemClock())
    store.put("part-00000.parquet", data)
    catalogs.save(store, CATALOG, None)
    file = ExportFile("part-00000.parquet", 1, len(data), hashlib.sha256(data).hexdigest())
    return list(restored.images_of(store, file, TableVault.open(store, TABLE)))


TARGETS: Mapping[str, Target] = {
    "plan-file": _plan,
    "plan-file-raw": _of_path(Plan),
    "resume-file": _of_path(resume_file.load),
    "undo-file": _of_path(_undo),
    "journal": _of_path(_journal),
    "group-run": _of_path(lambda path: group_file.load(path, GroupRestoreHead)),
    "keys-file": _of_path(lambda path: keys_in(path, SCHEMA, TABLE)),
    "changes-file": _of_path(lambda path: numbers_in(path, SCHEMA, TABLE)),
    "own-dump": _own_dump,
    "line-dump": _lines("part-00000"),
    "line-dump-manifest": _lines("part-00000", manifest=True),
    "line-dump-deflate": _lines("part-00000.deflate"),
    "ion-dump": _lines("part-00000.ion"),
    "csv-dump": _lines("part-00000.csv"),
    "csv": _csv,
    "ion-item": ion_items.read_item,
    "ion-change": ion_items.read_change,
    "export-manifest": _export,
    "parquet": _parquet,
}
