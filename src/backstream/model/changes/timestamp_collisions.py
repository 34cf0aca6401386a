"""Finds changes of one item with the same time, whose order only their images can tell.

A change from Kinesis is ordered by its time. Within one tick of that clock its event's name and ID decide (see docs/notes/0014).
That order is the same for everybody, but may be wrong. If two such changes are seen together, their images tell whether it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from backstream.model.changes.change import Change
from backstream.model.values import wire

REASON = "two changes of one item at the same time, in an order that their images contradict"


def contradicted(changes: Iterable[Change]) -> list[int]:
    """Returns the seconds in which changes of one item, made at the same time, do not follow from one another in their order."""
    together: dict[tuple[int, bytes], dict[str, Change]] = {}
    for change in changes:
        together.setdefault((change.micros, change.keys), {})[change.sequence] = change
    return sorted({micros // 1_000_000 for (micros, _), tied in together.items() if len(tied) > 1 and not _follow(tied.values())})


def _follow(tied: Iterable[Change]) -> bool:
    ordered = sorted(tied, key=lambda change: change.order)
    return all(_same(before.new, after.old) for before, after in pairwise(ordered))


def _same(one: bytes | None, other: bytes | None) -> bool:
    return one == other or (one is not None and other is not None and wire.same_image(one, other))
