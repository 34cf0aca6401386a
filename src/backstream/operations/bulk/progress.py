"""How far a long operation has come, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Phases one after the other, each with its own count."""

    def phase(self, name: str, total: int | None) -> None:
        """A new phase begins; `total`: how many steps it will have, None where that is unknown."""

    def expect(self, total: int) -> None:
        """The phase will have about so many steps; told again as more becomes known."""

    def advance(self, steps: int) -> None:
        """So many more steps of the phase are done. Called from any thread."""


class Silent:
    """Shows nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Show nothing."""

    def expect(self, total: int) -> None:
        """Show nothing."""

    def advance(self, steps: int) -> None:
        """Show nothing."""
