"""A long operation's progress on a terminal."""

from __future__ import annotations

from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backstream.apps.cli.output import err, notice
from backstream.apps.cli.progress_lines import ProgressLines
from backstream.clock import SystemClock

if TYPE_CHECKING:
    from backstream.apps.cli.bars import Bars


class ProgressBar:
    """Shows `operations.bulk.progress.Progress` on a terminal, with `bars`, which is loaded there, by its name.

    Shows nothing elsewhere, or a line each minute for a job on a cluster (`lines`).
    """

    def __init__(self, *, lines: bool = False) -> None:
        self._bars: Bars | None = import_module("backstream.apps.cli.bars").Bars() if err.is_terminal else None
        self._lines = ProgressLines(SystemClock().now, notice) if lines and self._bars is None else None

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
        if self._lines is not None:
            self._lines.phase(name, total)

    def expect(self, total: int) -> None:
        """Changes the bar's length."""
        if self._bars is not None:
            self._bars.expect(total)
        if self._lines is not None:
            self._lines.expect(total)

    def advance(self, steps: int) -> None:
        """Moves the bar."""
        if self._bars is not None:
            self._bars.advance(steps)
        if self._lines is not None:
            self._lines.advance(steps)
