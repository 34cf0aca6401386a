"""`tail` on a terminal says how fast it is and how far behind, in one line that notices do not break."""

from __future__ import annotations

import io
import threading

import pytest

from backstream.apps.cli.set_up import live_line
from backstream.apps.cli.set_up.live_line import ChangePace, LiveLine
from backstream.operations.capture.shards import Wrote


def wrote(count: int, ended: float, newest: float) -> Wrote:
    return Wrote("shard", "1", "2", count, 100, newest, ended - 0.1, ended)


def test_rate_lag_and_silence() -> None:
    pace = ChangePace(1_000.0)
    assert pace.text(1_001.0) == "0 changes/s; no change yet"
    pace.add(wrote(50, 1_010.0, 1_008.5))
    pace.add(wrote(30, 1_012.0, 1_011.0))
    assert pace.text(1_015.0) == "8.0 changes/s, 80 captured; lag 1.0 s, the last one 3 s ago"
    assert pace.text(1_021.0) == "3.0 changes/s, 80 captured; lag 1.0 s, the last one 9 s ago"
    assert pace.text(1_100.0) == "0.0 changes/s, 80 captured; lag 1.0 s, the last one 88 s ago"


def test_a_notice_stands_above_it_and_nothing_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr("sys.stderr", seen)
    monkeypatch.setattr(live_line, "EVERY", 0.001)
    drawn = threading.Event()

    def now() -> float:
        if threading.current_thread().name == "live-line":
            drawn.set()
        return 1_000.0

    with LiveLine(now, shown=True) as live:
        assert drawn.wait(30)
        live.notice("a gap")
    text = seen.getvalue()
    assert "\r\x1b[K0 changes/s; no change yet" in text
    assert "\r\x1b[Ka gap\n" in text
    assert text.endswith("\r\x1b[K")


def test_nothing_is_shown_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr("sys.stderr", seen)
    with LiveLine(lambda: 1_000.0) as live:
        live.notice("a gap")
    assert seen.getvalue() == "a gap\n"
