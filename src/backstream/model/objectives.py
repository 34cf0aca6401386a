"""Objectives: the tolerated loss (RPO) and the tolerated time of a restore (RTO), and whether the measured figures meet them."""

from __future__ import annotations

import math
import re

import msgspec

from backstream.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_DURATION = re.compile(r"(\d{1,6})\s*([smhdwy])", re.IGNORECASE | re.ASCII)


class Objectives(msgspec.Struct, frozen=True):
    """The objectives in seconds; None if there is none."""

    rpo_seconds: int | None = None
    rto_seconds: int | None = None

    def missed_rpo(self, measured: float | None) -> list[str]:
        """Returns why the recovery point objective is missed; empty if it is met, or if there is none.

        `measured` is None if unknown.
        """
        return _missed("RPO", self.rpo_seconds, measured, "the vault does not prove any second to be complete")

    def missed_rto(self, measured: float | None, unknown: str = "there was no usable table") -> list[str]:
        """Returns why the recovery time objective is missed; empty if it is met, or if there is none."""
        return _missed("RTO", self.rto_seconds, measured, unknown)


def _missed(name: str, objective: int | None, measured: float | None, unknown: str) -> list[str]:
    if objective is None or (measured is not None and measured <= objective):
        return []
    if measured is None:
        return [f"{name} is unknown, and the objective is {in_words(objective)}: {unknown}"]
    return [f"{name} is {in_words(measured)}, and the objective is {in_words(objective)}"]


def parse(text: str) -> int:
    """Returns the seconds of `90s`, `30m`, `2h`, `1d`, `4w` or `1y` (365 days). Raises UsageError if the text is not a duration."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"not a duration: {text!r}", hint="Write 90s, 30m, 2h, 1d, 4w or 1y.")
    return int(found[1]) * _UNITS[found[2].lower()]


def in_words(seconds: float) -> str:
    """Returns `0.8 s`, `42 s`, `30 min`, `1 h 05 min`, `3 d 02 h`: a duration that a person reads at a glance."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = math.ceil(seconds)
    if whole < _UNITS["m"]:
        return f"{whole} s"
    if whole < _UNITS["h"]:
        return _two(whole, ("min", 60), ("s", 1))
    return _two(whole, ("h", 3600), ("min", 60)) if whole < _UNITS["d"] else _two(whole, ("d", 86_400), ("h", 3600))


def _two(seconds: int, unit: tuple[str, int], below: tuple[str, int]) -> str:
    rest = seconds % unit[1] // below[1]
    return f"{seconds // unit[1]} {unit[0]}" + (f" {rest:02d} {below[0]}" if rest else "")
