"""What a vault's log says that a table held."""

from __future__ import annotations

from collections.abc import Mapping

from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import newest
from backstream.vault.table_vault import TableVault


def state_at(vault: TableVault, at: int) -> Mapping[bytes, bytes]:
    """The images at the end of that second, by key, folded from the log alone."""
    entries: dict[bytes, list[Entry]] = {}
    for listed in vault.log.listing():
        for entry in vault.log.read(listed):
            entries.setdefault(vault.key(entry), []).append(entry)
    state = {key: newest(found, at) for key, found in entries.items()}
    return {key: vault.image(entry) for key, entry in state.items() if entry is not None and not entry.removed}
