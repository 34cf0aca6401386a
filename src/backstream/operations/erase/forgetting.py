"""An erasure with `--forget-future` gives writers the salted hashes by which they know the changes to discard."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from backstream.errors import Damaged
from backstream.model.values.key_arguments import parse_partition
from backstream.operations.erase.request import EraseRequest
from backstream.vault.catalog import Catalog
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.forgotten import Forgotten
from backstream.vault.table_vault import TableVault


class Future:
    """The future of a request's subject. Nothing of it is said without `forget_future`.

    `keys`: the keys that it names, whether or not the vault holds them; `partition`: the text with which all keys of its partition
    begin, None if it is no partition.
    """

    def __init__(self, vault: TableVault, request: EraseRequest) -> None:
        self._known = _known(vault)
        self._forgets = request.forget_future
        self.keys: Sequence[bytes] = request.keys if request.forget_future else ()
        self.partition: bytes | None = None
        if request.forget_future and request.partition is not None:
            self.partition = parse_partition(vault.catalog.key_schema, request.partition)

    @property
    def is_new(self) -> bool:
        """True if some of it is not discarded yet."""
        known = self._known
        if self.partition is not None and not known.has_partition(self.partition):
            return True
        return not all(map(known.has, self.keys))

    @property
    def salt(self) -> str:
        """The salt of the erasure. All that discard share one, so that a writer hashes each key once."""
        return (self._known.salt if self._forgets else None) or secrets.token_hex(16)


def _known(vault: TableVault) -> Forgotten:
    """Returns what is forgotten already; nothing if the record of that is damaged, since it is then written anew."""
    with suppress(Damaged):
        return vault.forgotten
    return forgotten.NONE


def noted(vault: TableVault) -> Catalog:
    """Returns the vault's catalog, naming a new record of all that its erasures forget. The record is durable by then."""
    waiting = [(gap.stream, number) for gap in vault.coverage.lost() for number in gap.numbers]
    record = forgotten.of_erasures(vault.erasures.all, waiting)
    return replace(vault.catalog, forgotten=forgotten.write(vault.store, vault.catalog.table, record))
