"""A drill of several tables: all of them restored to one second, which is shown to cut no transaction between them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from backstream.errors import BackstreamError, OutsideWindow, Refused
from backstream.model import moment
from backstream.model.window import Range, Window
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.drill import Drill, DrillPlan, Pick, drill
from backstream.operations.drill.moments import any_of
from backstream.operations.inspect import safety
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import RestoreContext
from backstream.operations.together.quiet import quiet
from backstream.operations.together.side_by_side import OnFailure, StopSign, check_all, run_all, share, width
from backstream.vault.table_vault import TableVault


class DrilledTogether(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a drill of several tables, all at the second `at`.

    `passed`: every table's drill has passed. `consistent`: so that the tables are also consistent with each other at that second:
    it is quiet, no transaction lies on both sides of it; `note` says why that is not shown. `stopped`: tables whose drill could not
    be made, and why.
    """

    at: str
    passed: bool
    consistent: bool
    note: str
    tables: Sequence[Drill]
    stopped: Mapping[str, str]
    rpo_seconds: float | None
    rto_seconds: float | None
    seconds: float


class GroupDrillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A drill of tables. `plan`: of each, for which `at` and `covered` are filled in; `covered`: checks signatures."""

    vaults: Mapping[str, TableVault]
    around: RestoreContext
    plan: DrillPlan
    covered: Callable[[TableVault, int], SignedCover]
    progress: Progress = Silent()


def drill_together(asked: GroupDrillRequest) -> DrilledTogether:
    """Drills all tables at one second, and reports. Raises one error, before anything is created, if any table refuses."""
    around, plan, began = asked.around, asked.plan, asked.around.clock.now()
    windows = {table: vault.window(began) for table, vault in asked.vaults.items()}
    at, note = _moment(asked, windows, began)
    note = note or _why_not_exact(at, windows)
    covered: dict[str, SignedCover] = {}

    def check(table: str) -> None:
        safety.check_past(at, began, windows[table])
        safety.check_table(table, at, windows[table], allow_gap=plan.allow_gap)
        covered[table] = asked.covered(asked.vaults[table], at)

    check_all(list(asked.vaults), check, f"drilled at {moment.iso(at)}")
    stop, memory = StopSign(), around.memory
    budget = Budget.of(around.clock, plan.max_units)
    own = msgspec.structs.replace(around, memory=share(len(windows), memory), progress=stop, budget=budget)
    found = run_all(
        list(asked.vaults),
        lambda table: drill(asked.vaults[table], msgspec.structs.replace(plan, at=at, covered=covered[table]), own),
        side_by_side=width(len(windows), memory),
        on_failure=OnFailure.GO_ON,
        is_good=lambda each: each.passed,
        stop=stop,
        progress=asked.progress,
    )
    return _report(found, at, note, round(around.clock.now() - began, 3))


def _moment(asked: GroupDrillRequest, windows: Mapping[str, Window], now: float) -> tuple[int, str]:
    """Returns the second, and why it is not shown to be quiet. Without `at` it is a quiet one, if there is any."""
    if asked.plan.at is not None:
        return asked.plan.at, _why_not_quiet(asked, asked.plan.at, now)
    ranges = common(list(windows.values()))
    if not ranges:
        raise OutsideWindow(
            "there is no second at which all of these tables can be restored exactly",
            hint="\n".join(f"{table}: {window}" for table, window in windows.items()),
        )
    picked = any_of(ranges, secrets.randbelow) if asked.plan.pick is Pick.RANDOM else ranges[-1].until
    try:
        settled = quiet(asked.vaults, picked, now, asked.around.memory).at
    except Refused as error:
        return picked, error.message
    if not any(each.since <= settled <= each.until for each in ranges):
        return picked, f"the nearest quiet second, {moment.iso(settled)}, cannot be restored exactly in all tables"
    return settled, ""


def _why_not_quiet(asked: GroupDrillRequest, at: int, now: float) -> str:
    if at > now:
        return "it is in the future"
    try:
        return quiet(asked.vaults, at, now, asked.around.memory).note
    except Refused as error:
        return error.message


def _why_not_exact(at: int, windows: Mapping[str, Window]) -> str:
    """Returns why the tables cannot be shown to be consistent, although the second is quiet; empty if each is exact there."""
    unsure = [table for table, window in windows.items() if not any(each.since <= at <= each.until for each in window.ranges)]
    return f"what the vault holds of {', '.join(unsure)} at {moment.iso(at)} is not proven to be all of it" if unsure else ""


def common(windows: Sequence[Window]) -> list[Range]:
    """Returns the seconds at which all windows can be restored exactly, oldest first."""
    found = list(windows[0].ranges)
    for window in windows[1:]:
        both = (Range(max(one.since, other.since), min(one.until, other.until)) for one in found for other in window.ranges)
        found = sorted((each for each in both if each.since <= each.until), key=lambda each: each.since)
    return found


def _report(found: Mapping[str, Drill | BackstreamError], at: int, note: str, seconds: float) -> DrilledTogether:
    tables = [each for each in found.values() if isinstance(each, Drill)]
    stopped = {table: each.message for table, each in found.items() if isinstance(each, BackstreamError)}
    passed = not stopped and all(each.passed for each in tables)
    return DrilledTogether(
        at=moment.iso(at),
        passed=passed,
        consistent=passed and not note,
        note=note,
        tables=tables,
        stopped=stopped,
        rpo_seconds=_worst([each.rpo_seconds for each in tables]),
        rto_seconds=_worst([each.rto_seconds for each in tables]),
        seconds=seconds,
    )


def _worst(figures: Sequence[float | None]) -> float | None:
    known = [each for each in figures if each is not None]
    return max(known) if figures and len(known) == len(figures) else None
