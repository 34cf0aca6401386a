"""Records discarded batches in the vault as soon as they are seen: the destination may lose them, the vault does not."""

from __future__ import annotations

from collections.abc import Callable

from backstream.errors import BackstreamError, MissingObject
from backstream.vault.gaps.failure_destination import Destination
from backstream.vault.table_vault import TableVault


def record_waiting(vault: TableVault, destination: Destination | None = None) -> int:
    """Records a gap for each batch that waits in the on-failure destination and has none yet. Returns their number.

    `destination`: replaces the one that the catalog names. Raises the errors of the two stores.
    """
    there = vault.destination if destination is None else destination
    if there is None:
        return 0
    waiting = there.waiting()
    known = {gap.batch for gap in vault.gaps.all()} if waiting else set()
    new = [each for each in waiting if each.name not in known]
    for batch in new:
        try:
            vault.gaps.record(there.lasting_gap(batch))
        except MissingObject:
            continue  # it has been redriven meanwhile
    return len(new)


def try_to_record(vault: TableVault, notice: Callable[[str], None]) -> None:
    """Does the same as `record_waiting` for a process with another task: an error is only told to `notice`."""
    try:
        record_waiting(vault)
    except BackstreamError as error:
        notice(f"what Lambda gave up cannot be looked at: {error.message}")
