"""The items whose changes are discarded: those that were erased with `--forget-future`.

    erasures/forgotten-DIGEST.json    salted hashes of their keys, and of partitions that were erased as a whole

The catalog names the digest of the record in force, so it cannot be replaced, and a process reads it once. It holds what the
records of all erasures together say of the future: a writer needs one request, however many erasures there were. See
docs/notes/0064.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from backstream.errors import Damaged, MissingObject
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore
from backstream.vault import below_markers
from backstream.vault.catalog import Catalog, folder
from backstream.vault.erasure.erasures import Erasure, partition_of, salted

FORMAT = 1
COMMA = 20  # bytes of a record for each comma, at least: a hash has 40 digits
DIGITS = 32  # hex digits of a record's digest
MOST_KNOWN = 32  # records that a process remembers
_HINT = "Run the last `backstream erase ... --forget-future` again: it writes the record anew. Nothing is captured without it."


class SaltedHashes(msgspec.Struct, frozen=True):
    """Hashes with one salt: of canonical keys, and of partitions."""

    salt: str
    keys: frozenset[str]
    partitions: frozenset[str] = frozenset()

    def has(self, key: bytes) -> bool:
        """True if an item is among them, by its canonical key."""
        if salted(self.salt, b"key", key) in self.keys:
            return True
        return bool(self.partitions) and salted(self.salt, b"partition", partition_of(key)) in self.partitions


class Forgotten(msgspec.Struct, frozen=True):
    """The items whose changes are discarded.

    `waiting`: the stream and number of changes that were missing when it was written: if one turns out to be of a forgotten item,
    its gap is closed.
    """

    format: int
    groups: tuple[SaltedHashes, ...] = ()
    waiting: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.groups)

    def has(self, key: bytes) -> bool:
        """True if changes of an item are discarded, by its canonical key."""
        return any(each.has(key) for each in self.groups)

    def has_partition(self, beginning: bytes) -> bool:
        """True if all items of a partition are discarded, by the text with which their canonical keys begin."""
        return any(salted(each.salt, b"partition", beginning) in each.partitions for each in self.groups)

    @property
    def salt(self) -> str | None:
        """The salt that the next one should use, so that a writer hashes each key once; None if there is none."""
        return self.groups[0].salt if self.groups else None


NONE = Forgotten(FORMAT)
_known: dict[str, Forgotten] = {}  # by the digest: a record never changes


def of_erasures(erasures: Iterable[Erasure], waiting: Iterable[tuple[str, str]]) -> Forgotten:
    """Returns what these erasures together say of the future."""
    groups: dict[str, list[Erasure]] = {}
    for each in erasures:
        if each.forgets:
            groups.setdefault(each.salt, []).append(each)
    return Forgotten(FORMAT, tuple(_together(salt, some) for salt, some in groups.items()), frozenset(waiting))


def _together(salt: str, erasures: Sequence[Erasure]) -> SaltedHashes:
    keys = frozenset(row.key for each in erasures for row in each.rows)
    return SaltedHashes(salt, keys, frozenset(each.partition for each in erasures if each.partition))


def write(store: ObjectStore, table: str, record: Forgotten) -> str:
    """Makes the record durable, and returns its digest. It counts once the catalog names it."""
    body = msgspec.json.encode(record, order="sorted")
    digest = _digest(body)
    store.put(_name(table, digest), body, {"format": str(FORMAT)})
    return digest


def load(store: ObjectStore, catalog: Catalog) -> Forgotten:
    """Returns the record that the catalog names. Raises Damaged if it cannot be read: no writer may guess."""
    digest = catalog.forgotten
    if digest is None:
        return NONE
    if digest not in _known:
        found = _read(store, _name(catalog.table, digest), digest)
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[digest] = found
    return _known[digest]


def name_of(catalog: Catalog) -> str:
    """Returns the name of the record that the catalog names."""
    return _name(catalog.table, catalog.forgotten or "")


def recorded(store: ObjectStore, catalog: Catalog) -> Forgotten:
    """Returns the same as `load`, read now: a process remembers what it has read."""
    return NONE if catalog.forgotten is None else _read(store, name_of(catalog), catalog.forgotten)


def _read(store: ObjectStore, name: str, digest: str) -> Forgotten:
    try:
        body = _body(store, name, digest)
        object_limits.check_sparse(name, body, comma=COMMA, quote=COMMA // 2)
        found = msgspec.json.decode(body, type=Forgotten)
    except MissingObject as error:
        raise Damaged(f"the record of forgotten items is gone: {name}", hint=_HINT) from error
    except UNDECODABLE as error:
        raise Damaged(f"the record of forgotten items cannot be read: {name}: {reason(error)}", hint=_HINT) from error
    if found.format > FORMAT:
        raise Damaged(f"{name} is of format {found.format}", hint="Use a newer Backstream.")
    return found


def _body(store: ObjectStore, name: str, digest: str) -> bytes:
    """Returns the version that has the digest, whatever was put on top of it: no single object may stop all writers."""
    body = below_markers.get(store, name).body
    older = (store.get(name, each.version).body for each in store.versions_of(name) if not each.marker)
    found = body if _digest(body) == digest else next((each for each in older if _digest(each) == digest), None)
    if found is None:
        raise Damaged(f"the record of forgotten items is another one than the catalog names: {name}", hint=_HINT)
    return found


def _name(table: str, digest: str) -> str:
    return f"{folder(table)}erasures/forgotten-{digest}.json"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:DIGITS]
