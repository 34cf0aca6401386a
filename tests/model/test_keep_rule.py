"""The rule of a retention: which ends of days and months stay."""

from __future__ import annotations

import pytest

from backstream.errors import UsageError
from backstream.model import moment
from backstream.model.keep_rule import KeepRule, duration_of

DAY = 86_400
NOW = moment.parse_compact("20260315T120000Z")


def days(seconds: list[int]) -> list[str]:
    assert all(moment.iso(each).endswith("T23:59:59Z") for each in seconds)
    return [moment.iso(each)[:10] for each in seconds]


def test_ends_of_days_and_of_months() -> None:
    rule = KeepRule(5 * DAY, 20 * DAY, 400 * DAY)
    until = rule.horizon(NOW - rule.every)
    assert moment.iso(until) == "2026-03-09T23:59:59Z"
    found = days(rule.ends(moment.parse_compact("20251120T000000Z"), until, NOW))
    assert found[:3] == ["2025-11-30", "2025-12-31", "2026-01-31"]
    assert found[3:] == [f"2026-02-{day}" for day in range(23, 29)] + [f"2026-03-0{day}" for day in range(1, 10)]
    assert rule.ends(until, until, NOW) == []
    assert rule.horizon(until) == until


def test_a_leap_year_and_the_end_of_a_year() -> None:
    rule = KeepRule(1, None, 10_000 * DAY)
    ends = rule.ends(moment.parse_compact("20231215T000000Z"), moment.parse_compact("20240401T000000Z"), NOW)
    assert days(ends) == ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]


def test_what_stays_is_the_last_of_each_day_and_month() -> None:
    rule = KeepRule(5 * DAY, 20 * DAY, 60 * DAY)
    kept = [moment.parse_compact(each) for each in ("20251231T235959Z", "20260130T235959Z", "20260131T100000Z")]
    kept += [moment.parse_compact(each) for each in ("20260224T235959Z", "20260225T080000Z", "20260225T235959Z")]
    assert [moment.iso(each) for each in rule.staying(kept, NOW)] == [
        "2026-01-31T10:00:00Z",
        "2026-02-24T23:59:59Z",
        "2026-02-25T23:59:59Z",
    ]
    assert KeepRule(5).staying(kept, NOW) == []


def test_a_second_that_stands_for_the_end_of_its_day_or_month() -> None:
    rule = KeepRule(DAY, 9 * DAY, 99 * DAY)
    end, month = moment.parse_compact("20260310T235959Z"), moment.parse_compact("20260228T235959Z")
    assert rule.stands_for(end - 3_600, end)
    assert not rule.stands_for(end - DAY, end)
    assert rule.stands_for(month - 9 * DAY, month)
    assert not KeepRule(DAY, 9 * DAY).stands_for(month - 9 * DAY, month)


@pytest.mark.parametrize("rule", [KeepRule(0), KeepRule(5, 5), KeepRule(5, 9, 9), KeepRule(5, None, 4)])
def test_periods_that_do_not_fit(rule: KeepRule) -> None:
    with pytest.raises(UsageError):
        rule.check()


@pytest.mark.parametrize(("seconds", "told"), [(400 * DAY, "400d"), (1_000_800, "278h"), (90, "90s"), (120, "2m"), (None, "")])
def test_a_period_is_told_as_an_option_takes_it(seconds: int | None, told: str) -> None:
    """A number of seconds of seven digits is no duration on the command line."""
    assert duration_of(seconds) == told
