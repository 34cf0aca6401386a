"""Objectives: durations as people write them, and when a figure misses one."""

from __future__ import annotations

import pytest

from backstream.errors import UsageError
from backstream.model.objectives import Objectives, in_words, parse


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), (" 5 M ", 300), ("0s", 0), ("4w", 2_419_200), ("1y", 31_536_000)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "30m ago", "1q", "1h30m", "1234567s", "\uff15m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.84, "0.8 s"),
        (42.2, "43 s"),
        (59.9, "1 min"),
        (1800, "30 min"),
        (1800.4, "30 min 01 s"),
        (3900, "1 h 05 min"),
        (86_400, "1 d"),
        (266_400, "3 d 02 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_an_objective_is_met_up_to_its_very_second() -> None:
    objectives = Objectives(rpo_seconds=1800, rto_seconds=7200)
    assert objectives.missed_rpo(1800) == []
    assert objectives.missed_rto(7200.0) == []
    assert objectives.missed_rpo(1801) == ["RPO is 30 min 01 s, and the objective is 30 min"]
    assert objectives.missed_rto(7260) == ["RTO is 2 h 01 min, and the objective is 2 h"]


def test_what_is_unknown_misses_every_objective_and_without_one_nothing_is_missed() -> None:
    objectives = Objectives(rpo_seconds=1800, rto_seconds=7200)
    assert "unknown" in objectives.missed_rpo(None)[0]
    assert "unknown" in objectives.missed_rto(None)[0]
    assert [*Objectives().missed_rpo(None), *Objectives().missed_rto(10**9)] == []
