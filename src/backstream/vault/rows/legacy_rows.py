"""Reads a bucket that an older tool has written: its objects' versions and delete markers, and the item in each.

Listings carry times of arrival, and bodies carry the items; there is no more information. Reading never writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backstream.errors import AccessDenied, BackstreamError, Damaged, MalformedRecord, Unavailable
from backstream.model.changes.change import MICROS
from backstream.model.tables import legacy_names
from backstream.model.tables.legacy_names import Style
from backstream.model.tables.naming import SYSTEM_FOLDER
from backstream.model.values.schema import KeySchema, canonical_key
from backstream.ports import ObjectStore, ObjectVersion, StoredObject
from backstream.vault.rows.row_versions import parse_metadata

PAGE = 1_000  # versions that are fetched together
MOST_LOOKED_AT = 500


class Body(msgspec.Struct, frozen=True):
    """The contents of one version's body. `key`: the canonical key, None if there is none; `styles`: the ways in which its object
    may have got its name.

    `image`: the corrected item, None if the body is the image; `gone`: the tool found no item; `ours`: written by this tool;
    `foreign`: an item whose object has another name than an older tool would give it; `why`: the reason why it cannot be read.
    """

    key: bytes | None = None
    styles: Sequence[Style] = ()
    image: bytes | None = None
    gone: bool = False
    ours: bool = False
    foreign: bool = False
    why: str = ""

    @property
    def mended(self) -> bool:
        """True if its binary values were not DynamoDB JSON."""
        return self.image is not None


class LegacyVersion(msgspec.Struct, frozen=True):
    """One version or delete marker of an object, with the item's canonical key. `body` is None for a marker."""

    listed: ObjectVersion
    key: bytes | None
    body: Body | None

    @property
    def micros(self) -> int:
        """The time of its arrival, in microseconds since 1970."""
        return arrival(self.listed)


def arrived_since(store: ObjectStore, folder: str, second: int) -> bool:
    """True if a version or delete marker of another tool arrived there after that second.

    If very many are new, some are taken to be another tool's, because looking at all of them would take a request each.
    """
    looked = 0
    for listed in _by_name(store, folder):
        for each, below in zip(listed, [*listed[1:], None], strict=True):
            if int(each.modified) <= second:
                break
            looked += 1
            if looked > MOST_LOOKED_AT or not _is_ours(store, below if each.marker else each):
                return True
    return False


def _is_ours(store: ObjectStore, version: ObjectVersion | None) -> bool:
    """True if this tool wrote a version. For a delete marker, pass the version below it."""
    if version is None or version.marker:
        return False
    return parse_metadata(store.head(version.name, version.version)) is not None


def _by_name(store: ObjectStore, folder: str) -> Iterator[list[ObjectVersion]]:
    """Yields the versions of one object after another, newest first, without this tool's and the "folders" of the S3 console."""
    for name, versions in itertools.groupby(store.versions(folder), key=lambda each: each.name):
        if not name.startswith(f"{SYSTEM_FOLDER}/") and not name.endswith("/"):
            yield list(versions)


def arrival(listed: ObjectVersion) -> int:
    """Returns microseconds since 1970."""
    return round(listed.modified * MICROS)


class OlderBucket:
    """The objects of one table below `folder` (relative to the vault's root, with its slash at the end).

    `tenant`: the attribute by which they are split into folders, None if they are not.
    """

    def __init__(self, store: ObjectStore, schema: KeySchema, folder: str, tenant: str | None = None) -> None:
        self._store = store
        self._schema = schema
        self.folder = folder
        self.tenant = tenant

    # --- listing ---

    def names(self, before: float) -> Iterator[list[ObjectVersion]]:
        """Yields the versions of one object after another, each list oldest first, of all that arrived before that moment."""
        for versions in _by_name(self._store, self.folder):
            arrived = [each for each in versions if each.modified < before]
            if arrived:
                yield arrived[::-1]

    def versions(self, before: float) -> Iterator[list[LegacyVersion]]:
        """Yields the same after reading: the contents of each version, and its item. Raises an error that prevents all reading."""
        page: list[list[ObjectVersion]] = []
        size = 0
        for listed in self.names(before):
            page.append(listed)
            size += len(listed)
            if size >= PAGE:
                yield from self._read(page)
                page, size = [], 0
        yield from self._read(page)

    def _read(self, page: Sequence[Sequence[ObjectVersion]]) -> Iterator[list[LegacyVersion]]:
        wanted = [((each.name, each.version), each.name, each.version) for listed in page for each in listed if not each.marker]
        bodies = {tag: self._body(tag[0], found) for tag, found in self._store.get_each(wanted)}
        for listed in page:
            yield _with_keys([(each, bodies.get((each.name, each.version))) for each in listed])

    # --- one body ---

    def _body(self, name: str, found: StoredObject | BackstreamError) -> Body:
        if isinstance(found, AccessDenied | Unavailable):
            raise found
        if isinstance(found, BackstreamError):
            return Body(why=found.message)
        if parse_metadata(found.info) is not None:
            return Body(ours=True)
        try:
            return self._item(name, legacy_names.read_body(found.body))
        except (Damaged, MalformedRecord) as error:
            return Body(why=error.message)

    def _item(self, name: str, item: Mapping[str, Any]) -> Body:
        if not item:
            return Body(gone=True)
        whole, mended = legacy_names.mended_item(item)
        key = canonical_key(self._schema, whole)
        styles = self._styles(name.removeprefix(self.folder), item)
        return Body(key, styles, msgspec.json.encode(whole) if mended else None, foreign=not styles)

    def _styles(self, rest: str, item: Mapping[str, Any]) -> Sequence[Style]:
        names = legacy_names.names_of(self._schema, item)
        if rest in names or self.tenant is None:
            return names.get(rest, ())
        tenant = legacy_names.tenant_texts(item).get(self.tenant)
        return () if tenant is None or not rest.startswith(f"{tenant}/") else names.get(rest[len(tenant) + 1 :], ())

    # --- the tenants' folders ---

    def tenants(self, names: Sequence[Sequence[ObjectVersion]]) -> list[str]:
        """Returns the attributes by which the folders of these objects may have been made; none if they lie in no folder."""
        newest = [next((each for each in reversed(listed) if not each.marker), None) for listed in names]
        wanted = [(each.name, each.name, each.version) for each in newest if each is not None]
        seen = []
        for name, found in self._store.get_each(wanted):
            if isinstance(found, BackstreamError):
                continue  # it is told of when everything is read
            folder = self._folder_of(name.removeprefix(self.folder), found.body)
            if folder is not None:
                seen.append(folder)
        return legacy_names.common_tenants(seen)

    def _folder_of(self, rest: str, body: bytes) -> tuple[str, Mapping[str, Any]] | None:
        """Returns the tenant's folder of an object whose name an older tool would give it there; None for any other."""
        try:
            item = legacy_names.read_body(body)
            names = legacy_names.names_of(self._schema, item)
        except (Damaged, MalformedRecord):
            return None  # likewise
        if rest in names:
            return None
        return next(((rest[: -len(name) - 1], item) for name in names if rest.endswith(f"/{name}")), None)


def _with_keys(versions: Sequence[tuple[ObjectVersion, Body | None]]) -> list[LegacyVersion]:
    """Returns each version with its item's key: from its body, else from the version below it, else from the next one above with a
    key.

    This tool's own rows, and the delete markers upon them, are left out.
    """
    kept: list[tuple[ObjectVersion, Body | None]] = []
    below: Body | None = None
    for listed, body in versions:
        if body is not None:
            below = body
        if below is None or not below.ours:
            kept.append((listed, body))
    known = [body.key for _, body in kept if body is not None and body.key is not None and not body.foreign]
    found, key = [], known[0] if known else None
    for listed, body in kept:
        if body is not None and body.key is not None and not body.foreign:
            key = body.key
        found.append(LegacyVersion(listed, key, body))
    return found
