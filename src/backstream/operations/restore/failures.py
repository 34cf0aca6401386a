"""Shows and guards the bucket for failed batches that a catalog names, like a table's settings.

Its objects become gaps, and by `redrive` changes of the table. Anybody who can write a catalog can name a bucket of their own.
"""

from __future__ import annotations

import msgspec

from backstream.model.tables.grants import Grant
from backstream.model.tables.owner import account_of
from backstream.model.tables.setup import Todo
from backstream.vault.table_vault import TableVault

WHAT = "bucket for failed batches"


class Named(msgspec.Struct, frozen=True):
    """The entries of a report about the bucket."""

    grants: tuple[Grant, ...] = ()
    todo: tuple[Todo, ...] = ()


def named_destination(vault: TableVault) -> Named:
    """Returns the entries of a report about the catalog's bucket for failed batches; empty if it names none. Costs one LIST."""
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
