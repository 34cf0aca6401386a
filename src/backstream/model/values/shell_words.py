"""A command as one types it in a shell: quoted so that it means the same there, and so that all of it is seen.

Data stands in such commands: keys, tenants and paths. Plain quotes would keep a control character or a character that turns the
order of what is read as it is. Whoever shows the command makes it visible, and it would then mean something else.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from backstream.model.values.visible import visible_line

_ESCAPED = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\t": r"\t"}


def shell_line(words: Iterable[str]) -> str:
    """Returns one line for bash, zsh and ksh: its characters are all visible.

    A word with others is written as `$'...'`, with their UTF-8 bytes: see POSIX.1-2024, 2.2.4 Dollar-Single-Quotes.
    """
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    if visible_line(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_character, word)) + "'"


def _character(one: str) -> str:
    if one in _ESCAPED:
        return _ESCAPED[one]
    if visible_line(one) == one:
        return one
    return "".join(f"\\{byte:03o}" for byte in one.encode("utf-8", "surrogateescape"))
