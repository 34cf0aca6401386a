"""Stores that sign a vault's own objects, and stores that return only signed objects. See `model.sealing`.

Both stand between a vault and its store, so no part of the vault knows of signatures, except the parts that trust a name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from backstream.errors import MissingObject, NotSigned
from backstream.model.sealing import NONE, PREVIOUS, SIGNATURE, Signing, is_catalog, signing_of, statement, table_of
from backstream.ports import (
    Found,
    HeadSigner,
    NewObject,
    ObjectInfo,
    ObjectStore,
    StoredObject,
    Tag,
    Verifier,
    Wanted,
    Written,
)
from backstream.stores.passing import PassingStore

SignerOf = Callable[[str, Signing | None], HeadSigner | None]


class SigningStore(PassingStore):
    """Signs a table's own objects as they are written, if there is a key for it.

    `signer_of` is called once for each table, with its catalog's statement about signatures. An object that cannot be signed is not
    written.
    """

    def __init__(self, store: ObjectStore, signer_of: SignerOf) -> None:
        super().__init__(store)
        self._signer_of = signer_of
        self._signers: dict[str, HeadSigner | None] = {}

    def get(self, name: str, version: str | None = None) -> StoredObject:
        found = self._store.get(name, version)
        if version is None and is_catalog(name):
            self._note(name, found.body)
        return found

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        signer = self._signer(name, body)
        if signer is not None:
            said = dict(metadata or {})
            if is_catalog(name):
                said[PREVIOUS] = self._previous(name)
            metadata = {**said, SIGNATURE: signer.sign(statement(name, body, said))}
        return self._store.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        return super().put_each((tag, self._signed(new)) for tag, new in wanted)

    def _signed(self, new: NewObject) -> NewObject:
        signer = self._signer(new.name, new.body)
        if signer is None:
            return new
        said = dict(new.metadata)
        return NewObject(new.name, new.body, {**said, SIGNATURE: signer.sign(statement(new.name, new.body, said))}, new.if_absent)

    def _previous(self, name: str) -> str:
        """Returns the version that a catalog is made upon. If another comes between, the condition of its write says so."""
        return next((row.version for row in self._store.versions_of(name) if not row.marker), NONE)

    def _signer(self, name: str, body: bytes) -> HeadSigner | None:
        table = table_of(name)
        if table is None:
            return None
        if is_catalog(name):
            self._note(name, body)
        elif table not in self._signers:
            self._read_catalog(table)
        return self._signers[table]

    def _note(self, name: str, catalog: bytes) -> None:
        table = table_of(name)
        if table is not None:
            self._signers[table] = self._signer_of(table, signing_of(catalog))

    def _read_catalog(self, table: str) -> None:
        """Reads the table's catalog. A writer has read it already, as a rule."""
        name = f"_backstream/{table}/catalog.json"
        try:
            self._note(name, self._store.get(name).body)
        except MissingObject:
            self._note(name, b"{}")


class VerifyingStore(PassingStore):
    """Returns objects that are signed with one key, and row objects, for which the log vouches. Raises NotSigned, naming it, for
    anything else.

    Objects that the store received before the vault was first signed are returned: nobody claims to know them, see `is_covered`.
    """

    def __init__(self, store: ObjectStore, verifier: Verifier) -> None:
        super().__init__(store)
        self._verifier = verifier
        self._since: float | None = None

    def is_covered(self, modified: float) -> bool:
        """See `ports.Vouching`."""
        return self._since is None or modified >= self._since

    def vouch(self, name: str, version: str | None) -> None:
        """See `ports.Vouching`."""
        self.get(name, version)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        found = self._store.get(name, version)
        if version is None and is_catalog(name):
            self._check_catalog(found)
        else:
            self._check(found)
        return found

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        for tag, found in self._store.get_each(wanted):
            if isinstance(found, StoredObject):
                try:
                    self._check(found)
                except NotSigned as error:
                    yield tag, error
                    continue
            yield tag, found

    def get_range(self, name: str, start: int, length: int) -> bytes:
        if table_of(name) is None:
            return self._store.get_range(name, start, length)
        body = self.get(name).body  # a signature is of all of it
        begin = max(0, len(body) + start) if start < 0 else start
        return body[begin : begin + length]

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._store.head(name, version) if table_of(name) is None else self.get(name, version).info

    def _check(self, found: StoredObject) -> None:
        if table_of(found.info.name) is not None and self.is_covered(found.info.modified):
            self._check_signature(found)

    def _check_signature(self, found: StoredObject) -> None:
        info = found.info
        signature = info.metadata.get(SIGNATURE)
        if signature is None:
            raise _not_signed(info, f"it is not signed (the key is {self._verifier.key})")
        if not self._verifier.verifies(statement(info.name, found.body, info.metadata), signature):
            raise _not_signed(info, f"its signature was not made with {self._verifier.key}, or not of these bytes and this name")

    def _check_catalog(self, found: StoredObject) -> None:
        """Checks that the catalog is signed, and lies upon the version that it was made upon: an older one that was put on top
        again does not.
        """
        self._check_signature(found)
        info = found.info
        rows = [row.version for row in self._store.versions_of(info.name) if not row.marker]
        below = next(islice(rows, rows.index(info.version) + 1, None), None) if info.version in rows else None
        if below is not None and info.metadata.get(PREVIOUS) != below:
            raise _not_signed(info, "an older catalog was put on top of the newest one again")
        signing = signing_of(found.body)
        if signing is None:
            raise _not_signed(info, "it says that nothing is signed")
        self._since = signing.since


def _not_signed(info: ObjectInfo, why: str) -> NotSigned:
    return NotSigned(
        f"{info.name} (version {info.version}): nobody vouches for it: {why}",
        hint="Find out who wrote it. Restore from a copy of the vault that is signed, or without --verify-key what is unproven.",
    )
