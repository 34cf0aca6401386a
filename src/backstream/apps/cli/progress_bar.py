"""A long operation's progress on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from backstream.apps.cli.output import err
from backstream.model.values.visible import visible_line


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


class ProgressBar:
    """`operations.progress.Progress` on a terminal: a bar, the rate, the time that is left. Shows nothing elsewhere."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=err, disable=not err.is_terminal, transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def phase(self, name: str, total: int | None) -> None:
        """A new bar."""
        self._task = self._bars.add_task(visible_line(name), total=total)

    def expect(self, total: int) -> None:
        """Stretch the bar."""
        if self._task is not None:
            self._bars.update(self._task, total=total)

    def advance(self, steps: int) -> None:
        """Move the bar."""
        if self._task is not None and not self._bars.disable:
            self._bars.advance(self._task, steps)
