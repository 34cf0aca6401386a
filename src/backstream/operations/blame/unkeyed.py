"""Records calls whose events do not name their items: any change of their seconds may belong to them."""

from __future__ import annotations

from backstream.model.calls.attribution import TOLERANCE

_HOUR = 3_600


class Unkeyed:
    """The seconds of such calls, one bit each: half a kilobyte for an hour, whatever the number of calls."""

    def __init__(self) -> None:
        self._hours: dict[int, dict[int, int]] = {}  # by the hour, by what the calls can have led to: a bit for each second

    def note(self, second: int, becomes: int) -> None:
        """Notes a call in that second that can have led to these events (bits of `CAN_BECOME`)."""
        kinds = self._hours.setdefault(second // _HOUR, {})
        kinds[becomes] = kinds.get(becomes, 0) | 1 << second % _HOUR

    def fits(self, second: int, bit: int) -> bool:
        """True if one of them fits a change of that second and event."""
        return bool(self._hours) and any(self._is_noted(each, bit) for each in range(second - TOLERANCE, second + TOLERANCE + 1))

    def _is_noted(self, second: int, bit: int) -> bool:
        place = 1 << second % _HOUR
        return any(becomes & bit and seconds & place for becomes, seconds in self._hours.get(second // _HOUR, {}).items())
