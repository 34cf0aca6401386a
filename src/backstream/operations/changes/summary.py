"""`changes --summary`: counts items and changes, by event, tenant, attribute, actor and time, and lists the busiest keys."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.values import wire
from backstream.operations.changes.run import Changes
from backstream.operations.changes.seen import SeenChange
from backstream.operations.changes.window import Certainty
from backstream.operations.restore.states.nearest import scalar

BUSIEST = 10
MINUTE, HOUR, DAY = 60, 3_600, 86_400
MOST_STEPS = 3_000  # minutes of two days; a longer window is counted by hour, or by day
HELD = 50_000  # keys that are counted in memory
PARTITIONS = 64
MOST_NAMES = 10_000  # tenants, attributes or actors that are told apart
OTHERS = "(others)"
NOBODY = "(unknown)"
NO_TENANT = "(none)"


class Busy(msgspec.Struct, frozen=True):
    """A key and the number of its changes."""

    key: msgspec.Raw
    changes: int


class During(msgspec.Struct, frozen=True):
    """The number of changes in the step that begins at `time` (ISO 8601, UTC)."""

    time: str
    changes: int


class ChangeSummary(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """The summary of a window's selected changes. Counts by name are of changes; an attribute's count is of changes that changed
    it.

    `step_seconds`: the length of each of `times`: a minute, or more for a window of more than two days; steps without changes are
    left out. `tenants`: None if the table is not split by tenant. `certainty`: the vault's certainty about the window.
    """

    table: str
    since: str
    until: str
    items: int
    changes: int
    events: dict[str, int]
    tenants: dict[str, int] | None
    attributes: dict[str, int]
    actors: dict[str, int]
    step_seconds: int
    times: Sequence[During]
    busiest: Sequence[Busy]
    certainty: Certainty
    doubtful: int = 0


def summary(changes: Changes, tenant_attribute: str | None) -> ChangeSummary:
    """Counts all selected changes of a window, in bounded memory. Raises the errors of `Changes.check_found`.

    A change whose images cannot be read is counted, but not by attribute or tenant: see `Changes.gone`.
    """
    with ExitStack() as stack:
        counting = _Counting(changes, tenant_attribute, stack)
        for seen in changes.known():
            counting.add(seen)
        changes.check_found(counting.count)
        return counting.summary()


class _Names:
    """Counts by name, up to a limited number of names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        self.counts[name if name in self.counts or len(self.counts) < MOST_NAMES else OTHERS] += 1

    def most_first(self) -> dict[str, int]:
        return dict(sorted(self.counts.items(), key=lambda each: (-each[1], each[0])))


class _Keys:
    """Counts keys, exactly, however many there are."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._held: Counter[bytes] = Counter()
        self._spilled: Pairs | None = None

    def add(self, key: bytes) -> None:
        self._held[key] += 1
        if len(self._held) >= HELD:
            self._spill()

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = self._stack.enter_context(Pairs(PARTITIONS))
        for key, count in self._held.items():
            self._spilled.add(key, b"%d" % count)
        self._held = Counter()

    def counted(self) -> tuple[int, list[tuple[bytes, int]]]:
        """Returns the number of keys, and the busiest."""
        total, busiest = 0, list[tuple[bytes, int]]()
        for counts in self._parts():
            total += len(counts)
            busiest = heapq.nsmallest(BUSIEST, [*busiest, *counts.items()], key=lambda each: (-each[1], each[0]))
        return total, busiest

    def _parts(self) -> Iterator[Counter[bytes]]:
        if self._spilled is None:
            yield self._held
            return
        self._spill()
        for number in range(PARTITIONS):
            counts: Counter[bytes] = Counter()
            for key, count in self._spilled.read(number):
                counts[key] += int(count)
            yield counts


class _Counting:
    def __init__(self, changes: Changes, tenant_attribute: str | None, stack: ExitStack) -> None:
        self._changes = changes
        self._tenant_attribute = tenant_attribute
        length = changes.span.until - changes.span.since
        self._step = next((step for step in (MINUTE, HOUR) if length <= step * MOST_STEPS), DAY)
        self._events, self._tenants, self._attributes, self._actors = _Names(), _Names(), _Names(), _Names()
        self._times: Counter[int] = Counter()
        self._keys = _Keys(stack)
        self._changed = ChangedAttributes()
        self.count = 0

    def add(self, seen: SeenChange) -> None:
        self.count += 1
        self._keys.add(seen.key)
        self._events.add(seen.event)
        self._actors.add(self._changes.actors.of(seen) or NOBODY)
        self._times[seen.entry.micros // MICROS // self._step] += 1
        for name in () if seen.doubt else self._changed(seen.old, seen.new):
            self._attributes.add(name)
        if self._tenant_attribute is not None:
            image = seen.new or seen.old
            value = None if image is None else scalar(wire.attribute(image, self._tenant_attribute))
            self._tenants.add(NO_TENANT if value is None else value)

    def summary(self) -> ChangeSummary:
        items, busiest = self._keys.counted()
        changes = self._changes
        return ChangeSummary(
            table=changes.table,
            since=moment.iso(changes.span.since),
            until=moment.iso(changes.span.until),
            items=items,
            changes=self.count,
            events=self._events.most_first(),
            tenants=None if self._tenant_attribute is None else self._tenants.most_first(),
            attributes=self._attributes.most_first(),
            actors=self._actors.most_first(),
            step_seconds=self._step,
            times=[During(moment.iso(step * self._step), count) for step, count in sorted(self._times.items())],
            busiest=[Busy(msgspec.Raw(key), count) for key, count in busiest],
            certainty=changes.certainty,
            doubtful=changes.doubtful,
        )
