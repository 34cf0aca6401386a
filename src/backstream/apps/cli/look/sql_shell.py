"""The shell of `sql`: its prompts, its commands and the answers that it prints."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

PROMPT, MORE = "sql> ", "...> "
ENDS = frozenset({".quit", ".exit", "quit", "exit"})


def welcome(schemas: Mapping[str, Sequence[tuple[str, str]]]) -> list[str]:
    """Returns the lines that show every view with its columns."""
    lines = [
        "The vault's views. A query ends with ; and .schema shows this again, .quit ends.",
        "Attributes that no query has read yet have typed columns, too (status_s, total_n): `.schema` shows them afterwards.",
    ]
    for view, columns in schemas.items():
        lines.append(f"{view}  {', '.join(f'{name} {kind}' for name, kind in columns)}")
    return lines


def statements(*, at_terminal: bool) -> Iterator[str]:
    """Yields the queries, and `.schema` where that is asked for."""
    if at_terminal:
        with contextlib.suppress(ImportError):
            import_module("readline")  # lines can be edited then, and called back
    waiting: list[str] = []
    for line in _lines(waiting, at_terminal=at_terminal):
        word = line.strip()
        if not waiting and word in ENDS:
            return
        if not waiting and word in (".schema", ".tables"):
            yield ".schema"
            continue
        if word or waiting:
            waiting.append(line)
        text = "\n".join(waiting)
        if is_whole(text):
            waiting.clear()
            yield text
    if "\n".join(waiting).strip():
        yield "\n".join(waiting)


def is_whole(text: str) -> bool:
    """True if a query ends here: with a semicolon that is not within quotes."""
    return text.rstrip().endswith(";") and text.count("'") % 2 == 0 and text.count('"') % 2 == 0


def _lines(waiting: Sequence[str], *, at_terminal: bool) -> Iterator[str]:
    while True:
        try:
            yield input(MORE if waiting else PROMPT) if at_terminal else _next()
        except EOFError:
            return


def _next() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
