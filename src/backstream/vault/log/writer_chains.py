"""The chains of writers without runs: a function, the witness, every writer of one batch after the other.

Each segment states the name and the head of the one before it. Functions have many short chains, which end without notice. So only
a named segment can be missing, and nothing is claimed about what follows the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from backstream.vault.log.segments import Segment, SegmentKind


class Link(msgspec.Struct, frozen=True):
    """A segment of a chain. `head`: its own head; `previous` and `upon`: head and name of the segment that its writer wrote before.

    `upon` is empty for a writer's first segment, after a failed write, and if an older version wrote it. `until`: its last second.
    """

    name: str
    head: str
    previous: str
    upon: str
    until: int


def stated_link(segment: Segment, name: str, said: Mapping[str, str], head: str) -> Link | None:
    """Returns the link of a segment, by its metadata; None if it is of a run. `name`: the object's."""
    if segment.kind is SegmentKind.TAIL or "previous" not in said:
        return None
    upon = said.get("upon", "")
    return Link(name, head, said["previous"], f"{name.removesuffix(segment.path)}{upon}" if upon else "", segment.max_time)


def doubtful(links: Iterable[Link]) -> Iterator[Link]:
    """Yields the links whose predecessor is missing among them, or differs from the named one: each such predecessor once."""
    links = list(links)
    heads = {(each.name, each.head) for each in links}
    asked = set[tuple[str, str]]()
    for each in links:
        upon = each.upon, each.previous
        if each.upon and upon not in heads and upon not in asked:
            asked.add(upon)
            yield each
