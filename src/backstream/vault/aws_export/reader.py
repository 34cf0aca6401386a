"""Reads an export, from AWS or from this tool, by its manifests. It trusts nothing: every file's MD5 and count are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from backstream.errors import Damaged, MissingObject, NotFound, UsageError
from backstream.model.values import object_limits
from backstream.ports import Files
from backstream.vault import decompression
from backstream.vault.aws_export import lines, manifests
from backstream.vault.aws_export.lines import NetChange
from backstream.vault.aws_export.manifests import DataFile, ExportNames, ManifestSummary
from backstream.vault.decompression import UNREADABLE

NO_CHECKSUMS = "--no-checksums reads an export that was copied without them, and still checks its counts."
_Decoded = TypeVar("_Decoded")


class LineFormat(msgspec.Struct, frozen=True):
    """The format of an export's lines. `item` reads an image, `change` a net change. Both raise Damaged."""

    item: Callable[[bytes], bytes]
    change: Callable[[bytes], NetChange]


JSON_LINES = LineFormat(lines.read_item, lines.read_change)


class DataFiles:
    """Reads data files line by line, and checks each file against its manifest. Raises the same errors as `Export`."""

    def __init__(self, store: Files, *, checksums: bool = True) -> None:
        self._store = store
        self._checksums = checksums

    def images(self, file: DataFile) -> Iterator[bytes]:
        """Yields the items of one file of a full export, or of a dump, byte for byte."""
        return self._read(file, lines.read_item)

    def _read(self, file: DataFile, decode: Callable[[bytes], _Decoded]) -> Iterator[_Decoded]:
        """Yields the decoded lines. Memory holds the compressed file and one line."""
        with _naming(file.name):
            body = _present(self._store, file.name)
            if self._checksums and not file.md5_checksum:
                raise Damaged("manifest-files.json states no MD5 for it", hint=NO_CHECKSUMS)
            if file.md5_checksum and manifests.checksum(body) != file.md5_checksum:
                raise Damaged("its MD5 differs from manifest-files.json")
        count = 0
        for count, line in enumerate(_lines(file.name, body), 1):
            if count > file.item_count:
                raise Damaged(f"{file.name}: it holds more than the {file.item_count} items that manifest-files.json says")
            with _naming(f"{file.name}, line {count}"):
                decoded = decode(line)
            yield decoded
        if count != file.item_count:
            raise Damaged(f"{file.name}: it holds {count} items, manifest-files.json says {file.item_count}")


class Export(DataFiles):
    """A complete export: `summary` and `files` describe its contents. `images` and `changes` read one file, line by line.

    Every error names the file. Raises Damaged if a file is missing, cut, altered, or differs from the manifests.
    """

    def __init__(
        self,
        store: Files,
        summary: ManifestSummary,
        files: Sequence[DataFile],
        lines: LineFormat = JSON_LINES,
        *,
        checksums: bool = True,
    ) -> None:
        super().__init__(store, checksums=checksums)
        self.summary = summary
        self.files = files
        self._lines = lines

    @classmethod
    def open(cls, store: Files, export_id: str, *, checksums: bool = True, ion: Callable[[], LineFormat] | None = None) -> Export:
        """Opens the export with that id. `store` is the folder that holds `AWSDynamoDB/`.

        `checksums`: False for an export that was copied without its `.md5` files; those that are there are checked all the same.
        `ion`: returns the reader of lines in Amazon Ion. Raises NotFound if the export does not exist or was never completed, and
        UsageError if its format cannot be read.
        """
        names = ExportNames(export_id)
        try:
            body = store.get(names.summary).body
        except MissingObject as error:
            raise NotFound(
                f"{store.url}/{names.folder} has no manifest-summary.json: there is no such export, or it is not complete",
                hint="Wait until DescribeExport says COMPLETED, or make the export again.",
            ) from error
        with _naming(names.summary):
            summary = manifests.decode_summary(_verified(store, names.summary, body, checksums=checksums))
        if summary.output_format != manifests.JSON and (summary.output_format != manifests.ION or ion is None):
            raise UsageError(f"{names.summary}: an export in {summary.output_format}", hint=f"Export it again as {manifests.JSON}.")
        files_name = manifests.below_root(summary.manifest_files_s3_key)
        with _naming(files_name):
            files = manifests.decode_files(_verified(store, files_name, _present(store, files_name), checksums=checksums))
        held = sum(each.item_count for each in files)
        if held != summary.item_count:
            raise Damaged(f"{files_name}: its files hold {held} items, manifest-summary.json says {summary.item_count}")
        spelled = ion() if ion is not None and summary.output_format == manifests.ION else JSON_LINES
        return cls(store, summary, files, spelled, checksums=checksums)

    def images(self, file: DataFile) -> Iterator[bytes]:
        """Yields the items of one file of a full export: byte for byte, unless it is in Amazon Ion."""
        return self._read(file, self._lines.item)

    def changes(self, file: DataFile) -> Iterator[NetChange]:
        """Yields the net changes of one file of an incremental export, in no order."""
        return self._read(file, self._lines.change)


def _lines(name: str, body: bytes) -> Iterator[bytes]:
    """Yields lines, with no more than one block in memory besides the line.

    Raises Damaged if a line is cut, altered or too long.
    """
    pieces = decompression.bounded(_decompressed(name, body), object_limits.expanded(len(body)))
    try:
        for block in decompression.whole_lines(pieces):
            yield from block.split(b"\n")
    except Damaged as error:
        raise error.of(name) from error
    except UNREADABLE as error:
        raise Damaged(f"{name}: cut or altered ({error})") from error


def _decompressed(name: str, body: bytes) -> Iterator[bytes]:
    if name.endswith(".gz"):
        return decompression.gunzipped(body)
    return decompression.zstd(body) if name.endswith(".zst") else iter((body,))


def _verified(store: Files, manifest: str, body: bytes, *, checksums: bool) -> bytes:
    """Returns a manifest's bytes, after checking them against the checksum file. It may be missing unless `checksums`."""
    wanted = _checksum_of(store, manifest)
    if wanted is None and checksums:
        raise Damaged("its checksum file is missing", hint=NO_CHECKSUMS)
    if wanted is not None and manifests.checksum(body) != wanted:
        raise Damaged("its MD5 differs from its checksum file")
    return body


def _checksum_of(store: Files, manifest: str) -> str | None:
    for name in manifests.checksum_names(manifest):
        try:
            return store.get(name).body.decode("ascii", "replace").strip()
        except MissingObject:
            continue  # the other name, and after that none
    return None


def _present(store: Files, name: str) -> bytes:
    """Returns the body of a file that another file refers to."""
    try:
        return store.get(name).body
    except MissingObject as error:
        raise Damaged(f"it is missing from {store.url}") from error


@contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise Damaged(f"{what}: {error.message}", hint=error.hint) from error
