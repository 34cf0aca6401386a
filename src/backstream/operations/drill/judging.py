"""The verdict: the reasons why a drill has failed, each with its figures. Without reasons it has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from backstream.model.counts import counted
from backstream.model.objectives import Objectives, in_words
from backstream.operations.drill.account import DrillCounts
from backstream.operations.drill.report import Difference, Side
from backstream.operations.inspect.check import Finding
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.operations.restore import Failure

NOTABLE_RPO = 1_800  # seconds: more than a usual contract allows is worth a word, even if nobody gave an objective
NAMED = 3

_WHERE = {
    Side.SCRATCH: "not in the restored table as the vault holds them",
    Side.LIVE: "not in the live table as they were restored, and the vault knows of no change of them since",
    Side.HISTORY: "by their own histories in the vault another image than by the change log, or none",
}


def reasons(
    account: DrillCounts,
    failures: Sequence[Failure],
    lost: Sequence[MissingChange],
    objectives: Objectives,
    rpo: float | None,
    rto: float | None,
    error: str | None,
) -> list[str]:
    """Returns the reasons of a failure; empty if it has passed."""
    stopped = [] if error is None else [f"it was stopped: {error}"]
    found = [*_differences(account), *_failures(failures), *_lost(lost)]
    return [*stopped, *found, *objectives.missed_rpo(rpo), *objectives.missed_rto(rto)]


def _lost(lost: Sequence[MissingChange]) -> Iterator[str]:
    if lost:
        shown = "; ".join(f"{bytes(each.key).decode()} between {each.since} and {each.until}" for each in lost[:NAMED])
        yield f"changes are missing from the vault: {len(lost):,}: {shown}{'; ...' if lost[NAMED:] else ''}"


def _differences(account: DrillCounts) -> Iterator[str]:
    for side, where in _WHERE.items():
        of_side = [each for each in account.differing if each.side is side]
        if not of_side:
            continue
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(each.kind for each in of_side).items())
        yield f"{where}: {len(of_side):,}{_or_more(account)} ({kinds}): {_named(of_side)}"


def _or_more(account: DrillCounts) -> str:
    return " or more" if account.named < account.found else ""


def _named(differing: Sequence[Difference]) -> str:
    shown = ", ".join(bytes(each.key).decode() for each in differing[:NAMED])
    return shown + (", ..." if differing[NAMED:] else "")


def _failures(failures: Sequence[Failure]) -> Iterator[str]:
    if failures:
        shown = "; ".join(f"{each.what}: {each.why}" for each in failures[:NAMED])
        more = "; ..." if failures[NAMED:] else ""
        yield f"objects of the vault that cannot be read, or are no part of it: {len(failures):,}: {shown}{more}"


def of_check(findings: Sequence[Finding], named: Collection[str]) -> list[str]:
    """Returns the reasons from the findings of `check`, without those that the restore has named already."""
    news = [each for each in findings if each.object not in named]
    if not news:
        return []
    shown = "; ".join(map(str, news[:NAMED]))
    more = "; ..." if news[NAMED:] else ""
    return [f"the vault does not hold what it claims of this moment: {counted(len(news), 'finding')}: {shown}{more}"]


def never_checked(account: DrillCounts) -> list[str]:
    """Lists the parts that no drill checks, and those that this one did not."""
    live = [] if account.live_rows is not None else ["the live table; the notes say why"]
    return [
        *live,
        "the state at other moments than this one, which `backstream drill --pick random` tries",
        "indexes, alarms and permissions of the table: the scratch table has its rows alone",
    ]


def notable(rpo: float | None, objectives: Objectives) -> list[str]:
    """Returns a note if the vault is far behind and there is no objective to measure it by."""
    if objectives.rpo_seconds is not None or (rpo is not None and rpo <= NOTABLE_RPO):
        return []
    if rpo is None:
        return ["RPO is unknown: the vault does not prove any second to be complete"]
    return [f"RPO is {in_words(rpo)}: what was changed since may be lost, or nothing was; --rpo makes it pass or fail"]
