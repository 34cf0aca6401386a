"""What came out: the outcomes of every side of every contest, and the few numbers that they are told by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Measured
from benchmarks.plan import Contest
from benchmarks.processes import CannotRun

MICROSECOND = 1e-6


@dataclass(frozen=True)
class Outcome:
    """One run of one side. `requests`: what the server was asked for each item, by kind."""

    measured: Measured
    requests: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """Microseconds of processor time for an item."""
        return self.measured.cpu / self.measured.items / MICROSECOND


@dataclass(frozen=True)
class Figures:
    """Medians over the runs. Times in microseconds for an item; `peak`: bytes, 0 where not measured; `requests`: for an item."""

    cpu: float
    least: float
    most: float
    wall: float
    peak: float
    requests: Mapping[str, float]


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Of the runs of one side, at least one."""
    cpu = [each.cpu for each in outcomes]
    return Figures(
        cpu=median(cpu),
        least=min(cpu),
        most=max(cpu),
        wall=median(each.measured.wall / each.measured.items / MICROSECOND for each in outcomes),
        peak=median(each.measured.peak for each in outcomes),
        requests=outcomes[-1].requests,
    )


class Results:
    """Collects outcomes by contest and label; a side that cannot run is noted once, with why, and left out from then on."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str], list[Outcome]] = {}
        self.failed: dict[tuple[str, str], str] = {}

    def take(self, contest: Contest, label: str, run: Callable[[], Outcome]) -> None:
        """Run one side once."""
        place = contest.title, label
        if place in self.failed:
            return
        try:
            self._outcomes.setdefault(place, []).append(run())
        except CannotRun as error:
            self.failed[place] = str(error)

    def tried(self, contest: Contest) -> bool:
        """Whether any of its sides was run."""
        return any(title == contest.title for title, _ in (*self._outcomes, *self.failed))

    def of(self, contest: Contest, label: str) -> Figures | None:
        """A side's figures; None where it has none."""
        outcomes = self._outcomes.get((contest.title, label))
        return figures(outcomes) if outcomes and (contest.title, label) not in self.failed else None

    def ratio(self, contest: Contest, label: str) -> float | None:
        """How many times less processor time this side takes than the one it is compared with; below 1: more."""
        ours, theirs = self.of(contest, label), self.of(contest, contest.against)
        return None if ours is None or theirs is None else theirs.cpu / ours.cpu
