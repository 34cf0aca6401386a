"""The refusal that every `ports.Markers` shares."""

from __future__ import annotations

from backstream.errors import Refused


def not_a_marker(name: str, version: str) -> Refused:
    """Returns the error for a version to remove that is not a delete marker."""
    return Refused(f"version {version} of {name} is not a delete marker: it was not removed")
