"""Actors in a report for people: each name with the source that says it."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.operations.inspect.actors import ActorClaim


def by(claims: Sequence[ActorClaim]) -> str:
    """Returns `alice (attribute)`, the surest source first; `-` if no source names anybody."""
    return ", ".join(f"{claim.actor} ({claim.source}{'' if claim.settled else ', not settled'})" for claim in claims) or "-"
