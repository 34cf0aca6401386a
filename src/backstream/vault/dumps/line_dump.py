"""Folders of text files with an item a line: by EMR and Data Pipeline, by Hive, by `--to-file`, in Amazon Ion, and CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence

import msgspec

from backstream.errors import Damaged, NotFound, UsageError
from backstream.model.values import older_items
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ListedObject
from backstream.vault.aws_export import LineFormat
from backstream.vault.dumps import csv_rows
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.held import HeldFacts, HeldPage, TableKeys, paged
from backstream.vault.dumps.line_files import RangedFiles, lines

LIMITS = "from files of items: they do not tell their moment, hold no settings, and rows that are not in them are left alone"
MANIFEST, TEMPORARY = "manifest", "_temporary/"
NAMED = 10
ETX = older_items.AFTER_NAME.encode()
_ION = re.compile(rb"\s*(?:\$ion_1_0|\{\s*(?:'Item'|Item)\s*:)")
_ION_NAME = re.compile(r".*\.ion(?:\.[a-z0-9]+)?", re.IGNORECASE)
_NO_DATA = ("_$folder$", "/", ".crc", ".md5", ".checksum")
_CSV = re.compile(r".*\.(?:csv|tsv)(?:\.[a-z0-9]+)?", re.IGNORECASE)


class _Entry(msgspec.Struct):
    url: str


class _Manifest(msgspec.Struct):
    entries: list[_Entry]


_manifest = msgspec.json.Decoder(_Manifest)


class LineDump:
    """See `HeldTable`. `files`: everything that lies in the folder, or one file alone."""

    def __init__(
        self,
        store: RangedFiles,
        files: Sequence[ListedObject],
        csv: CsvForm,
        ion: Callable[[], LineFormat] | None,
        now: float,
    ) -> None:
        self._store = store
        self._csv = csv
        self._load_ion = ion
        self._ion_format: LineFormat | None = None
        self._missing: list[str] = []
        self._files = self._chosen({each.name: each for each in files})
        if not self._files and MANIFEST not in {each.name for each in files}:
            raise NotFound(f"{store.url} holds no files of items", hint="Name the folder that holds the dump's data files.")
        self.facts = HeldFacts(
            what="files of items",
            url=store.url,
            at=min(int(now), max(int(each.modified) for each in self._files or files)),
            limits=LIMITS,
        )

    def pages(self, keys: TableKeys) -> Iterator[HeldPage]:
        """See `HeldTable`."""
        for file in self._files:
            if _CSV.fullmatch(file.name):
                yield from paged(file.name, csv_rows.rows(file.name, lines(self._store, file), self._csv, keys))
            else:
                yield from paged(file.name, self._items(file, keys))

    def missing(self) -> list[str]:
        """Describes the files that the manifest names and that are not there, and a job that did not end."""
        return self._missing

    # --- which files ---

    def _chosen(self, files: dict[str, ListedObject]) -> list[ListedObject]:
        """Returns the data files. A manifest names them; else they are all whose names Hadoop does not hide."""
        if any(f"/{TEMPORARY}" in f"/{name}" for name in files):
            self._missing.append("the job that wrote it did not end: there is a folder _temporary")
        shown = {name: each for name, each in files.items() if not _hidden(name)}
        if MANIFEST not in files:
            return [shown[name] for name in sorted(shown)]
        named, lost = dict[str, str](), list[str]()  # the address of each file, and of what no file is
        for url in dict.fromkeys(self._named_by_manifest()):
            name = _file_of(url, shown)
            if name is None or named.setdefault(name, url) != url:
                lost.append(url.rstrip("/").rpartition("/")[2] if name is None else url)
        self._missing += [f"the manifest names {name}, which is missing" for name in lost[:NAMED]]
        if more := sorted(shown.keys() - named.keys()):
            self._missing.append(f"the manifest does not name {', '.join(more[:NAMED])}: files of two dumps are mixed")
        return [shown[name] for name in named]

    def _named_by_manifest(self) -> list[str]:
        try:
            return [each.url for each in _manifest.decode(self._store.get(MANIFEST).body).entries]
        except UNDECODABLE as error:
            raise Damaged(f"{self._store.url}/{MANIFEST} is not the manifest of a dump: {reason(error)}") from error

    # --- what they hold ---

    def _items(self, file: ListedObject, keys: TableKeys) -> Iterator[tuple[int, bytes]]:
        name = f"{self._store.url}/{file.name}"
        for number, line in enumerate(lines(self._store, file), 1):
            if not line.strip():
                continue
            try:
                image = self._image(line, keys, in_ion=_ION_NAME.fullmatch(file.name) is not None)
            except Damaged as error:
                raise error.of(f"{name}, line {number}") from error
            yield number, image

    def _image(self, line: bytes, keys: TableKeys, *, in_ion: bool) -> bytes:
        if in_ion or _ION.match(line):
            return self._ion_lines().item(line)
        if line.lstrip().startswith(b"{"):
            return older_items.read_json(line, keys.schema.names)
        if ETX in line:
            return older_items.read_text(line)
        raise Damaged(
            f"not an item in any format that is known: {line[:80]!r}", hint="docs/import.md lists the formats. CSV ends in .csv."
        )

    def _ion_lines(self) -> LineFormat:
        if self._ion_format is None:
            if self._load_ion is None:
                raise UsageError("Amazon Ion cannot be read here")
            self._ion_format = self._load_ion()
        return self._ion_format


def _file_of(url: str, names: Container[str]) -> str | None:
    """Returns the file in the dump's folder that a manifest names by its old address: the one with the longest path in common."""
    parts = url.rstrip("/").split("/")
    return next((name for begin in range(len(parts)) if (name := "/".join(parts[begin:])) in names), None)


def _hidden(name: str) -> bool:
    """True for an object that is no data: Hadoop's own marks, checksums, and EMR's object for a folder."""
    return any(each.startswith(("_", ".")) for each in name.split("/")) or name == MANIFEST or name.endswith(_NO_DATA)
