"""The items a restore looks at, each with its state at the moment and its live state: one partition in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engines.embedded import State
from backstream.engines.spill import Spill
from backstream.errors import UsageError
from backstream.layouts.vault import TableVault
from backstream.model import naming, wire
from backstream.model.entry import Entry
from backstream.ports import Table

SCAN_SEGMENTS = 4


class Candidate(msgspec.Struct, frozen=True):
    """One item. `then`: its newest change up to the moment; `live`: its image now; None where there is none."""

    key: bytes
    then: Entry | None
    live: bytes | None


def of_state(state: State, live: Spill | None) -> Iterator[Candidate]:
    """Every item that the vault or the live table knows."""
    for number in range(state.partitions):
        then = state.partition(number)
        now: Mapping[bytes, bytes] = dict(live.read(number)) if live is not None else {}
        for key, entry in then.items():
            yield Candidate(key, entry, now.get(key))
        for key, image in now.items():
            if key not in then:
                yield Candidate(key, None, image)


def scan_into(vault: TableVault, table: Table, spill: Spill) -> None:
    """A strongly consistent read of the whole live table into partitions on disk."""

    def segment(number: int) -> None:
        for page in table.scan(number, SCAN_SEGMENTS):
            for image in page:
                spill.add(vault.key_of(image), image)

    with ThreadPoolExecutor(SCAN_SEGMENTS, thread_name_prefix="scan") as pool:
        for _ in pool.map(segment, range(SCAN_SEGMENTS)):
            pass


class TenantFilter:
    """Whether an item belongs to a tenant: then, or now. A row that changed its tenant is brought back whole."""

    def __init__(self, vault: TableVault, tenant: str) -> None:
        if vault.catalog.tenant_attribute is None:
            raise UsageError(
                f"{vault.catalog.table} is not split by tenant",
                hint=f"Run `backstream init {vault.catalog.table} --tenant-attribute NAME` once, or select rows with --key.",
            )
        self._vault = vault
        self._attribute = vault.catalog.tenant_attribute
        self._folders = {naming.tenant_folder({"S": tenant})}

    def wants(self, candidate: Candidate) -> bool:
        """Whether the item is the tenant's at the moment or live."""
        if candidate.live is not None and self._in_image(candidate.live):
            return True
        then = candidate.then
        if then is None or then.removed:
            return False
        parts = then.place.name.split("/") if then.place is not None else []
        # An object's name tells the tenant, unless the row was kept before the table was split by tenant.
        return parts[1] in self._folders if len(parts) == 3 else self._in_image(self._vault.image(then))

    def _in_image(self, image: bytes) -> bool:
        return naming.tenant_folder(wire.attribute(image, self._attribute)) in self._folders
