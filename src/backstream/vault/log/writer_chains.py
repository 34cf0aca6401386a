"""The chains of writers without runs: a function, the witness, whatever writes one batch after the other.

Each segment says where the one before it lies and which head that has. Functions have many short chains, which end without a word:
so only what a segment names is asked for, and nothing is claimed of what comes after the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class Link(msgspec.Struct, frozen=True):
    """A segment of a chain. `head`: its own; `previous` and `upon`: head and name of the one that its writer wrote before.

    `upon` is empty for a writer's first segment, after a write that failed, and where an older version wrote it.
    `until`: its last second.
    """

    name: str
    head: str
    previous: str
    upon: str
    until: int


def doubtful(links: Iterable[Link]) -> Iterator[Link]:
    """Those whose predecessor is not among them, or is another one there: each such predecessor once."""
    links = list(links)
    heads = {(each.name, each.head) for each in links}
    asked = set[tuple[str, str]]()
    for each in links:
        upon = each.upon, each.previous
        if each.upon and upon not in heads and upon not in asked:
            asked.add(upon)
            yield each
