"""One item's chain: each change states the item's state before it, so a change that is missing between two others shows.

A change carries the digest of the state before it and of the state after it. If two changes follow each other, the second one's
state before must be the first one's state after. If a base backup read the item, or the vault began with an empty table, the state
at that time is known too. The rule needs everything known of an item up to a moment, in any order and with any repetition. An entry
without a digest (format 1, time to live deletes, an incremental export's lines) agrees with everything.

A missing change is found when its item changes again or is read again. A loss that leaves the item as it was cannot be seen.
`docs/notes/0020-each-change-proves-its-predecessor.md` explains why.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from backstream.model.changes.change import Order
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.model.values.digests import ABSENT

MOST_LINKS = 100_000  # of one item that are held apart; beyond, changes that follow from one another are joined


class Break(msgspec.Struct, frozen=True, order=True):
    """A missing change of an item, made between two seconds (both included)."""

    since: int
    until: int


class WholeTableRead(msgspec.Struct, frozen=True):
    """A read of the whole table between two seconds, both included: an item not found did not exist at one time in between."""

    since: int
    until: int


class ChainEvidence(msgspec.Struct, frozen=True):
    """The evidence about the whole table.

    `begin`: nothing before this second counts, as it was another life of the table; `readings`: base backups that were read as a
    whole, and the empty table at `init`; `settled`: no change up to this second can arrive any more; `gaps`: periods (seconds, both
    included) in which changes are known to be missing; `horizon`: the second from which history is kept, None if all of it is: a
    change that was made before the item was known again by then concerns no moment.
    """

    begin: int = BEGINNING
    readings: Sequence[WholeTableRead] = ()
    settled: int = BEGINNING
    gaps: Sequence[tuple[int, int]] = ()
    horizon: int | None = None


class Judge:
    """Decides which breaks of a chain are losses that nobody knows of yet."""

    def __init__(self, evidence: ChainEvidence) -> None:
        self.evidence = evidence
        ordered = sorted(evidence.gaps)
        self._since = [since for since, _ in ordered]
        self._until = list(accumulate((until for _, until in ordered), max))
        self._passed = BEGINNING if evidence.horizon is None else evidence.horizon

    def is_loss(self, found: Break) -> bool:
        """True if a break can only be a loss: no gap explains it, no later arrival can mend it, it is not before the horizon."""
        begun = bisect_right(self._since, found.until)
        explained = begun > 0 and self._until[begun - 1] >= found.since
        return self._passed < found.until <= self.evidence.settled and not explained


class _Link(msgspec.Struct, frozen=True, gc=False):
    """A change, or several that follow from one another: the place of the first and of the last one, and the seconds of both."""

    first: Order
    last: Order
    since: int
    until: int
    before: str | None
    after: str | None

    def followed_by(self, other: _Link) -> _Link:
        """Returns the two as one."""
        seconds = (self.since, self.until, other.since, other.until)
        return _Link(self.first, other.last, min(seconds), max(seconds), self.before, other.after)


class _Sight(msgspec.Struct, frozen=True, order=True, gc=False):
    """An observation: the item had this state at one time between two seconds, both included."""

    since: int
    until: int
    state: str


class ItemChain:
    """The knowledge of one item, added in any order; adding the same again changes nothing."""

    def __init__(self) -> None:
        self._links: list[_Link] = []
        self._sights: set[_Sight] = set()
        self._scans: set[tuple[int, int]] = set()
        self._most = MOST_LINKS

    def add(self, entry: Entry) -> None:
        """Adds a change or a scanned state."""
        if entry.began is not None:
            self._scans.add((entry.began, entry.seconds))
            state = entry.leaves
            if state is not None and not entry.event_id:
                self._sights.add(_Sight(entry.began, entry.seconds, state))
            return
        order, second = entry.order, entry.seconds
        self._links.append(_Link(order, order, second, second, entry.before, entry.leaves))
        if len(self._links) > self._most:
            self._links = _joined(_in_order(self._links))
            self._most = max(MOST_LINKS, 2 * len(self._links))

    def __bool__(self) -> bool:
        """True if anything is known."""
        return bool(self._links or self._scans)

    def losses(self, judge: Judge) -> list[Break]:
        """Returns the periods (seconds) in which changes are missing, earliest first, none overlapping another."""
        begin = judge.evidence.begin
        links = _in_order([link for link in self._links if link.until >= begin])
        sights = sorted(self._all_sights(judge.evidence))
        found = [
            *(_between(one, other, sights) for one, other in pairwise(links)),
            *(_at_sight(links, sight) for sight in sights),
            *(_unchanged(links, *pair) for pair in pairwise(sights)),
        ]
        return _apart(each for each in found if each is not None and judge.is_loss(each))

    def _all_sights(self, evidence: ChainEvidence) -> list[_Sight]:
        """Returns all observations: where the item was seen, and where it was looked for and not found."""
        found = [sight for sight in self._sights if sight.until >= evidence.begin]
        return found + [_Sight(each.since, each.until, ABSENT) for each in evidence.readings if not self._was_found(each)]

    def _was_found(self, reading: WholeTableRead) -> bool:
        return any(reading.since <= since and until <= reading.until for since, until in self._scans)


def losses(entries: Sequence[Entry], judge: Judge) -> list[Break]:
    """Returns the same for all of an item's entries at once.

    If they follow from one another, as nearly always, it takes a few comparisons.
    """
    if _follow(entries, judge.evidence):
        return []
    chain = ItemChain()
    for entry in entries:
        chain.add(entry)
    return chain.losses(judge)


def _follow(entries: Sequence[Entry], evidence: ChainEvidence) -> bool:
    """True if clearly nothing is missing: at most one scan, then changes of one stream, each upon the state before it."""
    changes = [entry for entry in entries if entry.began is None]
    if len(evidence.readings) > 1 or len(entries) - len(changes) > 1 or not changes:
        return not evidence.readings and not changes and len(entries) < 2
    changes.sort(key=lambda entry: (len(entry.sequence), entry.sequence))
    reading = next(iter(evidence.readings), None)
    state, until = (None, BEGINNING) if reading is None else (ABSENT, reading.until)
    if len(changes) < len(entries):
        scan = next(entry for entry in entries if entry.began is not None)
        if scan.event_id or (reading is not None and not (reading.since <= scan.since and scan.seconds <= reading.until)):
            return False
        state, until = scan.leaves, scan.seconds
    first, stream = changes[0], changes[0].stream
    if first.seconds <= until or (state is not None and first.before != state):
        return False
    return all(one.leaves is not None and one.leaves == other.before and other.stream == stream for one, other in pairwise(changes))


def _in_order(links: Iterable[_Link]) -> list[_Link]:
    """Returns links in the order of the changes, each once, without those that another one contains."""
    ordered = list[_Link]()
    longest_first = sorted(links, key=lambda each: each.last, reverse=True)
    for link in sorted(longest_first, key=lambda each: each.first):
        if not ordered or link.first > ordered[-1].last:
            ordered.append(link)
        elif (link.first, link.last) == (ordered[-1].first, ordered[-1].last):
            ordered[-1] = _agreed(ordered[-1], link)
    return ordered


def _agreed(one: _Link, other: _Link) -> _Link:
    """Merges two statements of one change: a part stated by only one is taken, and a part stated differently is unknown."""
    before, after = _both(one.before, other.before), _both(one.after, other.after)
    return msgspec.structs.replace(one, before=before, after=after)


_UNCLEAR = ""  # the digest of no state: two lines of one change contradict each other


def _both(one: str | None, other: str | None) -> str | None:
    if one is None or other is None or one == other:
        return other if one is None else one
    return _UNCLEAR


def _joined(links: Sequence[_Link]) -> list[_Link]:
    joined: list[_Link] = []
    for link in links:
        if joined and joined[-1].last.stream == link.first.stream and link.before and joined[-1].after == link.before:
            joined[-1] = joined[-1].followed_by(link)
        else:
            joined.append(link)
    return joined


def _between(one: _Link, other: _Link, sights: Sequence[_Sight]) -> Break | None:
    """Returns the break between two links that follow each other, if a change is missing.

    If the item was seen between the two as the second one found it, the missing change had been made by then.
    """
    if not one.after or not other.before or one.after == other.before:
        return None
    if one.last.stream != other.first.stream and other.since <= one.until:
        return None  # two streams at once, each with changes of its own or the same ones: neither follows from the other
    since, until = min(one.until, other.since), max(one.until, other.since)
    seen = (each.until for each in sights if since < each.since and each.until < until and each.state == other.before)
    return Break(since, min(seen, default=until))


def _at_sight(links: Sequence[_Link], sight: _Sight) -> Break | None:
    """Returns a break if the item was seen in a state that no change has left and that the first one did not find."""
    before = max((place for place, link in enumerate(links) if link.until < sight.since), default=-1)
    after = next((place for place in range(before + 1, len(links)) if links[place].since > sight.until), len(links))
    meanwhile = links[before + 1 : after]
    states = [state for link in meanwhile for state in (link.before, link.after)]
    states += [links[before].after] if before >= 0 else []
    only_after = not states and after < len(links)
    states += [links[after].before] if only_after else []
    joined = any(link.first != link.last for link in meanwhile)
    if not states or joined or not all(states) or sight.state in states:
        return None
    return Break(links[before].until if before >= 0 else sight.since, links[after].since if only_after else sight.until)


def _unchanged(links: Sequence[_Link], one: _Sight, other: _Sight) -> Break | None:
    """Returns a break if the item was seen in two states without a known change between."""
    if one.state == other.state or one.until >= other.since:
        return None
    changed = any(link.until >= one.since and link.since <= other.until for link in links)
    return None if changed else Break(one.since, other.until)


def _apart(found: Iterable[Break]) -> list[Break]:
    """Returns the same seconds, with overlapping breaks joined."""
    apart: list[Break] = []
    for each in sorted(set(found)):
        if apart and each.since < apart[-1].until:
            apart[-1] = Break(apart[-1].since, max(apart[-1].until, each.until))
        else:
            apart.append(each)
    return apart
