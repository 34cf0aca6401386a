"""Calls whose events do not tell which items they wrote: any change of their seconds may be theirs."""

from __future__ import annotations

from backstream.model.attribution import TOLERANCE

_HOUR = 3_600


class Unkeyed:
    """The seconds of such calls, a bit for each: half a kilobyte for an hour, whatever the number of calls."""

    def __init__(self) -> None:
        self._hours: dict[tuple[int, int], int] = {}

    def note(self, second: int, becomes: int) -> None:
        """A call in that second can have led to these events (bits of `CAN_BECOME`)."""
        place = (second // _HOUR, becomes)
        self._hours[place] = self._hours.get(place, 0) | 1 << second % _HOUR

    def fits(self, second: int, bit: int) -> bool:
        """Whether one of them fits a change of that second and event."""
        return any(self._is_noted(each, bit) for each in range(second - TOLERANCE, second + TOLERANCE + 1))

    def _is_noted(self, second: int, bit: int) -> bool:
        hour, place = second // _HOUR, 1 << second % _HOUR
        return any(becomes & bit and self._hours.get((hour, becomes), 0) & place for becomes in range(1, 8))
