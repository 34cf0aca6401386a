"""Reports requests that go over plain http to another machine: whoever is between reads and changes them."""

from __future__ import annotations

import sys

from backstream.model.transport import is_exposed
from backstream.model.values.visible import visible_line

_told = set[str]()


def report(endpoint: str) -> None:
    """Say once for each endpoint, on stderr, that what goes there is not encrypted. Nothing for https, and for this machine."""
    if is_exposed(endpoint) and endpoint not in _told:
        _told.add(endpoint)
        sys.stderr.write(visible_line(warning(endpoint)) + "\n")


def warning(endpoint: str) -> str:
    """The word for it."""
    return (
        f"warning: requests to {endpoint} are not encrypted: whoever is between can read and change items. "
        "Use https (AWS_ENDPOINT_URL*)."
    )


def begin() -> None:
    """Say it again where it comes up again: a command begins."""
    _told.clear()
