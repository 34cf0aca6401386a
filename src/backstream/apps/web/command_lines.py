"""Returns the command that does the same as a screen, as one would type it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from backstream.apps.web.selection import ChangeFilters


def line(*words: str) -> str:
    """Returns a command, quoted for a shell."""
    return shlex.join(["backstream", *words])


def window(since: str, until: str) -> list[str]:
    """Returns the arguments of a window."""
    return ["--from", since, "--to", until]


def filters(chosen: ChangeFilters) -> list[str]:
    """Returns the arguments of a selection."""
    words: list[str] = []
    for name, value in (
        ("partition", chosen.partition),
        ("tenant", chosen.tenant),
        ("where", chosen.where),
        ("actor", chosen.actor),
    ):
        words += [f"--{name}", value] if value else []
    words += ["--event", ",".join(chosen.events)] if chosen.events else []
    for name, each in (("key", chosen.keys), ("attribute", chosen.attributes)):
        words += _repeated(f"--{name}", each)
    return words


def _repeated(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
