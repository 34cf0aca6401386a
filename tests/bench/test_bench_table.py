"""The table says what was measured: medians, ratios, promises kept and missed, and what could not run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.measure import Measured, measured
from benchmarks.page import page
from benchmarks.plan import BATCHES, CAPTURE, DYNAMODUMP, LOG, OURS, PLAIN, RESTORE, ROWS, Contest, Side
from benchmarks.processes import CannotRun
from benchmarks.results import Outcome, Results
from benchmarks.table import dollars, promises, table, time

CONTEST = Contest("Work", "thing", (Side(OURS, "", 1), Side(PLAIN, "", 1)), target=10)
MEGABYTE = 1 << 20


def results_of(
    contest: Contest, micros: dict[str, Sequence[float]], requests: dict[str, dict[str, float]] | None = None
) -> Results:
    """Runs of 1,000 items that took so many microseconds each."""
    results = Results()
    for label, runs in micros.items():
        for cpu in runs:
            outcome = Outcome(Measured(1_000, cpu / 1_000, cpu / 500, 50 * MEGABYTE), (requests or {}).get(label, {}))
            results.take(contest, label, lambda outcome=outcome: outcome)  # type: ignore[misc] # a loop variable made fast
    return results


def test_a_table_shows_medians_and_compares_them() -> None:
    results = results_of(CONTEST, {OURS: [9.0, 100.0, 10.0], PLAIN: [1_500.0, 1_000.0, 2_000.0]})
    head, rule, title, ours, plain = table([CONTEST], results)
    assert head.count("|") == rule.count("|") == title.count("|") == ours.count("|") == plain.count("|")
    assert title.startswith("| **Work** (an item: thing) |")
    assert ours == "| Backstream | 10.0 µs | 9.00 µs to 100 µs | 20.0 µs | 50 MB | 150x less |"
    assert plain == "| boto3 | 1,500 µs | 1,000 µs to 2,000 µs | 3,000 µs | 50 MB | 1 |"


def test_promises_kept_and_missed_and_not_measured() -> None:
    kept = results_of(CONTEST, {OURS: [10.0], PLAIN: [100.0]})
    missed = results_of(CONTEST, {OURS: [10.1], PLAIN: [100.0]})
    assert promises([CONTEST], kept) == ["- Work: CPU, Backstream against boto3: 10.0x less; promised 10x: met"]
    assert promises([CONTEST], missed) == ["- Work: CPU, Backstream against boto3: 9.9x less; promised 10x: **missed**"]
    assert promises([CONTEST], Results()) == ["- Work: CPU, Backstream against boto3: not measured"]
    assert promises([RESTORE], kept) == []


def test_what_could_not_run_says_why_and_is_not_tried_again() -> None:
    tried: list[str] = []

    def run() -> Outcome:
        tried.append("x")
        raise CannotRun("no | such\nprogram")

    results = results_of(RESTORE, {OURS: [1.0]})
    for _ in range(2):
        results.take(RESTORE, DYNAMODUMP, run)
    assert tried == ["x"]
    lines = table([RESTORE], results)
    assert lines[-1].startswith("| dynamodump | could not run: no \\| such program |")
    assert lines[3].endswith("| 50 MB |  |")  # nothing to compare with


def test_requests_and_dollars_of_capturing() -> None:
    rows, log = {"PutObject": 1.001, "HeadObject": 1.0}, {"PutObject": 0.001}
    assert dollars(rows) == pytest.approx(5.405)
    assert dollars({"DeleteObject": 1.0}) == 0
    results = results_of(CAPTURE, {LOG: [10.0], ROWS: [100.0]}, {LOG: log, ROWS: rows})
    lines = table([CAPTURE], results)
    assert lines[3].endswith("| 10.0x less | 1,000 | 0.005 |")
    assert lines[4].endswith("| 1 | 2,001,000 | 5.405 |")
    cpu, requests = promises([CAPTURE], results)
    assert cpu.endswith("10.0x less; promised 5x: met")
    assert requests.endswith("2,001x fewer; promised 50x: met")


@pytest.mark.parametrize(("micros", "text"), [(0.123, "0.12 µs"), (12.34, "12.3 µs"), (1_234.5, "1,234 µs")])
def test_times(micros: float, text: str) -> None:
    assert time(micros) == text


def test_the_page_holds_all_of_it() -> None:
    text = page(results_of(BATCHES, {OURS: [3.0], PLAIN: [99.0]}), {"Date": "2026-11-25"}, rounds=5, seconds=330)
    assert "in about 6 minutes" in text
    assert "median of 5 runs" in text
    assert "\n- Date: 2026-11-25\n" in text
    assert "33.0x less; promised 30x: met" in text
    assert "## Requests" in text
    assert "## Capturing" not in text  # nobody asked for it
    assert "not measured" not in text
    assert max(map(len, (line for line in text.splitlines() if not line.startswith(("|", "-"))))) < 140


def test_a_measurement_counts_this_process_alone() -> None:
    found = measured(lambda: sum(range(2_000_000)), 7)
    assert found.items == 7
    assert 0 < found.cpu < found.wall + 0.1
    assert found.peak > MEGABYTE
