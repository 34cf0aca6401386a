"""Reports requests over plain http to another machine: anybody in between can read and change them."""

from __future__ import annotations

import sys

from backstream.model.transport import is_exposed
from backstream.model.values.visible import visible_line

_told = set[str]()


def report(endpoint: str) -> None:
    """Reports once for each endpoint, on stderr, that requests to it are not encrypted.

    Reports nothing for https, or for this machine.
    """
    if is_exposed(endpoint) and endpoint not in _told:
        _told.add(endpoint)
        sys.stderr.write(visible_line(warning(endpoint)) + "\n")


def warning(endpoint: str) -> str:
    """Returns the warning."""
    return (
        f"warning: requests to {endpoint} are not encrypted: anyone on the way can read and change items. "
        "Use https (AWS_ENDPOINT_URL*)."
    )


def begin() -> None:
    """Allows the report again, because a command begins."""
    _told.clear()
