"""Makes changes durable: in order for one item, side by side for different ones. `tail` and the Lambda handler share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec

from backstream.errors import BackstreamError, Damaged, MalformedRecord
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema, canonical_key
from backstream.ports import Images, ManyImages

SIDE_BY_SIDE = 64  # items at a time, if the pool has as many threads


class KeptChanges(msgspec.Struct, frozen=True):
    """The result for some changes, by position: the log's entry if the image is durable, the error if it is not."""

    entries: Mapping[int, Entry]
    failures: Mapping[int, BackstreamError]

    def unbroken(self, count: int) -> list[Entry]:
        """Returns the entries before the first failure: the longest possible run."""
        end = min(self.failures, default=count)
        return [self.entries[position] for position in range(end)]


def keep(
    changes: Sequence[Change], images: Images, schema: KeySchema, pool: ThreadPoolExecutor, side_by_side: int = SIDE_BY_SIDE
) -> KeptChanges:
    """Makes the changes' images durable. One item's changes are written in their order; after a failure its later ones wait.

    `side_by_side`: the threads of the pool that it takes at most.
    """
    grouped, failures = by_item(changes, schema)
    entries: dict[int, Entry] = {}
    items = deque(grouped.values())
    if isinstance(images, ManyImages) and images.keeps_many:
        items = _keep_together(changes, items, images, entries, failures)

    def keep_some(_: int) -> list[tuple[dict[int, Entry], dict[int, BackstreamError]]]:
        return [_keep_item(changes, positions, images) for positions in _taken_from(items)]

    try:
        # Each thread takes the next item: handing over the items one by one would cost more than keeping them inline does.
        for kept in pool.map(keep_some, range(min(len(items), side_by_side))):
            for done, failed in kept:
                entries.update(done)
                failures.update(failed)
    finally:
        items.clear()  # whatever ended this early: the others begin nothing more
    return KeptChanges(entries, failures)


def _keep_together(
    changes: Sequence[Change],
    ready: deque[list[int]],
    images: ManyImages,
    entries: dict[int, Entry],
    failures: dict[int, BackstreamError],
) -> deque[list[int]]:
    """Keep what needs no look at what is there, one change of an item at a time; the positions that are left, by item."""
    left = deque[list[int]]()

    def coming() -> Iterator[tuple[list[int], Change]]:
        while ready:
            positions = ready.popleft()
            yield positions, changes[positions[0]]

    while ready:
        with closing(images.keep_each(coming())) as outcomes:
            for positions, outcome in outcomes:
                if outcome is None:
                    left.append(positions)
                elif isinstance(outcome, BackstreamError):
                    failures.update(dict.fromkeys(positions, outcome))
                else:
                    entries[positions[0]] = outcome
                    ready.extend([positions[1:]] if positions[1:] else [])
    return left


def _taken_from(items: deque[list[int]]) -> Iterator[list[int]]:
    while True:
        try:
            yield items.popleft()
        except IndexError:
            return


def by_item(changes: Sequence[Change], schema: KeySchema) -> tuple[dict[bytes, list[int]], dict[int, BackstreamError]]:
    """Returns each item's changes by their positions, under its canonical key, and the errors of invalid ones by position."""
    items: dict[bytes, list[int]] = {}
    failures: dict[int, BackstreamError] = {}
    for position, change in enumerate(changes):
        try:
            key = canonical_key(schema, wire.decode(change.keys))
            image = wire.key_of(schema, change.new or change.old or change.keys)
        except (MalformedRecord, Damaged) as error:
            failures[position] = _malformed(change, f"its Keys or its image lack the key {' and '.join(schema.names)}")
            failures[position].__cause__ = error  # which shows what is there, and so is not for a log
            continue
        if image == key:
            items.setdefault(key, []).append(position)
        else:
            failures[position] = _malformed(change, "its image is of another item than its Keys")
    return items, failures


def _malformed(change: Change, why: str) -> MalformedRecord:
    return MalformedRecord(f"record {change.sequence}: {why}", sequence=change.sequence)


def _keep_item(
    changes: Sequence[Change], positions: Sequence[int], images: Images
) -> tuple[dict[int, Entry], dict[int, BackstreamError]]:
    entries: dict[int, Entry] = {}
    for reached, position in enumerate(positions):
        try:
            entries[position] = images.keep(changes[position])
        except BackstreamError as error:
            return entries, dict.fromkeys(positions[reached:], error)
    return entries, {}
