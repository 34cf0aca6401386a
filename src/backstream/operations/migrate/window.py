"""Tells whether the vault could undo a migration, before anything is written."""

from __future__ import annotations

from backstream.errors import Refused
from backstream.model.clocks import CLOCKS_APART
from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.migrate.request import MigrationContext
from backstream.vault.table_vault import TableVault

POLL_SECONDS = 0.25
WITHOUT = "or give --without-undo, and do without a way back."


def check_undoable(around: MigrationContext, began: int) -> list[str]:
    """Raises Refused if the vault does not hold all of the table's present state. Returns the uncertainties."""
    vault = vault_of(around)
    window = vault.window(around.clock.now())
    try:
        return safety.check_table(around.table.name, began, window, allow_gap=False)
    except Refused as error:
        error.message = f"what a migration changes could not be taken back: {error.message}"
        error.hint = f"{error.hint} Mend that, {WITHOUT}"
        raise


def vault_of(around: MigrationContext) -> TableVault:
    """Returns the table's vault. Raises Refused if there is none, or if it belongs to another table of that name."""
    name = around.table.name
    if around.vault is None:
        raise Refused(
            f"what a migration changes could not be taken back: there is no vault of {name}",
            hint=f"Give --vault URL; `backstream init {name}` and `backstream backfill {name}` make one; {WITHOUT}",
        )
    if around.table.facts().schema != around.vault.catalog.key_schema:
        raise Refused(
            f"the table {name} has another key schema than the vault's",
            hint=f"It was created anew: back it up into another vault, {WITHOUT}",
        )
    if not around.into_another:
        catalog = around.vault.catalog
        safety.check_same_table(Identity(catalog.table_arn, catalog.table_id), around.table.facts(), of="the vault's", way_on="")
    return around.vault


def leave_the_second(around: MigrationContext, began: int) -> None:
    """Returns once no write can be taken for one of the second in which the migration began: an undo goes back there."""
    while int(around.table.server_time()) <= began + CLOCKS_APART:
        around.clock.sleep(POLL_SECONDS)
