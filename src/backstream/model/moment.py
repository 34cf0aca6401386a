"""Moments: points in time to the second, as reports and names print them. `moment_arguments` reads what an operator writes.

Three kinds of integers are in use and never mixed: seconds (a moment), micros (a change's time), both since 1970 UTC.
"""

from __future__ import annotations

import datetime
import functools
import re
from email.utils import parsedate_to_datetime

_END_OF_YEARS = 253_402_300_800
_FIRST_DAY = datetime.date(1970, 1, 1)
_DAY = 86_400  # seconds
_COMPACT = re.compile(r"([0-9]{8})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_HTTP = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}


def _micros(moment: datetime.datetime) -> int:
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return since // datetime.timedelta(microseconds=1)


def iso(seconds: float) -> str:
    """Returns `2026-11-23T04:15:33Z`, the second that holds this moment."""
    day, clock = divmod(int(seconds), _DAY)
    return f"{_day(day)}T{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}Z"


def iso_millis(seconds: float) -> str:
    """Returns `2026-11-23T04:15:33.028Z`, always with three digits, as AWS's manifests write times."""
    millis = round(seconds * 1_000_000) // 1_000
    return f"{iso(millis // 1_000)[:-1]}.{millis % 1_000:03d}Z"


def iso_micros(micros: int) -> str:
    """Returns `2026-11-23T04:15:33Z`, with a fraction if the source was finer than a second."""
    fraction = f".{micros % 1_000_000:06d}" if micros % 1_000_000 else ""
    return f"{iso(micros // 1_000_000)[:-1]}{fraction}Z"


def parse_iso_micros(text: str) -> int:
    """The inverse of `iso_micros`. Raises ValueError if the text is not a time."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset: {text!r}")
    return _micros(moment)


def is_known(second: int) -> bool:
    """True for a second between 1970 and 9999, which can be printed."""
    return 0 <= second < _END_OF_YEARS


def end_of(second: int) -> int:
    """Returns the microsecond (since 1970) that ends a second: changes made in it come before."""
    return (second + 1) * 1_000_000


def parse_http(text: str) -> float:
    """Returns the epoch second of an answer's `Date` or `Last-Modified`. Raises ValueError if it is not one.

    Every answer has one, in this form: `email.utils` would take longer to parse it than signing a request takes.
    """
    if (usual := _HTTP.fullmatch(text)) is None or usual[2] not in _MONTHS:
        return parsedate_to_datetime(text).timestamp()
    day, month, year, *clock = usual.groups()
    hour, minute, second = map(int, clock)
    return datetime.datetime(int(year), _MONTHS[month], int(day), hour, minute, second, tzinfo=datetime.UTC).timestamp()


def compact(seconds: int) -> str:
    """Returns `20261123T041533Z`: a time in an object's name."""
    day, clock = divmod(seconds, _DAY)
    return f"{_day(day).replace('-', '')}T{clock // 3600:02d}{clock // 60 % 60:02d}{clock % 60:02d}Z"


def parse_compact(text: str) -> int:
    """The inverse of `compact`. Raises ValueError if the text is not a time."""
    found = _COMPACT.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time in a name: {text!r}")
    day, hour, minute, second = found.groups()
    if hour > "23" or minute > "59" or second > "59":
        raise ValueError(f"not a time of a day: {text!r}")
    return _start_of_day(day) + int(hour) * 3600 + int(minute) * 60 + int(second)


def day_and_hour(seconds: int) -> tuple[str, str]:
    """Returns `("2026-11-23", "04")`: the partition of the log that a second belongs to, in UTC."""
    day, clock = divmod(seconds, _DAY)
    return _day(day), f"{clock // 3600:02d}"


# A listing of a log reads thousands of names, nearly all from a few days.


@functools.lru_cache(maxsize=4096)
def _day(number: int) -> str:
    """Returns `2026-11-23`: the day that is this many days after 1970 began. Raises OverflowError if no calendar has it."""
    return (_FIRST_DAY + datetime.timedelta(days=number)).isoformat()


@functools.lru_cache(maxsize=4096)
def _start_of_day(digits: str) -> int:
    """Returns the second with which `20261123` begins. Raises ValueError if there is no such day."""
    return (datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) - _FIRST_DAY).days * _DAY
