"""Attributes the changes of one item to calls, with an answer only if no other call fits.

A call and its change are stamped by two hosts, both in whole seconds, which may differ by one or two. A call fits a change whose
second is at most `TOLERANCE` away. Within that, the order of two calls says nothing about the order of two changes. So the call
of a change is certain only if one fitting call is left: no other one fits, or the others are the only ones that fit other
changes. See docs/notes/0029-who-made-a-change.md.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import msgspec

from backstream.model.calls.cloudtrail import CAN_BECOME, Call

TOLERANCE = 2  # seconds
MOST_LISTED = 50  # calls that are listed of one change

_Unkeyed = Callable[[int, int], bool]  # (second, bit of CAN_BECOME): whether a call that names no key fits a change


class AttributionStatus(enum.StrEnum):
    """The certainty of an answer. MATCHED: one call made it. AMBIGUOUS: several calls may have. NONE: no known call fits."""

    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


class Made(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One change of the stream, for which a call is searched. `micros`: its time; `event`: INSERT, MODIFY or REMOVE."""

    stream: str
    sequence: str
    micros: int
    event: str

    @property
    def second(self) -> int:
        """The second in which it was made."""
        return self.micros // 1_000_000


class AttributionVerdict(msgspec.Struct, frozen=True, array_like=True):
    """The answer for one change. `calls`: the call that made it, or all that may have, in the order of their time.

    `fitting`: the number of calls that fit; `calls` lists the first of them. `unkeyed`: True if a call that names no key fits too.
    `incomplete`: True if there are fewer calls than changes that they fit, so that a call is missing.
    """

    status: AttributionStatus
    calls: Sequence[Call] = ()
    fitting: int = 0
    unkeyed: bool = False
    incomplete: bool = False


def attribute(changes: Sequence[Made], calls: Sequence[Call], unkeyed: _Unkeyed) -> list[AttributionVerdict]:
    """Returns a verdict for each of an item's changes. `calls` are those that name its key; a call that came twice counts once."""
    every = sorted({call.id: call for call in calls}.values(), key=lambda call: (call.second, call.id))
    item = _ItemChanges(changes, every, unkeyed)
    item.settle()
    return [item.verdict(number) for number in range(len(changes))]


class _ItemChanges:
    """The changes of one item, by number, and the numbers of the calls that fit each."""

    def __init__(self, changes: Sequence[Made], calls: Sequence[Call], unkeyed: _Unkeyed) -> None:
        self._calls = calls
        seconds = [call.second for call in calls]
        self._fitting = [self._fits(change, seconds) for change in changes]
        self._open = [unkeyed(change.second, CAN_BECOME[change.event]) for change in changes]
        self._left = [set(found) for found in self._fitting]
        self._wanted_by: dict[int, list[int]] = {}
        for number, found in enumerate(self._fitting):
            for call in found:
                self._wanted_by.setdefault(call, []).append(number)
        self._contradicted: set[int] = set()

    def _fits(self, change: Made, seconds: Sequence[int]) -> list[int]:
        begin = bisect_left(seconds, change.second - TOLERANCE)
        end = bisect_right(seconds, change.second + TOLERANCE)
        return [each for each in range(begin, end) if self._calls[each].becomes & CAN_BECOME[change.event]]

    def settle(self) -> None:
        """Assigns calls until nothing changes: a change with one call left takes it, and that call is then left for no other
        change.
        """
        waiting = [number for number in range(len(self._left)) if self._is_certain(number)]
        while waiting:
            number = waiting.pop()
            if not self._is_certain(number):
                continue
            (call,) = self._left[number]
            for other in self._wanted_by[call]:
                if other == number or call not in self._left[other]:
                    continue
                if self._left[other] == {call} and not self._open[other]:
                    self._contradict(number)  # one call for two changes: another call is not known
                    break
                self._left[other].discard(call)
                if self._is_certain(other):
                    waiting.append(other)

    def _is_certain(self, number: int) -> bool:
        return len(self._left[number]) == 1 and not self._open[number] and number not in self._contradicted

    def _contradict(self, number: int) -> None:
        """Marks the change and all that share calls with it as uncertain, because calls are missing."""
        reached, waiting = {number}, [number]
        while waiting:
            for call in self._fitting[waiting.pop()]:
                for other in self._wanted_by[call]:
                    if other not in reached:
                        reached.add(other)
                        waiting.append(other)
        self._contradicted |= reached

    def verdict(self, number: int) -> AttributionVerdict:
        fitting, unkeyed = self._fitting[number], self._open[number]
        if self._is_certain(number):
            (call,) = self._left[number]
            return AttributionVerdict(AttributionStatus.MATCHED, [self._calls[call]], 1)
        if not fitting and not unkeyed:
            return AttributionVerdict(AttributionStatus.NONE)
        listed = [self._calls[each] for each in fitting[:MOST_LISTED]]
        return AttributionVerdict(
            AttributionStatus.AMBIGUOUS, listed, len(fitting), unkeyed, incomplete=number in self._contradicted
        )
