"""The progress of a long operation, for a display."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Phases one after the other, each with its own count."""

    def phase(self, name: str, total: int | None) -> None:
        """Begins a new phase. `total`: the number of its steps, None if unknown."""

    def expect(self, total: int) -> None:
        """States the approximate number of the phase's steps; called again as more becomes known."""

    def advance(self, steps: int) -> None:
        """Adds finished steps to the phase. Called from any thread."""


class Silent:
    """Shows nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Does nothing."""

    def expect(self, total: int) -> None:
        """Does nothing."""

    def advance(self, steps: int) -> None:
        """Does nothing."""
