"""One command over several tables: each on its own, so that a broken one never hides another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from backstream.apps.cli.output import notice
from backstream.errors import BackstreamError

_Answer = TypeVar("_Answer")


def of_each(names: Iterable[str], ask: Callable[[str], _Answer], *, alone: bool) -> tuple[list[_Answer], list[BackstreamError]]:
    """Returns the answers of the tables that gave one, and the errors of the others, each printed at once.

    `alone`: True for one named table; then its error is raised.
    """
    answers, broken = list[_Answer](), list[BackstreamError]()
    for name in names:
        try:
            answers.append(ask(name))
        except BackstreamError as error:
            if alone:
                raise
            notice(f"error: {name}: {error.message}")
            broken.append(error)
    return answers, broken


def raise_worst(broken: Iterable[BackstreamError]) -> None:
    """Raises the error with the greatest exit code, if there is any."""
    worst = max(broken, key=lambda each: each.exit_code, default=None)
    if worst is not None:
        raise worst
