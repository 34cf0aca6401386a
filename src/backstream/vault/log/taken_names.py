"""Tells whether a create-only name in the log that is taken already holds the same changes, or somebody else's.

The same changes get the same name, so that two writers do no harm. But a name says little of what lies there: whoever may write to
the log can take a name before its writer. Such a batch is not acknowledged.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from backstream.errors import Damaged, MissingObject, NameTaken
from backstream.model.changes.entry import Entry
from backstream.model.values import digests
from backstream.ports import ObjectStore, StoredObject
from backstream.vault import below_markers
from backstream.vault.log import positions, segments
from backstream.vault.log.segments import Segment


def check(store: ObjectStore, name: str, segment: Segment, body: bytes) -> StoredObject:
    """The first version of this name, which says the same as `body`. NameTaken, naming the object, where it does not.

    The first version is the one that counts. Row versions may differ where their bytes are the same.
    """
    found = below_markers.first(store, name)
    first = store.get(name, found.version)
    if says_the_same(store, segment, first.body, body):
        return first
    raise NameTaken(
        f"{store.url}/{name} is there already, and it holds something else: somebody else has written it",
        hint="These changes are not in the log, and are not acknowledged. Find out who may write to the vault, and run "
        "`backstream check`. Whoever may remove versions can remove that one; the changes then get their place.",
    )


def says_the_same(store: ObjectStore, segment: Segment, one: bytes, other: bytes) -> bool:
    """Whether two bodies of a segment say the same changes, or the same positions."""
    if one == other:
        return True
    return _same_positions(one, other) if segment.witnessed else _same_changes(store, segment, one, other)


def _same_positions(there: bytes, ours: bytes) -> bool:
    try:
        return positions.decode(there) == positions.decode(ours)
    except Damaged:
        return False


def _same_changes(store: ObjectStore, segment: Segment, there: bytes, ours: bytes) -> bool:
    """A batch has one name in whatever order its records arrive, and a duplicate within it may stand anywhere."""
    claim = segments.claim_of(segment)
    try:
        theirs, wanted = (sorted(segments.read(claim, each), key=attrgetter("order")) for each in (there, ours))
    except Damaged:
        return False
    return len(theirs) == len(wanted) and all(_is_same(store, *pair) for pair in zip(theirs, wanted, strict=True))


def _is_same(store: ObjectStore, one: Entry, other: Entry) -> bool:
    """Images may be written in another order of attributes. The rows are read where lines tell no digest of them, or another."""
    for digest in ("before", "after"):
        if None not in (getattr(one, digest), getattr(other, digest)) and getattr(one, digest) != getattr(other, digest):
            return False
    bodies = (_row(store, one), _row(store, other)) if one.body != other.body or one.body is None else ("", "")
    return _said(one, bodies[0]) == _said(other, bodies[1])


def _said(entry: Entry, body: str) -> Entry:
    return msgspec.structs.replace(
        entry,
        place=None,
        received=None,
        before=None,
        after=None,
        body=body,
        keys=_state(entry.keys) or b"",
        image=_state(entry.image),
        old=_state(entry.old),
    )


def _state(image: bytes | None) -> bytes | None:
    """Equal for equal items, however they are written."""
    sound = None if image is None else digests.of_state_if_sound(image)
    return image if sound is None else sound.encode()


def _row(store: ObjectStore, entry: Entry) -> str:
    """The digest of the state in the row that an entry names; where that is not there, or not as the entry says, its place."""
    if entry.place is None:
        return ""
    try:
        row = store.get(entry.place.name, entry.place.version).body
    except MissingObject:
        return f"no {entry.place}"
    return digests.of_body(_state(row) or b"") if entry.body in (None, digests.of_body(row)) else f"not {entry.place}"
