"""Progress bars on a terminal, by rich: loaded only if there is a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
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

from backstream.model.values.visible import visible_line


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


class Bars:
    """Implements `operations.bulk.progress.Progress`: a bar, the rate, the remaining time. Other output appears above them."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def phase(self, name: str, total: int | None) -> None:
        """Shows a new bar."""
        self._task = self._bars.add_task(visible_line(name), total=total)

    def expect(self, total: int) -> None:
        """Changes the bar's length."""
        if self._task is not None:
            self._bars.update(self._task, total=total)

    def advance(self, steps: int) -> None:
        """Moves the bar."""
        if self._task is not None:
            self._bars.advance(self._task, steps)
