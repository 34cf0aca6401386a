"""`changes --summary` draws a bar for each minute on a terminal, and prints only numbers elsewhere."""

from __future__ import annotations

import pytest

from backstream.apps.cli.look.changes import BARS, WIDEST, chart
from backstream.apps.cli.screen import Screen
from backstream.model import moment
from backstream.operations.changes import Certainty, ChangeSummary
from backstream.operations.changes.summary import During

T = 1_764_504_000  # an hour begins


def summary(counts: dict[int, int], step: int = 60) -> ChangeSummary:
    times = [During(moment.iso(T + number * step), count) for number, count in counts.items()]
    total = sum(counts.values())
    sure = Certainty("", "", proven=True, proven_until=None)
    return ChangeSummary("orders", "", "", total, total, {}, None, {}, {}, step, times, [], sure)


def test_a_peak_is_the_longest_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {0: 2, 1: 100, 4: 50}
    numbers = [each.split()[-1] for each in chart(summary(counts))]
    assert numbers == ["2", "100", "0", "0", "50"]
    monkeypatch.setattr(Screen, "is_terminal", True)
    assert [each.count("█") for each in chart(summary(counts))] == [1, WIDEST, 0, 0, WIDEST // 2]
    assert chart(summary(counts))[1].startswith(moment.iso(T + 60)[:16])


def test_many_minutes_share_bars_and_no_change_is_lost() -> None:
    counts = {number: number % 7 + 1 for number in range(2_880)}
    bars = chart(summary(counts))
    assert len(bars) <= BARS
    assert sum(int(each.split()[-1].replace(",", "")) for each in bars) == sum(counts.values())


def test_nothing_has_no_bars() -> None:
    assert chart(summary({})) == []
