"""Output for people: lines on stdout and stderr, with colours if a terminal shows them."""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import BinaryIO, TextIO, cast

from backstream.model.values.visible import visible_line

# Select Graphic Rendition: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ 8.3.117
CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


def data_output() -> BinaryIO:
    """Returns stdout for lines of data, which programs get byte by byte. On a terminal each line is made visible."""
    stdout = sys.stdout.buffer
    return cast("BinaryIO", _VisibleLines(stdout)) if sys.stdout.isatty() else stdout


class _VisibleLines(io.BufferedIOBase):
    """Lines on a terminal: each call of `write` is one. Data cannot end a line of ours, or begin one."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        body = bytes(data).rstrip(b"\r\n")
        end = b"\n" if len(body) < len(data) else b""
        self._out.write(visible_line(body.decode("utf-8", "backslashreplace")).encode() + end)
        return len(data)

    def flush(self) -> None:
        self._out.flush()


class Screen:
    """The present stdout or stderr, so that a test or a progress bar may replace it.

    Keys and messages are data: a text is one line, whatever is in it. See `model.values.visible`.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @property
    def file(self) -> TextIO:
        """The stream that it writes to."""
        return sys.stderr if self._stderr else sys.stdout

    @property
    def is_terminal(self) -> bool:
        """True if a person sees the output as it comes."""
        return self.file.isatty()

    @property
    def width(self) -> int:
        """The number of columns: from the variable COLUMNS if it is set, and 80 outside of a terminal."""
        return shutil.get_terminal_size().columns

    def print(self, text: str = "", *, style: str = "", end: str = "\n") -> None:
        """Writes a line. `style`: names of `CODES`, separated by blanks, for a terminal."""
        shown = visible_line(text)
        if style and self._coloured():
            shown = f"\x1b[{';'.join(CODES[each] for each in style.split())}m{shown}\x1b[0m"
        self.file.write(shown + end)
        self.file.flush()

    def _coloured(self) -> bool:
        """True if colours are shown. Source: https://no-color.org"""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")
