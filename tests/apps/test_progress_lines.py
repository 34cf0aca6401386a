"""Progress in the log of a job: a line a minute, with how much is left."""

from __future__ import annotations

from backstream.apps.cli.progress_lines import ProgressLines, spelled
from kit.clock import ManualClock


def test_a_line_a_minute_with_rate_and_remaining_time() -> None:
    clock, said = ManualClock(), list[str]()
    shown = ProgressLines(clock.now, said.append)
    shown.phase("reading the change log", None)
    shown.advance(1_000)
    clock.move(59)
    shown.advance(5_000)
    assert not said
    clock.move(1)
    shown.advance(0)
    shown.expect(60_000)
    clock.move(30)
    shown.advance(10)
    clock.move(30)
    shown.advance(5_990)
    shown.phase("rows", 10)
    shown.advance(10)
    clock.move(60)
    shown.advance(0)
    assert said == [
        "progress: reading the change log: 6,000, 100 a second",
        "progress: reading the change log: 12,000 of 60,000, 100 a second, 8 min left",
        "progress: rows: 10 of 10, 0 a second, 0 s left",
    ]


def test_times_are_spelled() -> None:
    assert [spelled(each) for each in (-3, 7.4, 61, 3_599, 3_600 * 3 + 290)] == ["0 s", "7 s", "2 min", "1 h 0 min", "3 h 5 min"]
