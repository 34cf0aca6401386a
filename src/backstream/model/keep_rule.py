"""The rule of a retention: the period in which every second is kept, and the periods in which single states are kept.

Days and months are in UTC. The state of a day is the state at the end of its last second.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator

import msgspec

from backstream.errors import UsageError

DAY = 86_400
_UTC = datetime.UTC
_UNITS = ((DAY, "d"), (3_600, "h"), (60, "m"), (1, "s"))
EndOf = Callable[[int], int]  # the last second of a second's day or month


class KeepRule(msgspec.Struct, frozen=True):
    """Periods in seconds, counted back from now.

    `every`: each second of this period stays restorable; `daily`: before that, the ends of days; `monthly`: before that, the ends
    of months. None: no such states are kept.
    """

    every: int
    daily: int | None = None
    monthly: int | None = None

    def check(self) -> KeepRule:
        """Returns the rule. Raises UsageError unless each period is longer than the one before it."""
        if self.every < 1:
            raise UsageError(f"a vault cannot keep {self.every} seconds of history", hint="Write a period, as --keep 400d.")
        for option, period, shorter in (
            ("--keep-daily", self.daily, self.every),
            ("--keep-monthly", self.monthly, max(self.every, self.daily or 0)),
        ):
            if period is not None and period <= shorter:
                raise UsageError(
                    f"{option} is not longer than the period before it, so nothing would be kept by it",
                    hint="All periods count from now, as --keep 90d --keep-daily 1y --keep-monthly 7y.",
                )
        return self

    def __str__(self) -> str:
        days = "" if self.daily is None else f", the ends of days of {duration_of(self.daily)}"
        months = "" if self.monthly is None else f", the ends of months of {duration_of(self.monthly)}"
        return f"every second of {duration_of(self.every)}{days}{months}"

    @property
    def thins(self) -> bool:
        """True if single states are kept."""
        return self.daily is not None or self.monthly is not None

    def end_of_day(self, second: int) -> int:
        """Returns the last second of its day."""
        return second - second % DAY + DAY - 1

    def beginning_of_day(self, second: int) -> int:
        """Returns the first second of its day."""
        return second - second % DAY

    def end_of_month(self, second: int) -> int:
        """Returns the last second of its month."""
        day = datetime.datetime.fromtimestamp(second, tz=_UTC).date().replace(day=28) + datetime.timedelta(days=4)
        return int(datetime.datetime(day.year, day.month, 1, tzinfo=_UTC).timestamp()) - 1

    def ends(self, after: int, until: int, now: int) -> list[int]:
        """Returns the seconds after one second, up to another, whose states are to be kept, oldest first."""
        days = [] if self.daily is None else _ends(self.end_of_day, max(after + 1, now - self.daily), until)
        months = [] if self.monthly is None else _ends(self.end_of_month, max(after + 1, now - self.monthly), until)
        return sorted({*days, *months})

    def stands_for(self, second: int, end: int) -> bool:
        """True if the state at a second may be kept in place of the end of its day, or of its month."""
        if self.daily is not None and self.end_of_day(second) == self.end_of_day(end):
            return True
        return self.monthly is not None and end == self.end_of_month(end) == self.end_of_month(second)

    def horizon(self, second: int) -> int:
        """Returns the second up to which history is thinned: with daily states, the last end of a day up to this one."""
        if self.daily is None or self.end_of_day(second) == second:
            return second
        return self.beginning_of_day(second) - 1

    def staying(self, kept: Collection[int], now: int) -> list[int]:
        """Returns the kept seconds that stay kept: the last ones of their days and months, while these periods last."""
        last_of_day = {self.end_of_day(each): each for each in sorted(kept)}
        last_of_month = {self.end_of_month(each): each for each in sorted(kept)}
        days = [each for each in last_of_day.values() if self.daily is not None and each >= now - self.daily]
        months = [each for each in last_of_month.values() if self.monthly is not None and each >= now - self.monthly]
        return sorted({*days, *months})


def _ends(end_of: EndOf, first: int, until: int) -> Iterator[int]:
    second = end_of(first)
    while second <= until:
        yield second
        second = end_of(second + 1)


def duration_of(seconds: int | None) -> str:
    """Returns a period as it is written: `400d`, in the largest unit up to days that tells it whole; empty for None."""
    if seconds is None:
        return ""
    unit, letter = next((size, each) for size, each in _UNITS if seconds % size == 0)
    return f"{seconds // unit}{letter}"
