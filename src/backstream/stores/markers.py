"""What every `ports.Markers` refuses."""

from __future__ import annotations

from backstream.errors import Refused


def not_a_marker(name: str, version: str) -> Refused:
    """The error where a version that is to be removed is not a delete marker."""
    return Refused(f"version {version} of {name} is not a delete marker: it was not removed")
