"""A vault on a disk that does not tell upper from lower case: names that differ in that alone would be one object."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.errors import Refused
from backstream.model.tables.naming import Naming

WHY = "this disk does not tell upper from lower case in names"


def check_names(table: str, tables: Sequence[str], naming: Naming, tenant_attribute: str | None) -> None:
    """Raises Refused if two tables, or two items of the table, could get one name on such a disk.

    `tables`: those that the vault knows. Names that are digests differ in more than case.
    """
    twin = next((each for each in tables if each != table and each.casefold() == table.casefold()), None)
    if twin is not None:
        raise Refused(
            f"{WHY}, and the vault keeps {twin}: {table} would lie in its folder", hint="Keep this table in a vault of its own."
        )
    if naming is Naming.PLAIN or tenant_attribute is not None:
        by = "plain names" if naming is Naming.PLAIN else f"folders by {tenant_attribute}"
        raise Refused(
            f"{WHY}: with {by} an item could overwrite another one",
            hint="Use --naming sha256 without --tenant-attribute, or a disk that tells them apart.",
        )
