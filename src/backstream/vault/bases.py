"""Base backups: the contents of the whole table, scanned beside its stream or taken from an export, and the period they prove.

    base/ID/plan.json                                                       what is to be read, in how many segments
    base/ID/SEGMENT-PART_COUNT_BEGIN-END.ndjson.zst                         lines as of the change log; `.last` ends a segment
    base/complete/BEGIN-END_KIND_ID.json                                    all of it is there: from then on it counts

A segment's parts follow each other without a break. So the last part states where a resumed backup continues, and a listing is the
manifest.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from backstream.errors import AlreadyExists, Damaged
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ListedObject, ObjectStore
from backstream.vault import below_markers
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder
from backstream.vault.horizon import Horizon, KeptState, chain
from backstream.vault.log import segments
from backstream.vault.log.segments import Codec, SegmentHeader
from backstream.vault.one_level import folders_in

FORMAT = 1
COMPLETE = "complete/"
KEPT_ID = "kept-"  # how the id begins of what was written for a kept state alone
PLAN = "plan.json"
MOST_SEGMENTS = 100_000  # of one base backup; each takes memory while it is read
_NO_PLAN = "Somebody else has put it there. `backfill --fresh` begins another one; those that are complete count as before."


class BaseKind(enum.StrEnum):
    """The source of a base backup. INCREMENTAL is not a whole table: its changes are in the log, and only its record is here.

    STATE is a state that was computed from the vault itself: its lines are the entries that gave each item's state at that second.
    KEPT is a part of a state from before the horizon: it counts only where the catalog names it, since it may hold only the changes
    since another one.
    """

    SCAN = "scan"
    EXPORT = "export"
    INCREMENTAL = "incremental"
    STATE = "state"
    KEPT = "kept"

    @property
    def is_whole(self) -> bool:
        """True if it holds the whole table, and so has parts of its own."""
        return self is not BaseKind.INCREMENTAL

    @property
    def is_state(self) -> bool:
        """True if its lines are entries of any age, computed from the vault."""
        return self in (BaseKind.STATE, BaseKind.KEPT)

    @property
    def was_read(self) -> bool:
        """True if the whole table was read for it, so that it shows which items did not exist."""
        return self in (BaseKind.SCAN, BaseKind.EXPORT)


class BasePlan(msgspec.Struct, frozen=True):
    """The plan of a base backup. `source` is the table's id or the export's ARN; `began` is in epoch seconds."""

    format: int
    id: str
    kind: BaseKind
    source: str
    segments: int
    began: int


class Base(msgspec.Struct, frozen=True):
    """A complete base backup.

    It holds every item that was in the table between `begin` and `end` (seconds); see `model.window.Start`.
    """

    kind: BaseKind
    id: str
    begin: int
    end: int


class CompletionRecord(msgspec.Struct, frozen=True):
    """The contents of the completion record; its name holds the rest."""

    format: int
    source: str
    rows: int
    parts: int


class Part(msgspec.Struct, frozen=True):
    """One object of a base backup, by its name.

    `seconds`: the start of its first read and the end of its last one. `last`: True if the segment ends with it. `modified`: when
    the store received it. `found`: the version that counts, which is the first; None if a listing did not state it.
    """

    name: str
    segment: int
    number: int
    count: int
    seconds: tuple[int, int]
    last: bool
    codec: Codec
    modified: float
    size: int
    found: First | None = None


# Functions add to these folders of a table. A role for many tables names them behind a pattern that spans slashes, so it may also
# add to deeper folders of these names. For that reason no id of a base backup is one of them.
OTHERS = ("log", "gaps")
_PART = re.compile(
    r"(?P<segment>\d{5,})-(?P<number>\d{6,})_(?P<count>\d+)_(?P<begin>\d{8}T\d{6}Z)-(?P<end>\d{8}T\d{6}Z)"
    r"(?P<last>\.last)?\.ndjson\.(?P<codec>zst|gz)"
)
_COMPLETE = re.compile(
    r"(?P<begin>\d{8}T\d{6}Z)-(?P<end>\d{8}T\d{6}Z)_(?P<kind>scan|export|incremental|state|kept)_(?P<id>[^/]+)\.json"
)


class Bases:
    """The base backups of one table."""

    def __init__(
        self,
        store: ObjectStore,
        table: str,
        codec: Codec = Codec.ZSTD,
        horizon: Horizon | None = None,
        kept: Sequence[KeptState] = (),
    ) -> None:
        """`horizon`: base backups that began before it do not count, except for its own; `kept`: single states before it;
        each counts for its own second alone.
        """
        self._store = store
        self._kept = kept
        self._prefix = folder(table) + "base/"
        self._codec = codec
        self._horizon = horizon

    # --- what there is ---

    def complete(self) -> list[Base]:
        """Returns the base backups that count, oldest first."""
        return [base for base in self._completed() if self.counts(base)]

    def counts(self, base: Base) -> bool:
        """True if a complete base backup counts: it is the horizon's own, or began after the horizon."""
        horizon = self._horizon
        if base.kind is BaseKind.KEPT:
            return False
        return horizon is None or base.id == horizon.base or base.begin > horizon.second

    @property
    def horizon(self) -> Horizon | None:
        """The horizon by which base backups count."""
        return self._horizon

    def passed(self) -> set[str]:
        """Returns the ids of all base backups that do not count because of the horizon, also of those that are not complete.

        A complete one is known by its record: a removal that was interrupted may have left no plan.
        """
        if self._horizon is None:
            return set()
        completed = self._completed()
        alive = {each.id for each in completed if self.counts(each)}
        begun = {each.id for each in self.plans() if each.began <= self._horizon.second}
        return ({each.id for each in completed} | begun) - alive

    def kept(self, second: int) -> list[Base]:
        """Returns the base backups that together hold the state that is kept of a second before the horizon, oldest first."""
        return [_of_state(each) for each in chain(self._kept, second)]

    def own(self) -> Base | None:
        """Returns the base backup of the state at the horizon; None if there is no horizon."""
        horizon = self._horizon
        return None if horizon is None else Base(BaseKind.STATE, horizon.base, horizon.second, horizon.second)

    def every_kept(self) -> list[Base]:
        """Returns the base backups of all states that are kept from before the horizon, oldest first.

        None of them is in `complete`, unless it is the horizon's own.
        """
        return [_of_state(each) for each in self._kept]

    def every_record(self) -> list[tuple[str, Base]]:
        """Returns the names of all completion records, with their base backups, also of those that the horizon has passed."""
        records = below_markers.firsts(self._store, self._prefix + COMPLETE)
        return [(each.name, base) for each in records if (base := self._named(each)) is not None]

    def _completed(self) -> list[Base]:
        records = below_markers.firsts(self._store, self._prefix + COMPLETE)
        return [base for each in records if (base := self._believed(each)) is not None]

    def _believed(self, record: First) -> Base | None:
        """Returns the base backup that a record's name states.

        Raises NotSigned if the reader requires signatures and the record has none.
        """
        base = self._named(record)
        if base is not None:
            below_markers.vouch(self._store, record.name, record.version)
        return base

    def lost(self) -> Iterator[tuple[str, Base]]:
        """Yields the completion records that only delete markers are left of, with the base backup that each name states."""
        return (
            (each.name, base) for each in below_markers.emptied(self._store, self._prefix + COMPLETE) if (base := self._named(each))
        )

    def _named(self, record: ListedObject) -> Base | None:
        """Returns the complete base backup that a record's name states; None if the name is not one of ours."""
        match = _COMPLETE.fullmatch(record.name.removeprefix(self._prefix + COMPLETE))
        times = None if match is None else _times(match)
        return None if match is None or times is None else Base(BaseKind(match["kind"]), match["id"], *times)

    def plans(self) -> list[BasePlan]:
        """Returns the plans of all base backups that were begun, complete or not."""
        return [plan for name in self.ids() if (plan := self.plan(name)) is not None]

    def foreign(self) -> Iterator[str]:
        """Yields the names of current objects that are not a part, plan or record of a base backup."""
        listing = below_markers.newest(self._store, self._prefix)
        return (each.name for each in listing if not each.markers and not each.name.endswith("/") and not self.owns(each.name))

    def owns(self, name: str) -> bool:
        """True if the name belongs to a part, plan or record of a base backup."""
        where, _, last = name.removeprefix(self._prefix).rpartition("/")
        pattern = _COMPLETE if f"{where}/" == COMPLETE else _PART
        return last == PLAN or pattern.fullmatch(last) is not None

    def ids(self) -> Iterator[str]:
        """Yields the ids of all base backups that were begun."""
        return (each for each, _ in folders_in(self._store, self._prefix) if f"{each}/" != COMPLETE)

    def plan(self, base: str) -> BasePlan | None:
        """Returns the plan of a base backup; None if it has none. Raises Damaged if it cannot be read."""
        name = f"{self._prefix}{base}/{PLAN}"
        found = next(below_markers.firsts(self._store, name), None)
        if found is None:
            return None
        try:
            plan = msgspec.json.decode(below_markers.pinned(self._store, found).body, type=BasePlan)
        except UNDECODABLE as error:
            raise Damaged(f"the plan of a base backup cannot be read: {name}: {reason(error)}") from error
        if plan.id != base or base in OTHERS or not 1 <= plan.segments <= MOST_SEGMENTS or not moment.is_known(plan.began):
            raise Damaged(f"{name}: it is no plan of a base backup as `backfill` writes it", hint=_NO_PLAN)
        return plan

    def parts(self, base: str) -> list[Part]:
        """Returns the parts of a base backup, in order. Foreign objects are left out; `whole` checks for missing ones."""
        listing = below_markers.firsts(self._store, f"{self._prefix}{base}/")
        return [part for each in listing if (part := _parse(each)) is not None]

    def whole(self, base: Base) -> list[Part]:
        """Returns all parts of a complete base backup. Raises Damaged, naming the part, if one has disappeared."""
        parts = self.parts(base.id)
        account = self.account(base)
        held = sum(part.count for part in parts)
        if (len(parts), held) != (account.parts, account.rows):
            raise Damaged(
                f"the base backup {self._prefix}{base.id}/ holds {len(parts)} parts and {held} rows, "
                f"its record says {account.parts} and {account.rows}",
                hint="Bring back the missing object from the bucket's versions, or run `backfill` again for a new one.",
            )
        return parts

    def account(self, base: Base) -> CompletionRecord:
        """Returns the record of a complete base backup. Raises Damaged if it cannot be read."""
        name = self.name_of(base)
        try:
            return msgspec.json.decode(
                below_markers.pinned(self._store, below_markers.first(self._store, name)).body, type=CompletionRecord
            )
        except UNDECODABLE as error:
            raise Damaged(f"the record of a base backup cannot be read: {name}: {reason(error)}") from error

    def read(self, part: Part, wanted: Callable[[Entry], bool] = lambda _: True) -> list[Entry]:
        """Returns the wanted entries of a part. Raises Damaged, naming the object, if its contents differ from its name."""
        claim, body = self.claim_and_body(part)
        try:
            return segments.select(claim, body, wanted)
        except Damaged as error:
            raise error.of(part.name) from error

    def claim_and_body(self, part: Part) -> tuple[SegmentHeader, bytes]:
        """Returns the header that a part's name states, and the part's bytes."""
        claim = SegmentHeader(part.codec, part.count)
        return claim, (
            below_markers.get(self._store, part.name) if part.found is None else below_markers.pinned(self._store, part.found)
        ).body

    def planted(self, parts: Sequence[Part]) -> list[Damaged]:
        """Returns later versions of these objects with other contents. They are not read, only reported."""
        return [each for part in parts if part.found is not None for each in below_markers.damage_of(self._store, part.found)]

    # --- writing ---

    def begin(self, plan: BasePlan) -> None:
        """Stores the plan. Storing the same plan again changes nothing."""
        self._put_once(f"{self._prefix}{plan.id}/{PLAN}", msgspec.json.encode(plan))

    def write_part(self, base: str, segment: int, number: int, entries: Sequence[Entry], *, last: bool) -> bool:
        """Makes a part of a segment durable. Returns False, and writes nothing, if somebody else has written that part."""
        begin = min((entry.since for entry in entries), default=0)
        end = max((entry.seconds for entry in entries), default=0)
        if any(each.number == number for each in self.parts_of(base, segment)):
            return False
        times = f"{moment.compact(begin)}-{moment.compact(end)}"
        name = f"{segment:05d}-{number:06d}_{len(entries)}_{times}{'.last' if last else ''}.ndjson.{self._codec.suffix}"
        return self._put_once(f"{self._prefix}{base}/{name}", segments.pack(entries, self._codec), segments.FORMAT)

    def parts_of(self, base: str, segment: int) -> list[Part]:
        """The parts of one segment, in order."""
        listing = below_markers.firsts(self._store, f"{self._prefix}{base}/{segment:05d}-")
        return [part for each in listing if (part := _parse(each)) is not None]

    def finish(self, base: Base, account: CompletionRecord) -> None:
        """Writes the completion record."""
        self._put_once(self.name_of(base), msgspec.json.encode(account))

    def name_of(self, base: Base) -> str:
        """Returns the name of a complete base backup's record."""
        times = f"{moment.compact(base.begin)}-{moment.compact(base.end)}"
        return f"{self._prefix}{COMPLETE}{times}_{base.kind}_{base.id}.json"

    def _put_once(self, name: str, body: bytes, form: str = "1") -> bool:
        try:
            self._store.put(name, body, {"format": form}, if_absent=True)
        except AlreadyExists:
            return False
        return True


def _of_state(kept: KeptState) -> Base:
    """Returns the base backup of a kept state: one of its own, or one that was the horizon's when it was kept."""
    kind = BaseKind.KEPT if kept.base.startswith(KEPT_ID) else BaseKind.STATE
    return Base(kind, kept.base, kept.second, kept.second)


def _parse(listed: First) -> Part | None:
    match = _PART.fullmatch(listed.name.rpartition("/")[2])
    times = None if match is None else _times(match)
    if match is None or times is None:
        return None
    return Part(
        name=listed.name,
        segment=int(match["segment"]),
        number=int(match["number"]),
        count=int(match["count"]),
        seconds=times,
        last=match["last"] is not None,
        codec=Codec.ZSTD if match["codec"] == "zst" else Codec.GZIP,
        modified=listed.modified,
        size=listed.size,
        found=listed,
    )


def _times(match: re.Match[str]) -> tuple[int, int] | None:
    """Returns the seconds in a name; None if they are not a time, such as a thirteenth month."""
    try:
        return moment.parse_compact(match["begin"]), moment.parse_compact(match["end"])
    except ValueError:
        return None
