"""Reads an export, from AWS or from this tool, by its manifests. It trusts nothing: every file's MD5 and count are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from backstream.errors import Damaged, MissingObject, NotFound, UsageError
from backstream.model.values import object_limits
from backstream.ports import Files
from backstream.vault import decompression
from backstream.vault.aws_export import lines, manifests
from backstream.vault.aws_export.lines import NetChange
from backstream.vault.aws_export.manifests import DataFile, ExportNames, ManifestSummary
from backstream.vault.decompression import UNREADABLE

_Decoded = TypeVar("_Decoded")


class DataFiles:
    """Reads data files line by line, and checks each file against its manifest. Raises the same errors as `Export`."""

    def __init__(self, store: Files) -> None:
        self._store = store

    def images(self, file: DataFile) -> Iterator[bytes]:
        """Yields the items of one file of a full export, or of a dump, byte for byte."""
        return self._read(file, lines.read_item)

    def _read(self, file: DataFile, decode: Callable[[bytes], _Decoded]) -> Iterator[_Decoded]:
        """Yields the decoded lines. Memory holds the compressed file and one line."""
        with _naming(file.name):
            body = _present(self._store, file.name)
            if manifests.checksum(body) != file.md5_checksum:
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

    def __init__(self, store: Files, summary: ManifestSummary, files: Sequence[DataFile]) -> None:
        super().__init__(store)
        self.summary = summary
        self.files = files

    @classmethod
    def open(cls, store: Files, export_id: str) -> Export:
        """Opens the export with that id. `store` is the folder that holds `AWSDynamoDB/`.

        Raises NotFound if the export does not exist or was never completed, and UsageError if it is not in DynamoDB JSON.
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
            summary = manifests.decode_summary(_verified(store, names.summary, body))
        if summary.output_format != manifests.JSON:
            raise UsageError(f"{names.summary}: an export in {summary.output_format}", hint=f"Export it again as {manifests.JSON}.")
        files_name = manifests.below_root(summary.manifest_files_s3_key)
        with _naming(files_name):
            files = manifests.decode_files(_verified(store, files_name, _present(store, files_name)))
        held = sum(each.item_count for each in files)
        if held != summary.item_count:
            raise Damaged(f"{files_name}: its files hold {held} items, manifest-summary.json says {summary.item_count}")
        return cls(store, summary, files)

    def changes(self, file: DataFile) -> Iterator[NetChange]:
        """Yields the net changes of one file of an incremental export, in no order."""
        return self._read(file, lines.read_change)


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


def _verified(store: Files, manifest: str, body: bytes) -> bytes:
    """Returns a manifest's bytes, after checking them against the checksum file."""
    wanted = _checksum_of(store, manifest)
    if manifests.checksum(body) != wanted:
        raise Damaged("its MD5 differs from its checksum file")
    return body


def _checksum_of(store: Files, manifest: str) -> str:
    for name in manifests.checksum_names(manifest):
        try:
            return store.get(name).body.decode("ascii", "replace").strip()
        except MissingObject:
            continue  # the other name, and after that it is said
    raise Damaged("its checksum file is missing")


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
