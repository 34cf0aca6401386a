"""Remembers which records of compactions were found to be made from the one before: that takes all names of a set's sources."""

from __future__ import annotations

from collections.abc import Callable

RecordVersion = tuple[str, str, float]  # a record's name, its version, and when the store received it: it never changes


class CheckedRecords:
    """The records that were checked. `proven`: sound ones, which others of the same vault may share; a fault is looked at anew."""

    def __init__(self) -> None:
        self.proven: set[RecordVersion] = set()
        self._broken: set[RecordVersion] = set()

    def is_sound(self, which: RecordVersion, check: Callable[[], bool]) -> bool:
        """Returns what `check` says of a record. It is called once."""
        if which in self.proven or which in self._broken:
            return which in self.proven
        sound = check()
        (self.proven if sound else self._broken).add(which)
        return sound
