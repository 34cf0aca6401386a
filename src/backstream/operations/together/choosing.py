"""Rows of several tables: one selection for all of them. Tables without such rows are left out, unless all of them are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backstream.errors import NothingMatches
from backstream.operations.restore import PreparedRestore
from backstream.operations.together.nothing import no_table_has_any

NAMED = 5


class RowFilters(msgspec.Struct, frozen=True):
    """The filters on rows that are the same for all tables: see `RestoreRequest`."""

    tenant: str | None = None
    partition: str | None = None
    where: str | None = None

    @property
    def words(self) -> list[str]:
        """Returns them in the spelling of the command line."""
        given = {"tenant": self.tenant, "partition": self.partition, "where": self.where}
        return [f"--{name} {value!r}" for name, value in given.items() if value is not None]


ALL_ROWS = RowFilters()


def left_out(prepared: Mapping[str, PreparedRestore]) -> dict[str, NothingMatches]:
    """Returns the tables that have none of the selected rows. Raises NothingMatches if no table has any.

    A key that no table has ever held is an error, too. A table that could not be read as a whole is not left out.
    """
    found = {table: each.look() for table, each in prepared.items()}
    nothing = {table: each.nothing for table, each in found.items() if each.nothing is not None}
    if len(nothing) == len(found):
        raise no_table_has_any(nothing)
    unknown = set[bytes].intersection(*(each.never_seen for each in found.values()))
    if unknown:
        raise NothingMatches(
            f"no table has ever held a row of {_named(sorted(unknown))}", hint="Nothing was touched. Check the key."
        )
    return {table: each for table, each in nothing.items() if found[table].is_whole}


def _named(keys: Sequence[bytes]) -> str:
    more = f" and {len(keys) - NAMED:,} more" if keys[NAMED:] else ""
    return ", ".join(key.decode() for key in keys[:NAMED]) + more
