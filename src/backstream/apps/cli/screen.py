"""What a person reads: lines on stdout and stderr, with colours where a terminal shows them."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

from backstream.model.values.visible import visible_line

# Select Graphic Rendition: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ 8.3.117
CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


class Screen:
    """stdout, or stderr: whichever it is now, so that a test or a progress bar may stand in for it.

    Keys and messages are data: a text is one line, whatever is in it. See `model.values.visible`.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @property
    def file(self) -> TextIO:
        """Where it goes."""
        return sys.stderr if self._stderr else sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees it as it comes."""
        return self.file.isatty()

    @property
    def width(self) -> int:
        """Columns; those of the variable COLUMNS where it is set, and 80 off a terminal."""
        return shutil.get_terminal_size().columns

    def print(self, text: str = "", *, style: str = "", end: str = "\n") -> None:
        """Write a line. `style`: names of `CODES`, separated by blanks, for a terminal."""
        shown = visible_line(text)
        if style and self._coloured():
            shown = f"\x1b[{';'.join(CODES[each] for each in style.split())}m{shown}\x1b[0m"
        self.file.write(shown + end)
        self.file.flush()

    def _coloured(self) -> bool:
        """Source: https://no-color.org"""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")
