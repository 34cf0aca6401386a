"""A long operation's progress on a terminal."""

from __future__ import annotations

from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backstream.apps.cli.output import err

if TYPE_CHECKING:
    from backstream.apps.cli.bars import Bars


class ProgressBar:
    """Shows `operations.bulk.progress.Progress` on a terminal, with `bars`, which is loaded there, by its name.

    Shows nothing elsewhere.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = import_module("backstream.apps.cli.bars").Bars() if err.is_terminal else None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.__exit__(kind, error, trace)

    def phase(self, name: str, total: int | None) -> None:
        """Shows a new bar."""
        if self._bars is not None:
            self._bars.phase(name, total)

    def expect(self, total: int) -> None:
        """Changes the bar's length."""
        if self._bars is not None:
            self._bars.expect(total)

    def advance(self, steps: int) -> None:
        """Moves the bar."""
        if self._bars is not None:
            self._bars.advance(steps)
