"""`changes --summary`: counts items and changes, by event, tenant, attribute, actor and time, and lists the busiest keys."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.values import wire
from backstream.operations.changes.run import Changes
from backstream.operations.changes.seen import SeenChange
from backstream.operations.changes.window import Certainty, ChangeWindow
from backstream.operations.inspect.actors import Actors
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


class Tallies(msgspec.Struct, frozen=True):
    """Counts of changes. `times`: by step since 1970; `busiest`: keys, each with the number of its changes; `tenants`: empty if the
    table is not split by tenant.
    """

    items: int
    changes: int
    events: dict[str, int]
    tenants: dict[str, int]
    attributes: dict[str, int]
    actors: dict[str, int]
    times: dict[int, int]
    busiest: list[tuple[bytes, int]]


class TallySettings(msgspec.Struct, frozen=True):
    """The way in which changes are counted. `step`: seconds; `tenant_attribute`: None if the table is not split by tenant."""

    step: int
    tenant_attribute: str | None

    @classmethod
    def of(cls, span: ChangeWindow, tenant_attribute: str | None) -> TallySettings:
        """Returns how the changes of a window are counted."""
        length = span.until - span.since
        return cls(next((step for step in (MINUTE, HOUR) if length <= step * MOST_STEPS), DAY), tenant_attribute)

    def tallies(self, found: Iterator[SeenChange], actors: Actors) -> Tallies:
        """Counts changes, in bounded memory."""
        with ExitStack() as stack:
            counts = _Counts(self, actors, stack)
            for seen in found:
                counts.add(seen)
            return counts.tallies()


def merged(every: Iterable[Tallies]) -> Tallies:
    """Returns the sum of tallies of different items."""
    items = changes = 0
    events, tenants, attributes, actors = _Names(), _Names(), _Names(), _Names()
    times: Counter[int] = Counter()
    busiest = list[tuple[bytes, int]]()
    for each in every:
        items, changes = items + each.items, changes + each.changes
        for names, more in ((events, each.events), (tenants, each.tenants), (attributes, each.attributes), (actors, each.actors)):
            names.extend(more)
        times.update(each.times)
        busiest = _busiest([*busiest, *each.busiest])
    return Tallies(
        items, changes, events.most_first(), tenants.most_first(), attributes.most_first(), actors.most_first(), times, busiest
    )


def summary(changes: Changes, tenant_attribute: str | None, tallies: Tallies | None = None) -> ChangeSummary:
    """Counts all selected changes of a window, in bounded memory. Raises the errors of `Changes.check_found`.

    A change whose images cannot be read is counted, but not by attribute or tenant: see `Changes.gone`. `tallies`: if they were
    counted elsewhere.
    """
    counting = TallySettings.of(changes.span, tenant_attribute)
    found = counting.tallies(changes.known(), changes.actors) if tallies is None else tallies
    changes.check_found(found.changes)
    return ChangeSummary(
        table=changes.table,
        since=moment.iso(changes.span.since),
        until=moment.iso(changes.span.until),
        items=found.items,
        changes=found.changes,
        events=found.events,
        tenants=None if tenant_attribute is None else found.tenants,
        attributes=found.attributes,
        actors=found.actors,
        step_seconds=counting.step,
        times=[During(moment.iso(step * counting.step), count) for step, count in sorted(found.times.items())],
        busiest=[Busy(msgspec.Raw(key), count) for key, count in found.busiest],
        certainty=changes.certainty,
        doubtful=changes.doubtful,
    )


def _busiest(counts: Iterable[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    return heapq.nsmallest(BUSIEST, counts, key=lambda each: (-each[1], each[0]))


class _Names:
    """Counts by name, up to a limited number of names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name if name in self.counts or len(self.counts) < MOST_NAMES else OTHERS] += count

    def extend(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self.add(name, count)

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
            busiest = _busiest([*busiest, *counts.items()])
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


class _Counts:
    def __init__(self, how: TallySettings, actors: Actors, stack: ExitStack) -> None:
        self._tenant_attribute, self._step = how.tenant_attribute, how.step
        self._who = actors
        self._events, self._tenants, self._attributes, self._actors = _Names(), _Names(), _Names(), _Names()
        self._times: Counter[int] = Counter()
        self._keys = _Keys(stack)
        self._changed = ChangedAttributes()
        self._count = 0

    def add(self, seen: SeenChange) -> None:
        self._count += 1
        self._keys.add(seen.key)
        self._events.add(seen.event)
        self._actors.add(self._who.of(seen) or NOBODY)
        self._times[seen.entry.micros // MICROS // self._step] += 1
        for name in () if seen.doubt else self._changed(seen.old, seen.new):
            self._attributes.add(name)
        if self._tenant_attribute is not None:
            image = seen.new or seen.old
            value = None if image is None else scalar(wire.attribute(image, self._tenant_attribute))
            self._tenants.add(NO_TENANT if value is None else value)

    def tallies(self) -> Tallies:
        items, busiest = self._keys.counted()
        events, tenants = self._events.most_first(), self._tenants.most_first()
        attributes, actors = self._attributes.most_first(), self._actors.most_first()
        return Tallies(items, self._count, events, tenants, attributes, actors, self._times, busiest)
