"""Checks a moment before anything is restored to it: the one place that refuses, gives the reason, and names the alternative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import msgspec

from backstream.errors import GapInTheWay, OutsideWindow, Refused
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names
from backstream.model.window import KnownGap, Older, Window
from backstream.ports import TableFacts

NAMED = 10  # objects or gaps that a refusal names
LIMITS = (
    "by an older tool's backup: times are when its objects arrived, to the second, not when rows changed; who changed them is not "
    "known; versions of one second are in S3's order; rows that it never wrote are not in it"
)


def check_past(at: int, now: float, window: Window) -> None:
    """Raises OutsideWindow for a moment in the future, and for one before the horizon that was not kept."""
    if at > now:
        raise OutsideWindow(f"{moment.iso(at)} is in the future (now: {moment.iso(now)})", hint=str(window))
    check_kept(at, window)


def check_kept(at: int, window: Window) -> None:
    """Raises OutsideWindow for a moment before the horizon, except for one whose state was kept."""
    if window.is_thinned(at) and window.start(at) is None:
        _refuse_thinned(at, window)


def check_followed(since: int, window: Window) -> None:
    """Raises OutsideWindow for a moment before the horizon: the changes after it were removed, even if its state was kept."""
    if window.is_thinned(since):
        _refuse_thinned(since, window)


def _refuse_thinned(at: int, window: Window) -> NoReturn:
    kept = [*window.kept_seconds, *([] if window.horizon is None else [window.horizon])]
    before = max((each for each in kept if each < at), default=None)
    after = min((each for each in kept if each > at), default=None)
    near = [moment.iso(each) for each in (before, after) if each is not None]
    nearest = f"moment is {near[0]}" if len(near) == 1 else f"moments are {' and '.join(near)}"
    raise OutsideWindow(
        f"{moment.iso(at)} is before the horizon: history is kept from {moment.iso(kept[-1])}, and `retain` has removed "
        + (f"what was before, except for single states; the nearest kept {nearest}" if kept[1:] else "what was before"),
        hint=str(window),
    )


def check_table(table: str, at: int, window: Window, *, allow_gap: bool) -> list[str]:
    """Checks that the state of the *whole* table at a moment is known. Returns the uncertainties, if they are accepted.

    Raises OutsideWindow and GapInTheWay.
    """
    check_kept(at, window)
    known = window.start(at) is not None
    if not known and window.older is not None:
        return _by_older_tool(table, at, window, window.older, allow_gap=allow_gap)
    if not known and window.starts_empty:
        raise OutsideWindow(f"{moment.iso(at)} is before the first backup of {table}", hint=str(window))
    if not known and not allow_gap:
        _refuse_without_base(table, at, window)
    uncertain = _check_gaps(table, window, window.gaps_before(at), allow_gap=allow_gap)
    if not known:
        uncertain.insert(0, "rows that did not change since `init` are not in the vault: they are left alone")
    return uncertain + not_yet_arrived(table, at, window) + not_seen(window)


def _by_older_tool(what: str, at: int, window: Window, kept: Older, *, allow_gap: bool) -> list[str]:
    """Returns the limits of a moment that only an older tool's backup, and later changes, cover."""
    if at < kept.since:
        raise OutsideWindow(f"{moment.iso(at)} is before the first object of the backup of {what}", hint=str(window))
    if kept.stale and at > kept.until and not allow_gap:
        raise OutsideWindow(
            f"{moment.iso(at)} is after {what} was adopted, and the older tool has written since",
            hint=f"`backstream init {what} --adopt` takes that in; or continue with --allow-gap. {window}",
        )
    limits = [
        LIMITS,
        *([] if not (kept.stale and at > kept.until) else [f"what arrived after {moment.iso(kept.until)} is not in it"]),
    ]
    if at <= kept.until:
        return limits
    return [*limits, *_check_gaps(what, window, window.gaps_before(at), allow_gap=allow_gap), *not_yet_arrived(what, at, window)]


def _refuse_without_base(table: str, at: int, window: Window) -> NoReturn:
    if window.starts:
        raise OutsideWindow(
            f"{moment.iso(at)} is before the first base backup of {table} had ended",
            hint=f"{window}. --allow-gap restores what is known of an earlier moment and leaves the rest alone.",
        )
    raise OutsideWindow(
        f"the vault does not know all of {table}: it was not empty at `init`, and there is no base backup",
        hint=f"Restore single rows with --key. The whole table needs a base backup first: `backstream backfill {table}`. "
        "--allow-gap restores what is known and leaves the rest alone.",
    )


def check_item(table: str, key: bytes, at: int, then: Entry | None, window: Window, *, allow_gap: bool) -> list[str]:
    """Does the same as `check_table` for one item. `then` is its newest change up to the moment, None if the vault has none."""
    check_kept(at, window)
    what = f"{table} {key.decode()}"
    if window.start(at) is None and window.older is not None and (then is None or then.stream == legacy_names.STREAM):
        return _by_older_tool(table, at, window, window.older, allow_gap=allow_gap)
    if then is None and window.start(at) is None:
        raise OutsideWindow(f"the vault does not know what {what} was at {moment.iso(at)}", hint=str(window))
    since = None if then is None else then.since
    gaps = [gap for gap in window.gaps_before(at) if since is None or gap.until >= since]
    return _check_gaps(what, window, gaps, allow_gap=allow_gap) + not_yet_arrived(table, at, window) + not_seen(window)


def _check_gaps(what: str, window: Window, gaps: Sequence[KnownGap], *, allow_gap: bool) -> list[str]:
    if gaps and not allow_gap:
        raise GapInTheWay(
            f"{what}: changes may be missing: " + named(list(map(str, gaps))),
            hint=f"Choose a moment before that, or restore with --allow-gap what is known. {window}",
        )
    return [f"changes may be missing: {gap}" for gap in gaps]


def unreadable_backup(each: Sequence[str]) -> Refused:
    """Returns the error for parts of the backup that are damaged, missing or foreign, each named with its fault."""
    return Refused(
        f"{len(each)} object(s) of the backup cannot be read: {named(each)}",
        hint="Bring them back from the bucket's versions, or continue with --allow-gap, which names them.",
    )


def named(each: Sequence[str]) -> str:
    """Names the first few of these, and states how many more there are."""
    return "; ".join(each[:NAMED]) + (f"; and {len(each) - NAMED} more" if each[NAMED:] else "")


def is_proven(at: int, window: Window) -> bool:
    """True if every change up to a second is known to be in the vault: proven by a reader, or taken in from an older tool."""
    if window.durable is not None and at <= window.durable:
        return True
    return window.older is not None and at <= window.older.until


def by_older_tool(at: int, window: Window) -> bool:
    """True if only an older tool's backup covers a second: it does not know the rows that it never wrote."""
    return window.start(at) is None and window.older is not None


def surely_absent(then: Entry | None, at: int, window: Window, lost: Sequence[KnownGap]) -> bool:
    """True if an item outside of the vault's state at a proven moment did not exist then, so that a live one may be deleted.

    `then`: its newest change up to the moment, a delete, or None; `lost`: the times of unreadable objects. An unknown row did not
    exist only if the vault is known to know all rows; a deleted one may have come back in a gap.
    """
    holes = [*window.gaps_before(at), *lost]
    if then is None:
        return window.start(at) is not None and not holes
    return not any(hole.until >= then.since for hole in holes)


def known_until(window: Window) -> str:
    """Describes up to when the vault certainly holds every change."""
    known = "nothing" if window.durable is None else f"everything up to {moment.iso(window.durable)}"
    return f"the vault is sure to hold {known}"


def not_seen(window: Window) -> list[str]:
    """Returns a warning if there may be gaps that nobody could look for."""
    return [window.unseen] if window.unseen else []


def not_yet_arrived(table: str, at: int, window: Window) -> list[str]:
    """Returns a warning if the vault cannot know yet that every change up to the moment has arrived."""
    if window.durable is not None and at <= window.durable:
        return []
    word = (
        f"{known_until(window)}; a change made after that and before {moment.iso(at)} "
        f"is included only if it has arrived (`backstream witness {table}`, or "
        f"`backstream tail {table} --until-caught-up`, makes sure)"
    )
    return [word]


ALL_THE_SAME = "--into-another writes into this table all the same."


def check_same_table(known: Identity, found: TableFacts, *, of: str, way_on: str = ALL_THE_SAME) -> None:
    """Raises Refused if a live table is not the known one: its account, region or table id differs.

    `of`: a description of the known table; `way_on`: the hint for a user who intends this.
    """
    differ = [
        f"{what} {theirs} instead of {ours}"
        for what, ours, theirs in zip(_PARTS, known.parts(), Identity(found.arn, found.table_id).parts(), strict=True)
        if ours and theirs and ours != theirs
    ]
    if differ:
        raise Refused(
            f"the live table {found.name} is not {of}: {', '.join(differ)}; nothing was touched",
            hint=f"Check AWS_PROFILE, AWS_REGION and --vault. {way_on}".strip(),
        )


_PARTS = ("account", "region", "table id")


class Identity(msgspec.Struct, frozen=True):
    """The identity of a table. `arn`, `table_id`: from DescribeTable; empty if not known."""

    arn: str
    table_id: str

    def parts(self) -> tuple[str, str, str]:
        """The account, region and table id, each empty if it is not known."""
        parts = (self.arn.split(":") + [""] * 5)[:5]
        return parts[4], parts[3], self.table_id
