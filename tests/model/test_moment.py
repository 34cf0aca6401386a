"""Moments: what operators write, to the second, and nothing guessed."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import UsageError
from backstream.model import moment, moment_arguments

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
        ("15 minutes ago", "2025-11-23T04:00:33Z"),
        ("1 minute ago", "2025-11-23T04:14:33Z"),
        ("2 Hours ago", "2025-11-23T02:15:33Z"),
        ("90 seconds ago", "2025-11-23T04:14:03Z"),
        ("3 days ago", "2025-11-20T04:15:33Z"),
        ("2 weeks ago", "2025-11-09T04:15:33Z"),
        ("1763871333028", "2025-11-23T04:15:33Z"),
        ("yesterday 03:00Z", "2025-11-22T03:00:00Z"),
        ("yesterday 3:00 UTC", "2025-11-22T03:00:00Z"),
        ("Yesterday 03:00:15+02:00", "2025-11-22T01:00:15Z"),
        ("yesterday 03:00 +02:00", "2025-11-22T01:00:00Z"),
        ("today 03:00 Europe/Berlin", "2025-11-23T02:00:00Z"),
        ("yesterday 23:30 Asia/Tokyo", "2025-11-22T14:30:00Z"),  # there it is 13:15 of the 23rd
        ("yesterday 23:30 America/New_York", "2025-11-22T04:30:00Z"),  # there it is still the 22nd
        ("2025-11-23 04:15 Europe/Berlin", "2025-11-23T03:15:00Z"),
        ("2025-07-23T04:15:33.5 Europe/Berlin", "2025-07-23T02:15:33Z"),
    ],
)
def test_moments(text: str, iso: str) -> None:
    assert moment.iso(moment_arguments.parse(text, NOW)) == iso


@pytest.mark.parametrize("text", ["2025-11-23T04:15:33", "2025-11-23", "2025-11-23 04:15", "yesterday 03:00"])
def test_a_time_without_an_offset_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UsageError, match="without an offset") as refused:
        moment_arguments.parse(text, NOW)
    assert f"{text}Z for UTC" in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "15 ago", "m ago", "-5", "2025-13-01T00:00:00Z", "99999999999999", "999999999w ago"),
        *("15 fortnights ago", "yesterday 24:00Z", "yesterday 03:60 UTC", "tomorrow 03:00Z"),
        *("yesterday 03:00 +25:00", "now UTC", "15m ago UTC", "1763871333 UTC", "2025-11-23T04:15:33Z\0", "now\0"),
    ],
)
def test_no_moments(text: str) -> None:
    with pytest.raises(UsageError, match="not a moment"):
        moment_arguments.parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "what", "offsets"),
    [
        ("2025-10-26 02:30 Europe/Berlin", "clocks show it twice", "2025-10-26T02:30:00+02:00 or 2025-10-26T02:30:00+01:00"),
        ("2025-03-30 02:30 Europe/Berlin", "clocks skip it", "2025-03-30T02:30:00+01:00 or 2025-03-30T02:30:00+02:00"),
    ],
)
def test_a_local_time_that_is_not_one_moment_is_refused(text: str, what: str, offsets: str) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        moment_arguments.parse(text, NOW)
    assert offsets in refused.value.hint


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(UsageError, match="not a time zone that this machine knows: 'Mars/Base'"):
        moment_arguments.parse("2025-11-23 04:15 Mars/Base", NOW)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2025-11-23 04:15", "2025-11-23 04:15 Europe/Berlin"),
        ("yesterday 03:00", "yesterday 03:00 Europe/Berlin"),
        ("2025-11-23", "2025-11-23 Europe/Berlin"),
        ("2025-11-23 04:15Z", "2025-11-23 04:15Z"),
        ("yesterday 03:00Z", "yesterday 03:00Z"),
        ("15m ago", "15m ago"),
        ("now", "now"),
        ("1763871333", "1763871333"),
    ],
)
def test_a_zone_is_for_times_that_have_none(text: str, same: str) -> None:
    assert moment_arguments.with_zone(text, "Europe/Berlin") == same
    moment_arguments.parse(same, NOW)


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
