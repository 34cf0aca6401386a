"""The groups of tables on the vault's screen: what holds for all tables of a group, out of each table's own status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from backstream.apps.library import Vault
from backstream.apps.selection.table_selection import TableSelection
from backstream.errors import BackstreamError
from backstream.model.counts import counted
from backstream.operations.inspect.status import Status
from backstream.operations.inspect.worst_first import badness
from backstream.vault import groups
from backstream.vault.drills import Held


class TableLine(msgspec.Struct, frozen=True):
    """One table. `problems`: descriptions, the worst first; `status`: None if it cannot be read."""

    name: str
    problems: list[str]
    status: Status | None

    @property
    def order(self) -> tuple[object, ...]:
        """Returns a key that sorts the worst first: tables that cannot be read, then those with problems."""
        if self.status is None:
            return (0, self.name)
        return (1, not self.problems, *badness(self.status))


class GroupLine(msgspec.Struct, frozen=True):
    """One group. `tables`: its tables, the worst first; `problems`: why it is not all right, in words.

    `since`, `until`: the newest period in which all of its tables can be restored exactly; empty if there is none. `lag_seconds`:
    the greatest of its tables; None if one is unknown. `gaps`: the open ones of all. `drill`: what its last drill has shown.
    `dollars`: of all tables a month; None if one is unknown. `log_bytes`, `changes`: of all.
    """

    name: str
    problems: list[str]
    tables: list[TableLine] = []
    since: str = ""
    until: str = ""
    lag_seconds: int | None = None
    gaps: int = 0
    drill: str = ""
    dollars: float | None = None
    log_bytes: int = 0
    changes: int = 0


def group_lines(held: Vault, rows: Sequence[TableLine], words: Callable[[BackstreamError], str]) -> list[GroupLine]:
    """Returns the vault's groups, the worst first. `rows`: all tables of the vault; `words`: what may be shown of an error."""
    by_name = {each.name: each for each in rows}
    found = [_line(held, name, by_name, words) for name in held.groups()]
    return sorted(found, key=_order)


def _order(group: GroupLine) -> tuple[object, ...]:
    worst = group.tables[0].order if group.tables else ()
    return (bool(group.tables), not group.problems, worst, group.name)


def _line(held: Vault, name: str, by_name: Mapping[str, TableLine], words: Callable[[BackstreamError], str]) -> GroupLine:
    try:
        groups.check_name(name)
        names = held.select(TableSelection(groups=(name,)))
    except BackstreamError as error:
        return GroupLine(name, [words(error)])
    lines = (by_name.get(each) or TableLine(each, ["nobody has looked at it yet"], None) for each in names)
    tables = sorted(lines, key=lambda each: each.order)
    known = [each.status for each in tables if each.status is not None]
    whole = len(known) == len(tables)
    since, until = newest_common([[(each.since, each.until) for each in one.ranges] for one in known]) if whole else ("", "")
    return GroupLine(
        name,
        _problems(tables, until),
        tables,
        since,
        until,
        lag_seconds=_greatest([each.lag_seconds for each in known]) if whole else None,
        gaps=sum(len(each.gaps) for each in known),
        drill=drill_words([each.last_drill for each in known]) if whole else "unknown",
        dollars=_sum([each.dollars_a_month for each in known]) if whole else None,
        log_bytes=sum(each.log_bytes for each in known),
        changes=sum(each.changes for each in known),
    )


def _problems(tables: Sequence[TableLine], until: str) -> list[str]:
    nowhere = [] if until else ["there is no second at which all of its tables can be restored exactly"]
    return nowhere + [_problem(each) for each in tables if each.problems]


def _problem(table: TableLine) -> str:
    more = len(table.problems) - 1
    return f"{table.name}: {table.problems[0]}{f', and {more} more' if more else ''}"


def newest_common(ranges: Sequence[Sequence[tuple[str, str]]]) -> tuple[str, str]:
    """Returns the newest period that lies in a range of every table; two empty texts if there is none. Times are ISO 8601, UTC."""
    if not ranges:
        return "", ""
    found = list(ranges[0])
    for of_table in ranges[1:]:
        both = [(max(one[0], other[0]), min(one[1], other[1])) for one in found for other in of_table]
        found = [each for each in both if each[0] <= each[1]]
    return max(found, key=lambda each: each[1], default=("", ""))


def drill_words(last: Sequence[Held | None]) -> str:
    """Returns what the last drills of a group's tables show together: only drills at one second are a drill of the group."""
    known = [each for each in last if each is not None]
    if not known:
        return "never"
    failed = len([each for each in known if not each.passed])
    if failed:
        return f"FAILED in {counted(failed, 'table')}"
    if len(known) < len(last):
        return f"never in {counted(len(last) - len(known), 'table')}"
    moments = {each.at for each in known}
    began = min(each.began for each in known)
    return f"passed, all at {moments.pop()}" if len(moments) == 1 else f"passed, but not at one second; the oldest {began}"


def _greatest(figures: Sequence[int | None]) -> int | None:
    known = [each for each in figures if each is not None]
    return max(known) if known and len(known) == len(figures) else None


def _sum(figures: Sequence[float | None]) -> float | None:
    known = [each for each in figures if each is not None]
    return sum(known) if len(known) == len(figures) else None
