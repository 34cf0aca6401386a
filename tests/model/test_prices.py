"""The cost estimate against sums done by hand from the list prices."""

from __future__ import annotations

import pytest

from backstream.model.prices import costs


@pytest.mark.parametrize(
    ("changes", "rows", "log"),
    [
        # A PUT and a HEAD a change (5.40), a PUT a segment.
        # Restored: a GET a row (0.40), 1,000 LISTs of rows, a GET a segment and their LISTs.
        (1, (10.4, 0.81), (5.0, 0.405)),
        (100, (5.45, 0.40905), (0.05, 0.00405)),
        (1_000, (5.405, 0.405405), (0.005, 0.000405)),
    ],
)
def test_a_million_changes(changes: int, rows: tuple[float, float], log: tuple[float, float]) -> None:
    of_rows, of_log = costs(changes)
    assert (of_rows.layout, of_rows.capture, of_rows.restore) == ("rows", *map(pytest.approx, rows))
    assert (of_log.layout, of_log.capture, of_log.restore) == ("log", *map(pytest.approx, log))


def test_a_log_without_changes_is_as_dear_as_it_gets() -> None:
    assert costs(0) == costs(1)
