"""A change with both of its images, and the attributes that it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError, Damaged
from backstream.model import moment
from backstream.model.changes import merge
from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names
from backstream.model.values import wire
from backstream.operations.changes.sorting import Pair
from backstream.operations.inspect.actors import ActorClaim, ActorSource
from backstream.vault.table_vault import TableVault

TOGETHER = 128  # changes whose images are fetched side by side
NOT_HELD = "the vault does not hold the item as it was before"
BROKEN = "a change before it is missing: it was made upon another state than the last one left"


class SeenChange(msgspec.Struct, frozen=True, gc=False):
    """One change of one item: `key` is the canonical key, `old` and `new` its images, None if the item did not exist.

    `doubt`: why one of the images is not known, empty if both are. `gone`: True if that is because an image cannot be read.
    """

    key: bytes
    entry: Entry
    old: bytes | None
    new: bytes | None
    doubt: str = ""
    gone: bool = False

    @property
    def stream(self) -> str:
        """The label of its stream."""
        return self.entry.stream

    @property
    def sequence(self) -> str:
        """Its sequence number."""
        return self.entry.sequence

    @property
    def micros(self) -> int:
        """The time of the change, microseconds since 1970."""
        return self.entry.micros

    @property
    def event(self) -> str:
        """INSERT, MODIFY, REMOVE, or BACKFILL if a read of the table found it."""
        return self.entry.event

    @property
    def actor(self) -> str | None:
        """The actor in the stream's own record."""
        return self.entry.actor

    @property
    def is_numbered(self) -> bool:
        """True if its sequence number is the stream's."""
        return not self.entry.scanned and self.entry.stream != legacy_names.STREAM


class ChangeRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One change, for programs. `time`: ISO 8601, UTC; `key`, `before`, `after`: DynamoDB JSON, null if there is no item.

    `sequence`: null if it does not come from a change of the stream; `changed`: the names of the top-level attributes that differ;
    `note`: why an image is not known, left out if both are; `actor_source`: the source of the actor, left out if there is none.
    """

    time: str
    sequence: str | None
    event: str
    actor: str | None
    key: msgspec.Raw
    before: msgspec.Raw
    after: msgspec.Raw
    changed: list[str]
    note: str = ""
    actor_source: ActorSource | None = None


_NULL = msgspec.Raw(b"null")


def changed(seen: SeenChange) -> list[str]:
    """Returns the names of the attributes that a change changed; none if one of its images is not known."""
    return [] if seen.doubt else merge.changed_attributes(seen.old, seen.new)


class Times:
    """Formats times. Changes of one second come together, so it remembers the last one."""

    def __init__(self) -> None:
        self._micros, self._text = -1, ""

    def of(self, micros: int) -> str:
        """Returns the same as `moment.iso_micros`."""
        if micros != self._micros:
            self._micros, self._text = micros, moment.iso_micros(micros)
        return self._text


def record(seen: SeenChange, by: ActorClaim | None, times: Times) -> ChangeRecord:
    """Returns the change as a record for programs."""
    entry = seen.entry
    return ChangeRecord(
        times.of(entry.micros),
        entry.sequence if seen.is_numbered else None,
        entry.event,
        None if by is None else by.actor,
        msgspec.Raw(seen.key),
        _NULL if seen.old is None else msgspec.Raw(wire.one_line(seen.old)),
        _NULL if seen.new is None else msgspec.Raw(wire.one_line(seen.new)),
        changed(seen),
        seen.doubt,
        None if by is None else by.source,
    )


def with_images(vault: TableVault, pairs: Iterator[Pair]) -> Iterator[SeenChange]:
    """Yields the changes in their order, each with its images, which are fetched many at a time."""
    for batch in batches(pairs, TOGETHER):
        yield from (seen for group in _filled(vault, [batch]) for seen in group)


def items_with_images(vault: TableVault, items: Sequence[Sequence[Pair]]) -> list[list[SeenChange]]:
    """Returns the same for the changes of several items, whose images are fetched together."""
    return _filled(vault, items)


_Spot = tuple[int, int, bool]  # which group, which change in it, and whether it is the image before


def _filled(vault: TableVault, groups: Sequence[Sequence[Pair]]) -> list[list[SeenChange]]:
    wanted: list[tuple[_Spot, Entry]] = []
    for number, group in enumerate(groups):
        for place, (entry, before) in enumerate(group):
            wanted += [((number, place, old), source) for old, source in _sources(entry, before) if source.place is not None]
    found = dict(vault.images(iter(wanted))) if wanted else {}
    return [
        [
            _seen(vault, entry, before, found.get((number, place, True)), found.get((number, place, False)))
            for place, (entry, before) in enumerate(group)
        ]
        for number, group in enumerate(groups)
    ]


def _sources(entry: Entry, before: Entry | None) -> list[tuple[bool, Entry]]:
    """Returns the entries that hold the images of a change, each with True if it is the image before."""
    if entry.removed:
        return [(True, entry)]
    sources = [(False, entry)]
    if entry.event != "INSERT" and entry.old is None and before is not None and not before.removed:
        sources.append((True, before))
    return sources


_Image = bytes | BackstreamError | None


def _seen(vault: TableVault, entry: Entry, before: Entry | None, fetched_old: _Image, fetched_new: _Image) -> SeenChange:
    key = vault.key(entry)
    if isinstance(fetched_old, BackstreamError):
        return SeenChange(key, entry, None, None, fetched_old.message, gone=True)
    if isinstance(fetched_new, BackstreamError):
        return SeenChange(key, entry, None, None, fetched_new.message, gone=True)
    try:
        for each, image in ((entry, entry.old), (entry, entry.image), *([] if before is None else [(before, before.image)])):
            if image is not None:
                vault.check_own(each, image)
    except Damaged as error:
        return SeenChange(key, entry, None, None, error.message, gone=True)
    old = _old(entry, before, fetched_old)
    new = None if entry.removed else entry.image if entry.place is None else fetched_new
    return SeenChange(key, entry, old, new, _doubt(entry, before, old, new))


def _old(entry: Entry, before: Entry | None, fetched: bytes | None) -> bytes | None:
    if entry.old is not None or entry.event == "INSERT":
        return entry.old
    if fetched is not None:
        return fetched
    return before.image if before is not None and not before.removed and not entry.removed else None


def _doubt(entry: Entry, before: Entry | None, old: bytes | None, new: bytes | None) -> str:
    """Returns why an image is not known."""
    if entry.removed and old is None and not entry.scanned:
        return NOT_HELD
    if not entry.removed and new is None:
        return "the vault does not hold the item as it was after it"
    if entry.place is None and entry.old is not None:
        return ""  # the record carried it
    if entry.event == "INSERT" or entry.removed:
        return ""
    if before is None:
        return NOT_HELD
    told = entry.before if not entry.scanned else None
    left = before.leaves
    return BROKEN if told is not None and left is not None and told != left else ""
