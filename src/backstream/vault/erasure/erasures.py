"""The records of erasures: what was taken out of a table's history, when, by whom and why, without naming it.

    erasures/ID/begun.json    written before anything is changed: the time, the operator, the reason, and salted hashes of the keys
    erasures/ID/done.json     everything is erased: the objects that were rewritten or removed
    erasures/forgotten-DIGEST.json    see `forgotten`

A key, and the name of a row object, stand there as salted SHA-256 only. The catalog lists the ids, so a vault without erasures
costs no request. See docs/notes/0052.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TypeVar

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject, NotFound
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.fold import BEGINNING
from backstream.model.values import object_limits
from backstream.model.values.decoding import MISSHAPEN, UNDECODABLE, reason
from backstream.ports import ObjectStore
from backstream.vault import below_markers, catalog_checks
from backstream.vault.catalog import folder

FORMAT = 1  # of one that says nothing of the future, and of the records beside it
FORGETS_FORMAT = 2
FOREVER = 1 << 62  # a second after all others
# Bytes of a record for each comma and quote, at least: a row has a hash of 40 digits, and seconds of ten; an object has a name.
COMMA, QUOTE, NAMED = 11, 16, 6
DIGITS = 40  # hex digits of a hash: 160 bits
ID = catalog_checks.ERASURE


_NO_RECORD = "Bring it back from a replica of the bucket: it says which items were erased on purpose, and nothing else does."


class ErasedRow(msgspec.Struct, frozen=True, array_like=True):
    """One item. `key`: the salted hash of its canonical key; `lived`: the seconds between which it existed.

    The first second is included, the last one is not. The last one is None if the item existed when it was erased.
    """

    key: str
    lived: tuple[tuple[int, int | None], ...]


class Erasure(msgspec.Struct, frozen=True):
    """One erasure. `at`: ISO 8601, UTC; changes of these items up to that second are erased. `salt`: hex digits.

    `objects`: the salted hashes of the names of their row objects. `forgets`: True if later changes of these items are discarded;
    `partition`: then the salted hash of the partition that was erased as a whole, so that its new items are discarded too.
    """

    format: int
    id: str
    at: str
    by: str
    reason: str
    salt: str
    rows: tuple[ErasedRow, ...]
    objects: tuple[str, ...] = ()
    forgets: bool = False
    partition: str = ""

    def __str__(self) -> str:
        later = ", and all later changes are discarded" if self.forgets else ""
        return f"erased on {self.at}{later}, erasure {self.id}: {self.reason}"

    @property
    def second(self) -> int:
        """The second of the erasure."""
        return moment.parse_iso_micros(self.at) // MICROS

    @property
    def until(self) -> int:
        """The last second whose changes are erased; `FOREVER` if later ones are discarded."""
        return FOREVER if self.forgets else self.second

    def of_key(self, key: bytes) -> str:
        """Returns the salted hash of a canonical key."""
        return salted(self.salt, b"key", key)

    def of_object(self, name: str) -> str:
        """Returns the salted hash of the name of a row object."""
        return salted(self.salt, b"object", name.encode())

    def of_partition(self, beginning: bytes) -> str:
        """Returns the salted hash of a partition: of the text with which the canonical keys of its items begin."""
        return salted(self.salt, b"partition", beginning)

    def is_of_partition(self, key: bytes) -> bool:
        """True if an item is of the partition that was erased as a whole, for the future too."""
        return bool(self.partition) and self.of_partition(partition_of(key)) == self.partition

    def lacks_at(self, second: int, keys: Collection[bytes] | None = None) -> int:
        """Returns how many of its items existed at a second. `keys`: only these; None for all."""
        hashes = None if keys is None else {self.of_key(each) for each in keys}
        rows = [each for each in self.rows if hashes is None or each.key in hashes]
        return sum(any(since <= second and (until is None or second < until) for since, until in each.lived) for each in rows)

    def lacks_between(self, first: int, last: int) -> int:
        """Returns how many of its items existed in a second from `first` to `last`, both included: they may have changed then."""
        alive = [any(since <= last and (until is None or until >= first) for since, until in each.lived) for each in self.rows]
        return sum(alive) if first <= self.until else 0


def _encoded(erasure: Erasure) -> bytes:
    """Returns the record as JSON. One that says nothing of the future is of the first format, as older versions wrote it."""
    fields = msgspec.structs.asdict(erasure)
    if not erasure.forgets:
        del fields["forgets"], fields["partition"]
    return msgspec.json.encode(fields)


class TouchedObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that held something of the subject. `lines`: how many lines were taken out; `versions`: how many versions were
    removed. A row object is named by its salted hash.
    """

    object: str
    lines: int = 0
    versions: int = 0


class Finished(msgspec.Struct, frozen=True):
    """The record of a finished erasure. `at`: when it ended (ISO 8601, UTC)."""

    format: int
    id: str
    at: str
    objects: tuple[TouchedObject, ...]
    versions_removed: int


def salted(salt: str, kind: bytes, what: bytes) -> str:
    """Returns the salted hash of a key, of the name of an object, or of a partition."""
    return hashlib.sha256(b"%s|%s|%s" % (salt.encode(), kind, what)).hexdigest()[:DIGITS]


def partition_of(key: bytes) -> bytes:
    """Returns the text with which the canonical keys of all items of a key's partition begin: see `parse_partition`."""
    attributes = msgspec.json.decode(key, type=dict[str, msgspec.Raw])
    name, value = next(iter(attributes.items()))
    return msgspec.json.encode({name: value})[:-1] + (b"}" if len(attributes) == 1 else b",")


Record = TypeVar("Record", Erasure, Finished)


class Erasures:
    """The erasures of one table. `ids`: those that its catalog names. They are read at the first question."""

    def __init__(self, store: ObjectStore, table: str, ids: Sequence[str]) -> None:
        self._store = store
        self._prefix = folder(table) + "erasures/"
        self._ids = ids

    @cached_property
    def all(self) -> list[Erasure]:
        """All of them, oldest first. Raises Damaged if one cannot be read: nobody may guess what was erased."""
        return [self.read(each) for each in self._ids]

    @cached_property
    def _by_key(self) -> list[tuple[Erasure, frozenset[str]]]:
        return [(each, frozenset(row.key for row in each.rows)) for each in reversed(self.all)]

    def of(self, key: bytes) -> Erasure | None:
        """Returns the newest erasure of an item; None if it was never erased."""
        if not self._ids:
            return None
        return next(self._with(key), None)

    def _with(self, key: bytes) -> Iterator[Erasure]:
        return (each for each, keys in self._by_key if each.of_key(key) in keys or each.is_of_partition(key))

    def until(self, key: bytes) -> int:
        """Returns the last second whose changes of an item are erased; a second before all others if it never was."""
        return max((each.until for each in self._with(key)), default=BEGINNING - 1) if self._ids else BEGINNING - 1

    def lacks_at(self, second: int, keys: Collection[bytes] | None = None) -> int:
        """Returns how many erased items existed at a second: see `Erasure.lacks_at`."""
        return sum(each.lacks_at(second, keys) for each in self.all) if self._ids else 0

    def name_of(self, erasure: str) -> str:
        """Returns the name of an erasure's record."""
        return f"{self._prefix}{erasure}/begun.json"

    def recorded(self, erasure: str) -> Erasure:
        """Returns one of them. Raises MissingObject if its record is gone, and Damaged if it cannot be read."""
        return self._decoded(erasure, "begun.json", Erasure)

    def read(self, erasure: str) -> Erasure:
        """Returns one of them. Raises NotFound if there is none of that id, and Damaged if the catalog names it and it is gone."""
        try:
            return self.recorded(erasure)
        except MissingObject as error:
            if erasure in self._ids:
                raise Damaged(f"the record of an erasure is gone: {self.name_of(erasure)}", hint=_NO_RECORD) from error
            known = ", ".join(self._ids) or "none"
            raise NotFound(f"there is no erasure {erasure}", hint=f"The erasures of this table: {known}.") from error

    def finished(self, erasure: str) -> Finished | None:
        """Returns the record that it is finished; None if it is not."""
        try:
            return self._decoded(erasure, "done.json", Finished)
        except MissingObject:
            return None

    def open(self) -> list[Erasure]:
        """Returns the erasures that are not finished."""
        return [each for each in self.all if self.finished(each.id) is None]

    @cached_property
    def _open_by_key(self) -> list[tuple[Erasure, frozenset[str]]]:
        return [(each, frozenset(row.key for row in each.rows)) for each in (self.open() if self._ids else ())]

    @property
    def are_open(self) -> bool:
        """True if some of them are not finished."""
        return bool(self._open_by_key)

    def takes_out(self, key: bytes, second: int) -> bool:
        """True if an erasure that is not finished takes out an item's change of that second."""
        return any(
            second <= each.until and (each.of_key(key) in keys or each.is_of_partition(key)) for each, keys in self._open_by_key
        )

    def begin(self, erasure: Erasure) -> None:
        """Makes the record of an erasure durable. Nothing is erased before."""
        self._store.put(self.name_of(erasure.id), _encoded(erasure), {"format": str(erasure.format)}, if_absent=True)

    def note(self, erasure: str, touched: Sequence[TouchedObject]) -> None:
        """Notes objects that something is removed from, before it is. Each pass notes its own."""
        body = msgspec.json.encode(touched)
        name = f"{self._prefix}{erasure}/pass-{hashlib.sha256(body).hexdigest()[:16]}.json"
        with suppress(AlreadyExists):
            self._store.put(name, body, {"format": str(FORMAT)}, if_absent=True)

    def noted(self, erasure: str) -> list[TouchedObject]:
        """Returns all objects that any pass has noted, with the most lines that any saw in them."""
        found: dict[str, TouchedObject] = {}
        for each in below_markers.firsts(self._store, f"{self._prefix}{erasure}/pass-"):
            for one in self._touched(each):
                if one.object not in found or one.lines > found[one.object].lines:
                    found[one.object] = one
        return list(found.values())

    def _touched(self, note: below_markers.First) -> list[TouchedObject]:
        body = below_markers.pinned(self._store, note).body
        object_limits.check_sparse(note.name, body, comma=COMMA, quote=NAMED)
        try:
            return msgspec.json.decode(body, type=list[TouchedObject])
        except UNDECODABLE as error:
            raise Damaged(f"the note of an erasure cannot be read: {note.name}: {reason(error)}") from error

    def finish(self, record: Finished) -> None:
        """Notes that it is finished."""
        with suppress(AlreadyExists):
            self._store.put(
                f"{self._prefix}{record.id}/done.json", msgspec.json.encode(record), {"format": str(FORMAT)}, if_absent=True
            )

    def _decoded(self, erasure: str, name: str, kind: type[Record]) -> Record:
        where = f"{self._prefix}{erasure}/{name}"
        if not ID.fullmatch(erasure):
            raise NotFound(f"not the id of an erasure: {erasure!r}")
        body = below_markers.pinned(self._store, below_markers.first(self._store, where)).body
        try:
            object_limits.check_sparse(where, body, comma=COMMA, quote=QUOTE if kind is Erasure else NAMED)
            found = msgspec.json.decode(body, type=kind)
            moment.parse_iso_micros(found.at)
        except MISSHAPEN as error:
            raise Damaged(f"the record of an erasure cannot be read: {where}: {reason(error)}") from error
        if found.id != erasure or found.format > FORGETS_FORMAT:
            raise Damaged(f"the record of an erasure cannot be read: {where}: it is of another one, or of a newer format")
        return found
