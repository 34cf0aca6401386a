"""A moment as an operator writes it: ISO 8601, epoch seconds or milliseconds, `15m ago`, `yesterday 03:00Z`, `now`.

Nothing is guessed: a time of day without an offset or a zone is refused, and so is a local time that a zone skips or has twice.
"""

from __future__ import annotations

import datetime
import re
from importlib import import_module

from backstream.errors import UsageError
from backstream.model import moment

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}
_AGO = re.compile(r"([0-9]{1,9})\s*([a-z]+)\s+ago", re.IGNORECASE)
_EPOCH = re.compile(r"([0-9]{1,12})(\.[0-9]*)?")
_EPOCH_MILLIS = re.compile(r"[0-9]{13}")  # as consoles, logs and JavaScript write times: from 2001 to 2286
_DAYS = {"today": 0, "yesterday": 1}
_DAY_AND_TIME = re.compile(r"(today|yesterday)[\sT]+([0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)", re.IGNORECASE)
_OFFSET = re.compile(r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)", re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_HINT = (
    "A moment is ISO 8601 with an offset or Z (2026-11-23T04:15:00Z), epoch seconds or milliseconds, "
    "`15m ago`, `yesterday 03:00Z`, or `now`."
)


def parse(text: str, now: float) -> int:
    """The moment that `text` means, in epoch seconds. Fractions are dropped: a change made in second T belongs to the state at T.

    `now`: epoch seconds. Raises UsageError for text that is not a moment, and for a time without an offset, which would be a
    guess. Raises it for a local time that its zone does not have, or has twice.
    """
    if "\0" in text:  # Python reads an ISO time no further than there
        raise UsageError(f"not a moment: {text!r}", hint=_HINT)
    seconds = _seconds(text.strip(), now)
    if not moment.is_known(seconds):
        raise UsageError(f"not a moment between 1970 and 9999: {text!r}", hint=_HINT)
    return seconds


def with_zone(text: str, zone: str) -> str:
    """The same moment, read in this zone if it is a time without an offset; any other text stays as it is.

    `zone`: a name of the IANA time zone database, or UTC. UsageError for a zone that this machine does not know.
    """
    known_zone(zone)
    stripped = text.strip()
    return f"{stripped} {zone}" if _is_local(stripped) else text


def known_zone(name: str) -> datetime.tzinfo:
    """The zone of this name: UTC, or one of the IANA time zone database. UsageError for one that this machine does not know."""
    if name.upper() in ("UTC", "GMT", "Z"):
        return datetime.UTC
    zones = import_module("zoneinfo")  # only here: it costs every start of a command, and few moments name a zone
    try:
        found: datetime.tzinfo = zones.ZoneInfo(name)
    except (zones.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"not a time zone that this machine knows: {name!r}",
            hint="Write a name such as Europe/Berlin or UTC. Without zones on this machine: pip install tzdata.",
        ) from error
    return found


def _seconds(text: str, now: float) -> int:
    if text.lower() == "now":
        return int(now)
    if (ago := _AGO.fullmatch(text)) and (unit := _UNITS.get(ago[2].lower())):
        return int(now) - int(ago[1]) * unit
    if epoch := _EPOCH.fullmatch(text):
        return int(epoch[1])
    if _EPOCH_MILLIS.fullmatch(text):
        return int(text) // 1_000
    return _of_a_day(text, now)


def _of_a_day(text: str, now: float) -> int:
    """The second of a date or of yesterday, with a time of day."""
    stem, zone = _zone_apart(text)
    named = _DAY_AND_TIME.fullmatch(stem)
    found = _naive(stem) if named is None else None
    if named is None and found is None:
        return _iso(text)
    if zone is None:
        remedy = f"Write {text}Z for UTC, or {text}+02:00, or add --tz Europe/Berlin."
        raise UsageError(f"a moment without an offset: {text!r}", hint=f"{remedy} {_HINT}")
    if named is not None:
        found = _on_day(_DAYS[named[1].lower()], named[2], zone, now)
    if found is None:
        raise UsageError(f"not a moment: {text!r}", hint=_HINT)
    return _in_zone(found, zone, text)


def _zone_apart(text: str) -> tuple[str, datetime.tzinfo | None]:
    """Returns the text before the zone's name or the offset, and the zone."""
    stem, blank, last = text.rpartition(" ")
    if blank and _ZONE.fullmatch(last) and _is_local(stem.rstrip()):
        return stem.rstrip(), known_zone(last)
    for offset in reversed(list(_OFFSET.finditer(text))):
        stem = text[: offset.start()].rstrip()
        if offset.end() == len(text) and _DAY_AND_TIME.fullmatch(stem):
            return stem, _fixed(offset[1], text)
    return text, None


def _is_local(text: str) -> bool:
    """True if a zone can follow: the text is a date or a day, with a time and without an offset."""
    return _DAY_AND_TIME.fullmatch(text) is not None or _naive(text) is not None


def _fixed(offset: str, text: str) -> datetime.tzinfo:
    if offset.upper() == "Z":
        return datetime.UTC
    sign, digits = -1 if offset[0] == "-" else 1, offset[1:].replace(":", "").ljust(4, "0")
    try:
        return datetime.timezone(sign * datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
    except ValueError as error:
        raise UsageError(f"not a moment: {text!r}: {offset} is no offset", hint=_HINT) from error


def _on_day(days_before: int, clock: str, zone: datetime.tzinfo, now: float) -> datetime.datetime | None:
    """Returns that time of day, `days_before` days before today in this zone; None if no day has such a time."""
    day = datetime.datetime.fromtimestamp(now, zone).date() - datetime.timedelta(days=days_before)
    try:
        return datetime.datetime.combine(day, datetime.time.fromisoformat(clock.zfill(5) if clock[1] == ":" else clock))
    except ValueError:
        return None


def _naive(text: str) -> datetime.datetime | None:
    """Returns the date and time, if the text is one without an offset."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else None


def _in_zone(local: datetime.datetime, zone: datetime.tzinfo, text: str) -> int:
    """The second of a local time. UsageError where clocks skip it, or show it twice."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return int((first - _EPOCH_BEGAN) // datetime.timedelta(seconds=1))
    there_is = first.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) == local
    both = " or ".join(f"{local.isoformat()}{_offset(each)}" for each in (first, second))
    what = "clocks show it twice" if there_is else "clocks skip it"
    raise UsageError(f"not one moment: {text!r}: {what} in this zone", hint=f"Write the offset: {both}.")


def _offset(when: datetime.datetime) -> str:
    return when.strftime("%z")[:3] + ":" + when.strftime("%z")[3:5]


_EPOCH_BEGAN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _iso(text: str) -> int:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"not a moment: {text!r}", hint=_HINT) from error
    return (found - _EPOCH_BEGAN) // datetime.timedelta(seconds=1)
