"""The requested rows of several tables, by their keys: each table's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from backstream.apps.verbs.arguments import Key, Moment
from backstream.apps.verbs.changes import RequestedKeys, requested_keys
from backstream.errors import BackstreamError, NothingMatches
from backstream.operations.changes import ChangesContext
from backstream.operations.together.nothing import no_table_has_any
from backstream.operations.together.side_by_side import refused
from backstream.vault.table_vault import TableVault


def keys_of_each(
    vaults: Mapping[str, TableVault],
    around: ChangesContext,
    *,
    keys: Iterable[Key],
    keys_file: str | Path | None,
    changed_between: tuple[Moment, Moment] | None,
    allow_gap: bool,
) -> dict[str, RequestedKeys]:
    """Returns the keys of each table that has such rows: none for all of its rows.

    Raises NothingMatches if no table has any, and one error that names all tables for which the keys are invalid.
    """
    found, nothing, refusals = dict[str, RequestedKeys](), dict[str, NothingMatches](), dict[str, BackstreamError]()
    wanted = list(keys)
    for table, vault in vaults.items():
        try:
            found[table] = requested_keys(
                vault, around, keys=wanted, keys_file=keys_file, changed_between=changed_between, allow_gap=allow_gap
            )
        except NothingMatches as error:
            nothing[table] = error
        except BackstreamError as error:
            refusals[table] = error
    if refusals:
        raise refused(refusals, len(vaults), "restored")
    if not found:
        raise no_table_has_any(nothing)
    return found
