"""The demo's output: numbered steps, short paragraphs, commands as they would be typed, and the time of each step."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from backstream.ports import Clock

WIDEST = 100  # columns of prose: longer lines are hard to read, however wide the terminal is
_INDENT = "   "


class Narration:
    """Writes to stdout, with a blank line between two blocks. `steps`: the titles, with their seconds."""

    def __init__(self, clock: Clock) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._clock = clock
        self._headed = False  # right under a heading no blank line is needed
        self.steps: list[tuple[str, float]] = []

    def title(self, text: str) -> None:
        """The first line."""
        self._head(Text(text, style="bold"))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A section; timed."""
        self._gap()
        self._head(Text(f"{len(self.steps) + 1}  {title}", style="bold cyan"))
        began = self._clock.now()
        yield
        self.steps.append((title, self._clock.now() - began))

    def say(self, text: str, *, style: str = "") -> None:
        """A paragraph."""
        self._gap()
        width = min(self._console.width, WIDEST)
        lines = textwrap.fill(
            text, width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
        )
        self._console.print(Text(lines, style=style))

    def good(self, text: str) -> None:
        """Prints a success."""
        self.say(text, style="bold green")

    def columns(self, *names: str) -> None:
        """The head of a table of figures."""
        self._gap()
        self._console.print(Text(_row(names), style="dim"))

    def row(self, *cells: str | int) -> None:
        """A line of a table of figures, written as it comes."""
        self._console.print(Text(_row(cells)))

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """One fact a line."""
        self._gap()
        width = max(len(name) for name, _ in facts)
        for name, value in facts:
            self._console.print(Text(f"{_INDENT}{name:<{width}}  {value}"))

    def command(self, line: str) -> None:
        """A command that is about to run; its own output follows."""
        self._gap()
        self._console.print(Text.assemble(("$ ", "dim"), (line, "bold")))
        self._console.file.flush()  # before another process writes to the same place

    def output(self, text: str) -> None:
        """Prints the output of a command that could not print it itself."""
        self._console.print(Text(text))

    def _head(self, text: Text) -> None:
        self._console.print(text)
        self._headed = True

    def _gap(self) -> None:
        if not self._headed:
            self._console.print()
        self._headed = False


def _row(cells: Sequence[str | int]) -> str:
    return f"{_INDENT}{cells[0]:<6}" + "".join(f"{cell:>12}" for cell in cells[1:])
