"""Findings of `blame`, kept beside the log: the CloudTrail call that made each change.

    actors/dt=2026-11-23/hour=04/FIRSTTIME-LASTTIME_COUNT_HASH.ndjson.zst     under the hour of the changes, a JSON object a line

HASH is the hash of the lines. Objects are never changed, and the same findings have the same name, so a repeated write changes
nothing.

If one change has several findings, the one made after more deliveries counts. If two are equal in that and contradict each other,
neither counts. A foreign or damaged object is reported, and the others count. Findings do not contain the keys of items. Format 1;
see docs/notes/0029-who-made-a-change.md.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import msgspec

from backstream.errors import AlreadyExists, Damaged, raising
from backstream.model import moment
from backstream.model.changes.change import MICROS, is_sequence
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore
from backstream.vault import below_markers, decompression
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder
from backstream.vault.decompression import UNREADABLE
from backstream.vault.log.segments import Codec

FORMAT = 1
MOST = 10_000  # findings in an object
_AT_HAND = 200_000  # findings that are held in memory: about 60 MB
_USUAL = 300  # bytes that a finding takes in memory
_DAY = 86_400
_Value = TypeVar("_Value")
_HOUR = 3_600
NAME = re.compile(r"dt=\d{4}-\d\d-\d\d/hour=\d\d/(\d{8}T\d{6}Z)-(\d{8}T\d{6}Z)_(\d{1,9})_[0-9a-f]{16}\.ndjson\.zst")


class Caller(msgspec.Struct, frozen=True, omit_defaults=True):
    """The call that made a change, and the caller. Times are ISO 8601, UTC; empty if the event did not state them."""

    event_time: str
    event_name: str
    arn: str = ""
    type: str = ""
    session_issuer: str = ""
    invoked_by: str = ""
    access_key_id: str = ""
    principal_id: str = ""
    source_ip_address: str = ""
    user_agent: str = ""
    request_id: str = ""
    event_id: str = ""


class KeptFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding. `stream` and `sequence` identify the change, which was made in microsecond `micros`.

    `actor`: None if calls of several principals may have made it. `names`: every name by which the actor can be searched. `call`:
    None if the call is not certain. `fitting`: the number of calls that may have made it. `settled`: True if everything that could
    contradict it had been delivered and read. `delivered`: the newest delivery that had been read (seconds).
    """

    stream: str
    sequence: str
    micros: int
    actor: str | None
    names: tuple[str, ...] = ()
    call: Caller | None = None
    fitting: int = 1
    settled: bool = False
    delivered: int = 0

    @property
    def change(self) -> tuple[str, int]:
        """The identity of the change."""
        return self.stream, int(self.sequence)

    @property
    def found(self) -> FindingSummary:
        """Returns the short form, for readers of many findings."""
        event = "" if self.call is None else self.call.event_id or self.call.request_id
        return FindingSummary(self.actor, self.names, event, self.fitting, self.settled, self.delivered)


class FindingSummary(msgspec.Struct, frozen=True, gc=False):
    """A finding without its call; see `KeptFinding`. `event` is the id of the call's event, empty if it is not certain."""

    actor: str | None
    names: tuple[str, ...]
    event: str
    fitting: int
    settled: bool
    delivered: int

    @property
    def rank(self) -> tuple[bool, int]:
        """The rank of a finding: it grows with the evidence read."""
        return self.settled, self.delivered

    def says(self, other: FindingSummary) -> bool:
        """True if another finding says the same of the change."""
        return (self.actor, self.names, self.event, self.fitting) == (other.actor, other.names, other.event, other.fitting)


def better(one: FindingSummary | None, other: FindingSummary) -> FindingSummary:
    """Returns the better of two findings on a change. If neither is better, returns one that names nobody."""
    if one is None or one.rank < other.rank:
        return other
    if one.rank > other.rank or one.says(other):
        return one
    return msgspec.structs.replace(one, actor=None, names=(), event="", fitting=max(one.fitting, other.fitting, 2))


class _Listed(msgspec.Struct, frozen=True):
    """One object, with the first and the last second of its changes."""

    found: First
    first: int
    last: int


class _Day(msgspec.Struct):
    """A day's objects, and the damaged or foreign ones among them."""

    objects: list[_Listed] = []
    damage: list[Damaged] = []


class AttributionStore:
    """The findings on one table's changes."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._prefix = folder(table) + "actors/"
        self._listed_first: First | None = None
        self._has_looked = False
        self._days: dict[int, _Day] = {}
        self._unreadable: dict[str, Damaged] = {}
        self._at_hand: OrderedDict[str, tuple[Mapping[tuple[str, int], FindingSummary], int]] = OrderedDict()
        self._held = 0

    # --- reading ---

    def of(self, stream: str, sequence: str, micros: int, damaged: Callable[[Damaged], None] = raising) -> FindingSummary | None:
        """Returns the finding that counts for one change; None if there is none.

        `damaged` receives the error of each unreadable object, with its name; if it returns, the others count. Costs a LIST for
        each requested day and a GET for each object, or one LIST if there are no findings at all.
        """
        second = micros // MICROS
        best: FindingSummary | None = None
        day = self._of_day(second)
        for error in day.damage:
            damaged(error)
        for each in day.objects:
            if each.first <= second <= each.last:
                try:
                    found = self._read(each).get((stream, int(sequence)))
                except Damaged as error:
                    damaged(error)
                    continue
                best = best if found is None else better(best, found)
        return best

    @property
    def is_empty(self) -> bool:
        """True if there are no findings at all: one LIST."""
        return self._first is None

    @property
    def _first(self) -> First | None:
        if not self._has_looked:
            self._listed_first = next(below_markers.firsts(self._store, self._prefix), None)
            self._has_looked = True
        return self._listed_first

    def _of_day(self, second: int) -> _Day:
        """Returns the objects of a day.

        A foreign object among the days comes before or among them, so the first object shows it.
        """
        first = self._first
        if first is None:
            return _Day()
        day = second // _DAY
        if day not in self._days:
            prefix = f"{self._prefix}dt={moment.day_and_hour(second)[0]}/"
            found = self._days[day] = _Day()
            for each in [*below_markers.firsts(self._store, prefix), *([] if first.name.startswith(prefix) else [first])]:
                self._take(each, prefix, found)
        return self._days[day]

    def _take(self, each: First, prefix: str, day: _Day) -> None:
        """Adds an object to a day's: only its damage if it belongs elsewhere."""
        try:
            parsed = self._parsed(each)
        except Damaged as error:
            day.damage.append(error)
            return
        if each.name.startswith(prefix):
            day.objects.append(parsed)
            day.damage += below_markers.damage_of(self._store, each)

    def _parsed(self, found: First) -> _Listed:
        name = NAME.fullmatch(found.name.removeprefix(self._prefix))
        foreign = Damaged(f"{found.name}: a foreign object among the findings of blame")
        if name is None:
            raise foreign
        try:
            first, last = map(moment.parse_compact, name.groups()[:2])
        except ValueError as error:
            raise foreign from error
        return _Listed(found, first, last)

    def _read(self, listed: _Listed) -> Mapping[tuple[str, int], FindingSummary]:
        name = listed.found.name
        if name in self._unreadable:
            raise self._unreadable[name]
        if name not in self._at_hand:
            slim, weight = self._slim(self._kept(listed.found))
            self._at_hand[name] = slim, weight
            self._held += weight
            while self._held > _AT_HAND and len(self._at_hand) > 1:
                self._held -= self._at_hand.popitem(last=False)[1][1]
        self._at_hand.move_to_end(name)
        return self._at_hand[name][0]

    def _kept(self, found: First) -> list[KeptFinding]:
        """Returns the findings of an object.

        Raises Damaged if it cannot be read, which is remembered, because it is asked for at each change.
        """
        try:
            stored = below_markers.pinned(self._store, found)
            return decode(stored.body, found.name, stored.info.metadata.get("format", ""))
        except Damaged as error:
            self._unreadable[found.name] = error
            raise

    def _slim(self, kept: Sequence[KeptFinding]) -> tuple[Mapping[tuple[str, int], FindingSummary], int]:
        """Returns an object's findings, with equal texts shared, because there are few actors, and as how many they weigh."""
        same: dict[object, object] = {}

        def once(value: _Value) -> _Value:
            return cast("_Value", same.setdefault(value, value))

        found = ((each.change, each.found) for each in kept)
        slim = {
            (once(stream), number): FindingSummary(
                once(one.actor), once(one.names), one.event, one.fitting, one.settled, one.delivered
            )
            for (stream, number), one in found
        }
        texts = [text for each in same if each is not None for text in (each if isinstance(each, tuple) else (str(each),))]
        texts += [one.event for one in slim.values()]
        return slim, len(slim) + sum(map(len, texts)) // _USUAL

    def examine(self, found: First) -> None:
        """Reads an object. Raises Damaged if it cannot be read."""
        self._kept(found)

    # --- writing ---

    def keep(self, findings: Sequence[KeptFinding]) -> None:
        """Makes findings durable, one object for each hour."""
        hours: dict[int, list[KeptFinding]] = {}
        for each in findings:
            hours.setdefault(each.micros // MICROS // _HOUR, []).append(each)
        for together in hours.values():
            for start in range(0, len(together), MOST):
                self._put(together[start : start + MOST])
        self._listed_first, self._has_looked, self._days = None, False, {}

    def _put(self, findings: Sequence[KeptFinding]) -> None:
        ordered = sorted(findings, key=lambda each: (each.micros, each.change))
        lines = _lines(ordered)
        first, last = (ordered[place].micros // MICROS for place in (0, -1))
        day, hour = moment.day_and_hour(first)
        ends = f"{moment.compact(first)}-{moment.compact(last)}"
        name = f"{self._prefix}dt={day}/hour={hour}/{ends}_{len(ordered)}_{hashlib.sha256(lines).hexdigest()[:16]}.ndjson.zst"
        try:
            self._store.put(name, Codec.ZSTD.compress(lines), {"format": str(FORMAT)}, if_absent=True)
        except AlreadyExists:
            return  # the same findings under the same name


def encode(findings: Iterable[KeptFinding]) -> bytes:
    """Returns findings as they are stored: lines of JSON, compressed."""
    return Codec.ZSTD.compress(_lines(findings))


def _lines(findings: Iterable[KeptFinding]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in findings)


def decode(body: bytes, name: str, of_format: str) -> list[KeptFinding]:
    """The inverse of `encode`. Raises Damaged, naming the object, if it is not one, or if its format is newer than this tool."""
    if not (of_format.isdecimal() and int(of_format) <= FORMAT):
        raise Damaged(f"{name}: findings of blame in format {of_format or 'unknown'}", hint="Use a newer Backstream.")
    try:
        return list(_decoded(body))
    except Damaged as error:
        raise error.of(name) from error
    except (*UNREADABLE, *UNDECODABLE) as error:
        raise Damaged(f"{name}: not findings of blame: {reason(error)}") from error


_line = msgspec.json.Decoder(KeptFinding)


def _decoded(body: bytes) -> Iterator[KeptFinding]:
    pieces = decompression.bounded(decompression.zstd(body), object_limits.FINDINGS)
    count = 0
    for block in decompression.whole_lines(pieces):
        for each in map(_line.decode, block.splitlines()):
            count += 1
            if count > MOST:
                raise Damaged(f"more than {MOST:,} findings in an object")
            if not is_sequence(each.sequence):
                raise Damaged("a finding on a change without a sequence number")
            yield each
