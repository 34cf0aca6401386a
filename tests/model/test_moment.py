"""Moments: what operators write, to the second, and nothing guessed."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import UsageError
from backstream.model import moment

NOW = 1_763_871_333.9  # 2025-11-23T04:15:33.9Z


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("now", "2025-11-23T04:15:33Z"),
        ("NOW", "2025-11-23T04:15:33Z"),
        ("15m ago", "2025-11-23T04:00:33Z"),
        ("15 m ago", "2025-11-23T04:00:33Z"),
        ("90s ago", "2025-11-23T04:14:03Z"),
        ("2h ago", "2025-11-23T02:15:33Z"),
        ("1d ago", "2025-11-22T04:15:33Z"),
        ("1w ago", "2025-11-16T04:15:33Z"),
        ("1763871333", "2025-11-23T04:15:33Z"),
        ("1763871333.999", "2025-11-23T04:15:33Z"),
        ("2025-11-23T04:15:33Z", "2025-11-23T04:15:33Z"),
        ("2025-11-23 04:15:33Z", "2025-11-23T04:15:33Z"),
        ("2025-11-23T04:15:33.999Z", "2025-11-23T04:15:33Z"),
        ("2025-11-23T06:15:33+02:00", "2025-11-23T04:15:33Z"),
        ("20251123T041533Z", "2025-11-23T04:15:33Z"),
        ("  2025-11-23T04:15:33Z ", "2025-11-23T04:15:33Z"),
        ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
    ],
)
def test_moments(text: str, iso: str) -> None:
    assert moment.iso(moment.parse(text, NOW)) == iso


@pytest.mark.parametrize("text", ["2025-11-23T04:15:33", "2025-11-23", "2025-11-23 04:15"])
def test_a_time_without_an_offset_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UsageError, match="without an offset") as refused:
        moment.parse(text, NOW)
    assert f"{text}Z for UTC" in refused.value.hint


@pytest.mark.parametrize(
    "text", ["", "yesterday", "15 ago", "m ago", "-5", "2025-13-01T00:00:00Z", "99999999999999", "999999999w ago"]
)
def test_no_moments(text: str) -> None:
    with pytest.raises(UsageError, match="not a moment"):
        moment.parse(text, NOW)


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_of_changes_read_back(micros: int) -> None:
    assert moment.parse_iso_micros(moment.iso_micros(micros)) == micros
    assert moment.parse_compact(moment.compact(micros // 1_000_000)) == micros // 1_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1_763_871_333, "2025-11-23T04:15:33.000Z"),
        (1_763_871_333.028, "2025-11-23T04:15:33.028Z"),
        (1_763_871_333.999999, "2025-11-23T04:15:33.999Z"),
        (1.001, "1970-01-01T00:00:01.001Z"),
    ],
)
def test_milliseconds_as_aws_writes_them(seconds: float, text: str) -> None:
    assert moment.iso_millis(seconds) == text


@given(st.integers(0, 253_402_300_799))
def test_the_dates_of_answers(seconds: int) -> None:
    assert moment.parse_http(formatdate(seconds, usegmt=True)) == seconds


def test_dates_of_answers_in_other_words() -> None:
    assert moment.parse_http("Sunday, 23-Nov-25 04:15:33 GMT") == moment.parse_http("Sun, 23 Nov 2025 05:15:33 +0100") == int(NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "Sun, 31 Feb 2025 04:15:33 GMT", "Sun, 23 Xxx 2025 04:15:33 GMT"])
def test_what_is_no_date_of_an_answer(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment.parse_http(text)
