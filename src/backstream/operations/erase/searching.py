"""Searches the versions of a table's objects for items of the subject, decompressed, whatever the objects are.

Lines of the log state their item. In anything else an item is found wherever an object in JSON has all key attributes of this
table, at any depth, also inside text that holds JSON, as a batch in the on-failure destination does, and in the midst of a message.
So is the name of its row object. In records of the vault itself only typed keys (`{"id":{"S":"a"}}`) count: their own fields may
have the names of key attributes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from backstream.errors import BackstreamError, Damaged, MalformedRecord
from backstream.model.changes.entry import Entry, entries, states
from backstream.model.values import key_arguments, object_limits
from backstream.model.values.decoding import UNDECODABLE
from backstream.model.values.schema import KeySchema, canonical_key
from backstream.operations.erase import sentences
from backstream.operations.erase.row_objects import row_folders
from backstream.operations.erase.sentences import Span
from backstream.operations.erase.subject import NEVER, Subject
from backstream.ports import ObjectVersion
from backstream.vault import decompression
from backstream.vault.catalog import folder
from backstream.vault.decompression import UNREADABLE
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault

ZSTD, SKIPPABLE, GZIP = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18", b"\x1f\x8b"
DEEPEST = 64
LINES = ("log/", "base/", "compacted/")
NOTES = "redriven/"  # of batches that have arrived, and of differences that are explained: the name of one, in plain text
CHECKSUMS = (".md5", ".checksum")  # of an export's manifest
_STRUCTURE = re.compile(
    r"catalog\.json|base/complete/.+|base/[^/]+/plan\.json|compacted/generations/.+|compacted/[^/]+/(sources\.ndjson\.zst|erased\.json)|"
    r"erasures/.+"
)
_OWN_RECORD = re.compile(r"catalog\.json$|(?:log|base|compacted|gaps|drills|erasures)/")
_CHECKSUM = re.compile(rb"[0-9A-Za-z+/]{1,64}={0,2}\s*")
_NOTE = re.compile(rb"[!-z|~]{1,1024}")  # one name: no space, no braces


class Hit(msgspec.Struct, frozen=True):
    """A version that holds something of the subject. `lines`: how many lines of the log; 0 if it is anything else."""

    row: ObjectVersion
    lines: int


class Search:
    """Looks into single versions of the objects in a table's own folder."""

    def __init__(self, vault: TableVault, subject: Subject) -> None:
        self._vault = vault
        self._subject = subject
        self.schema = vault.catalog.key_schema
        self._folder = folder(vault.catalog.table)
        self._folders = row_folders(vault)
        self.later: set[tuple[str, str]] = set()  # row versions that later lines of the subject name

    def look_into(self, row: ObjectVersion) -> Hit | None:
        """Returns what a version holds of the subject; None if nothing. Raises Damaged if nobody can tell."""
        body = self._vault.store.get(row.name, row.version).body
        if row.name.removeprefix(self._folder).startswith(LINES):
            with suppress(Damaged):
                lines = self._lines(body)
                return Hit(row, lines) if lines else None
        if self._is_plain(row, body):
            return None
        return Hit(row, 0) if self.is_in(body, typed=is_own_record(row.name.removeprefix(self._folder))) else None

    def values_of(self, row: ObjectVersion) -> list[Any]:
        """Returns the values in JSON of a version that holds no lines. Raises Damaged if it cannot be read."""
        body = self._vault.store.get(row.name, row.version).body
        text = b"" if self._is_plain(row, body) else plain(body)
        return list(decoded(text)) if text.strip() else []

    def last_seconds(self, row: ObjectVersion, is_selected: Callable[[bytes, Entry], bool]) -> dict[bytes, int]:
        """Returns the selected items in a version with lines, by their canonical keys, each with the second of its last line.

        `is_selected`: receives a key and an entry with its images. Raises Damaged if these are not lines of the log.
        """
        found: dict[bytes, int] = {}
        for block in decompression.whole_lines(iter(_pieces(self._vault.store.get(row.name, row.version).body))):
            for entry in entries(block):
                key = self._vault.key(entry)
                if is_selected(key, entry):
                    found[key] = max(found.get(key, NEVER), entry.seconds)
        return found

    def _is_plain(self, row: ObjectVersion, body: bytes) -> bool:
        """True if a version is a name or a checksum, which is no JSON."""
        if row.name.startswith(f"{self._folder}{NOTES}") and _NOTE.fullmatch(body):
            return True
        return row.name.endswith(CHECKSUMS) and _CHECKSUM.fullmatch(body) is not None

    def _lines(self, body: bytes) -> int:
        """Counts the subject's lines. Raises Damaged if these are not lines of the log."""
        found = 0
        for block in decompression.whole_lines(iter(_pieces(body))):
            for entry, _ in states(block):
                until = self._subject.until(self._vault.key(entry))
                found += entry.seconds <= until
                if NEVER < until < entry.seconds and entry.place is not None:
                    self.later.add((entry.place.name, entry.place.version))
        return found

    def is_in(self, body: bytes, *, typed: bool = False) -> bool:
        """True if a body has an item of the subject anywhere. Raises Damaged if it cannot be read as JSON or lines of JSON.

        `typed`: only typed keys count.
        """
        text = plain(body)
        return bool(text.strip()) and any(self.is_within(value, typed=typed) for value in decoded(text))

    def is_within(self, value: Any, *, typed: bool = False) -> bool:
        """True if a value holds an item of the subject, its key, or the name of its row object."""
        if self._has_key(value, typed=typed):
            return True
        return any(next(self.spans_in(text, typed=typed), None) is not None for text in _texts_in(value))

    def spans_in(self, text: str, *, typed: bool = False) -> Iterator[Span]:
        """Yields where a message names the subject."""
        yield from sentences.objects(text, self.schema.names, lambda value: self._has_key(value, typed=typed))
        yield from sentences.names(text, self._folders, lambda name: self._subject.until_of_object(name) > NEVER)

    def _has_key(self, value: Any, *, typed: bool) -> bool:
        return any(self._subject.until(key) > NEVER for key in self.keys_in(value, typed=typed))

    def keys_in(self, value: Any, *, typed: bool = False) -> Iterator[bytes]:
        """Yields the canonical keys of all items in a value."""
        return (key for key, _ in self.items_in(value, typed=typed))

    def items_in(self, value: Any, depth: int = 0, *, typed: bool = False) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yields all items and keys in a value, each with its canonical key."""
        if depth > DEEPEST:
            return
        if isinstance(value, dict):
            key = key_of(self.schema, value, typed=typed)
            if key is not None:
                yield key, value
            for each in value.values():
                yield from self.items_in(each, depth + 1, typed=typed)
        elif isinstance(value, list):
            for each in value:
                yield from self.items_in(each, depth + 1, typed=typed)
        elif isinstance(value, str):
            inner = within(value)
            if inner is not None:
                yield from self.items_in(inner, depth + 1, typed=typed)


def is_own_record(place: str) -> bool:
    """True if an object, by its name in the table's own folder, is a record of the vault itself, whose form is known."""
    return _OWN_RECORD.match(place) is not None


def is_structure(place: str) -> bool:
    """True if it is one that is needed as it is: it holds no item, unless somebody has written one into it."""
    return _STRUCTURE.fullmatch(place) is not None


def key_of(schema: KeySchema, value: dict[str, Any], *, typed: bool = False) -> bytes | None:
    """Returns the canonical key of an object that is an item or a key, typed or in plain JSON; None for any other."""
    if any(name not in value or (typed and not isinstance(value[name], dict)) for name in schema.names):
        return None
    try:
        return canonical_key(
            schema, {each.name: key_arguments.typed(each, _as_text(value[each.name])) for each in schema.attributes}
        )
    except (MalformedRecord, BackstreamError, *UNDECODABLE):
        return None


def _texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yields all text in a value."""
    if isinstance(value, str):
        yield value
    elif depth <= DEEPEST and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(each, depth + 1)


def _as_text(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return key_arguments.NumberText(value) if is_number else value


def within(text: str) -> Any:
    """Returns the JSON object or array that a text holds, directly or in base64; None if it holds none."""
    begin = text[:1]
    with suppress(*UNDECODABLE):
        if begin in ("{", "["):
            return msgspec.json.decode(text)
        if begin in ("e", "W") and len(text) > 8:  # how base64 of an object or an array begins
            plain = base64.b64decode(text, validate=True)
            return msgspec.json.decode(plain) if plain[:1] in (b"{", b"[") else None
    return None


def decoded(text: bytes) -> Iterator[Any]:
    """Yields the values of a text: one, or one a line. Raises Damaged if it is neither."""
    with suppress(*UNDECODABLE):
        return iter([msgspec.json.decode(text)])
    try:
        return iter([msgspec.json.decode(line) for line in text.splitlines() if line.strip()])
    except UNDECODABLE as error:
        raise Damaged("it is neither JSON nor lines of JSON: nobody can tell what it holds") from error


def plain(body: bytes) -> bytes:
    """Returns a body decompressed. Raises Damaged if that cannot be done."""
    return b"".join(_pieces(body))


def compressed_as(body: bytes, text: bytes) -> bytes:
    """Returns a text compressed as another body is."""
    if body[:4] == ZSTD:
        return Codec.ZSTD.compress(text)
    return Codec.GZIP.compress(text) if body[:2] == GZIP else text


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yields the decompressed bytes."""
    most = object_limits.expanded(len(body))
    try:
        if body[:4] == ZSTD or body[1:4] == SKIPPABLE:
            yield from decompression.bounded(decompression.zstd(body), most)
        elif body[:2] == GZIP:
            yield from decompression.bounded(decompression.gunzipped(body), most)
        else:
            yield body
    except UNREADABLE as error:
        raise Damaged(f"it cannot be decompressed ({error})") from error
