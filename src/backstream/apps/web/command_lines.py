"""Returns the command that does the same as a screen, as one would type it."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.apps.web.selection import ChangeFilters
from backstream.model.values.shell_words import shell_line


def line(*words: str) -> str:
    """Returns a command, quoted for a shell."""
    return shell_line(["backstream", *words])


def window(since: str, until: str) -> list[str]:
    """Returns the arguments of a window."""
    return ["--from", since, "--to", until]


def allow_gap(*, needed: bool) -> list[str]:
    """Returns the argument without which a command refuses what a screen shows with its uncertainties."""
    return ["--allow-gap"] if needed else []


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
