"""One invocation for several tables: each in its turn, and a fault in one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.apps.config import Config
from backstream.apps.selection.selecting import group_of, members
from backstream.errors import BackstreamError, Failed, UsageError

MINUTE = 60


class OfTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields that name the tables of an event: one, several, or a group of the vault as it is when the function runs."""

    table: str | None = None
    tables: Sequence[str] = ()
    group: str | None = None

    def check(self, what: str, hint: str) -> None:
        """Raises UsageError unless tables are named in exactly one way. `what`: the kind of event; `hint`: the next step."""
        if sum((self.table is not None, bool(self.tables), self.group is not None)) != 1:
            raise UsageError(f"not the event of a {what}: it needs one of `table`, `tables` and `group`", hint=hint)

    def names(self, config: Config) -> list[str]:
        """Returns the tables, each once. Raises NotFound if there is no such group, or if no table has its tags.

        A table that a group names and the vault does not know is returned, too: it fails by itself, and hides no other.
        """
        if self.table is not None:
            return [self.table]
        if self.group is None:
            return list(dict.fromkeys(self.tables))
        found = group_of(config, self.group)
        return list(found.tables) or members(config, found)


def in_rotation(tables: Sequence[str], now: float) -> list[str]:
    """Returns the tables, beginning with another one each minute, so that no table is always the last."""
    first = int(now) // MINUTE % len(tables)
    return [*tables[first:], *tables[:first]]


def side_by_side(tables: Sequence[str], run: Callable[[str], None], at_once: int) -> dict[str, BackstreamError]:
    """Runs it for every table, some at once. Returns the errors by table; any other error is raised once all have ended."""
    with ThreadPoolExecutor(at_once) as pool:
        running = {table: pool.submit(run, table) for table in tables}
    failed: dict[str, BackstreamError] = {}
    for table, future in running.items():
        try:
            future.result()
        except BackstreamError as error:
            failed[table] = error
    return failed


def raise_if(failed: Sequence[str], tables: Sequence[str], what: str) -> None:
    """Raises Failed if some tables failed."""
    if failed:
        some = ", ".join(failed[:5]) + " ..." * (len(failed) > 5)
        raise Failed(f"{what} {len(failed)} of {len(tables)} tables: {some}", hint="Each has a line in the log that says why.")
