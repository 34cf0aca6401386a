"""One invocation for several tables: each in its turn, and a fault in one does not stop the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from backstream.apps.config import Config
from backstream.apps.selection.selecting import group_of, members
from backstream.errors import BackstreamError, Failed, UsageError
from backstream.ports import Clock

MINUTE = 60


class OfTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields that name the tables of an event: one, several, or a group of the vault as it is when the function runs."""

    table: str | None = None
    tables: Sequence[str] = ()
    group: str | None = None

    def names(self, config: Config, *, unknown_too: bool = False) -> list[str]:
        """Returns the tables, each once. Raises NotFound if there is no such group, or if no table has its tags.

        A table that a group names and the vault does not know is returned, too: it fails by itself, and hides no other.
        `unknown_too`: see `selecting.select`.
        """
        if self.table is not None:
            return [self.table]
        if self.group is None:
            return list(dict.fromkeys(self.tables))
        found = group_of(config, self.group)
        return list(found.tables) or members(config, found, unknown_too=unknown_too)


_Event = TypeVar("_Event", bound=OfTables)


def event_of(event: object, kind: type[_Event], what: str, hint: str) -> _Event:
    """Returns an event's fields. `what`: the kind of event, with its article; `hint`: the next step.

    Raises UsageError for invalid fields, and unless tables are named in exactly one way.
    """
    try:
        wanted = msgspec.convert(event, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"not the event of {what}: {error}", hint=hint) from error
    if sum((wanted.table is not None, bool(wanted.tables), wanted.group is not None)) != 1:
        raise UsageError(f"not the event of {what}: it needs one of `table`, `tables` and `group`", hint=hint)
    return wanted


def in_turn(
    tables: Sequence[str],
    clock: Clock,
    ends: float,
    run: Callable[[str], msgspec.Struct],
    is_done: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> tuple[dict[str, Any], list[str]]:
    """Runs it for one table after the other, and logs each report: it must count, and name no item.

    No table is begun after `ends` (epoch seconds). `is_done`: False for a report with something left. Returns the reports as JSON,
    and the tables that failed or are not done.
    """
    found, failed = dict[str, Any](), list[str]()
    for table in in_rotation(tables, clock.now()):
        if clock.now() >= ends:
            tell({"table": table, "left": "no time was left: a later run begins with it"})
            continue
        try:
            report = run(table)
        except BackstreamError as error:
            tell({"table": table, "error": type(error).__name__, "hint": error.hint})
            failed.append(table)
            continue
        found[table] = msgspec.json.decode(msgspec.json.encode(report), type=dict[str, Any])
        tell(found[table])
        failed += [] if is_done(found[table]) else [table]
    return found, failed


def tell(line: Mapping[str, Any]) -> None:
    """Logs a line of JSON as a whole: several tables may write at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


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
