"""The bucket for failed batches that a catalog names, shown and guarded as the settings of a table are.

What lies there becomes gaps, and by `redrive` changes of the table. Whoever can write a catalog can name a bucket of his own.
"""

from __future__ import annotations

import msgspec

from backstream.model.tables.grants import Grant
from backstream.model.tables.owner import account_of
from backstream.model.tables.setup import Todo
from backstream.vault.table_vault import TableVault

WHAT = "bucket for failed batches"


class Named(msgspec.Struct, frozen=True):
    """What a report says of it."""

    grants: tuple[Grant, ...] = ()
    todo: tuple[Todo, ...] = ()


def named_destination(vault: TableVault) -> Named:
    """What a report says of the catalog's bucket for failed batches; nothing where it names none. One LIST."""
    url = vault.catalog.failures
    if url is None or vault.destinations is None:
        return Named()
    foreign = not vault.owns_destination
    grant = Grant(WHAT, url, foreign, vault.accept_settings or not foreign)
    if grant.accepted:
        return Named((grant,))
    account = account_of(vault.catalog.table_arn) or "unknown"
    why = (
        f"not looked into: it cannot be read as one of the table's own account ({account}); --accept-settings reads it all the same"
    )
    return Named((grant,), (Todo(WHAT, why, f"backstream redrive {vault.catalog.table} --dry-run --accept-settings"),))
