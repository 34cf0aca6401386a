"""Tells whether a create-only name in the log that is already taken holds the same changes, or somebody else's.

The same changes get the same name, so two writers do no harm. But a name proves little about the contents: anybody who may write to
the log can take a name before its writer. Such a batch is not acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from operator import attrgetter

import msgspec

from backstream.errors import Damaged, MissingObject, NameTaken
from backstream.model.changes.entry import Entry
from backstream.model.values import digests
from backstream.ports import ObjectStore, StoredObject
from backstream.vault import below_markers
from backstream.vault.log import positions, segments
from backstream.vault.log.filters import key_filter
from backstream.vault.log.filters.filter_metadata import BODY, FILTER
from backstream.vault.log.segments import Segment


def check(store: ObjectStore, name: str, segment: Segment, body: bytes, keys: Iterable[bytes] = ()) -> StoredObject:
    """Returns the first version of this name, if it says the same as `body`. Raises NameTaken, naming the object, if it does not.

    The first version is the one that counts. Row versions may differ if their bytes are the same. `keys`: the canonical key of each
    line, none of which its filter may leave out.
    """
    found = below_markers.first(store, name)
    first = store.get(name, found.version)
    honest = not segment.count or _leaves_nothing_out(first.info.metadata, first.body, keys)
    if honest and says_the_same(store, segment, first.body, body):
        return first
    raise NameTaken(
        f"{store.url}/{name} is there already, and it holds something else: somebody else has written it",
        hint="These changes are not in the log, and are not acknowledged. Find out who may write to the vault, and run "
        "`backstream check`. Somebody who may remove versions can remove that one; the changes then get their place.",
    )


def _leaves_nothing_out(said: Mapping[str, str], body: bytes, keys: Iterable[bytes]) -> bool:
    """True if a reader who goes by the metadata alone passes over none of these lines, and whoever reads the bytes trusts them."""
    if BODY in said and said[BODY] != sha256(body).hexdigest():
        return False
    return FILTER not in said or all(key_filter.may_hold(said[FILTER], key) for key in keys)


def says_the_same(store: ObjectStore, segment: Segment, one: bytes, other: bytes) -> bool:
    """True if two bodies of a segment hold the same changes, or the same positions."""
    if one == other:
        return True
    return _same_positions(one, other) if segment.witnessed else _same_changes(store, segment, one, other)


def _same_positions(there: bytes, ours: bytes) -> bool:
    try:
        return positions.decode(there) == positions.decode(ours)
    except Damaged:
        return False


def _same_changes(store: ObjectStore, segment: Segment, there: bytes, ours: bytes) -> bool:
    """True if both hold the same changes. A batch has one name whatever the order of its records and the place of duplicates."""
    claim = segments.claim_of(segment)
    try:
        theirs, wanted = (sorted(segments.read(claim, each), key=attrgetter("order")) for each in (there, ours))
    except Damaged:
        return False
    return len(theirs) == len(wanted) and all(_is_same(store, *pair) for pair in zip(theirs, wanted, strict=True))


def _is_same(store: ObjectStore, one: Entry, other: Entry) -> bool:
    """True if both entries hold the same state.

    Attributes may be in another order. The rows are read if the digests in the lines are missing or differ.
    """
    for digest in ("before", "after"):
        if None not in (getattr(one, digest), getattr(other, digest)) and getattr(one, digest) != getattr(other, digest):
            return False
    if (one.place is None) is not (
        other.place is None
    ):  # the layout changed between the two: the image is in the line, or in a row
        return _about(one) == _about(other) and _left(store, one) == _left(store, other)
    bodies = (_row(store, one), _row(store, other)) if one.body != other.body or one.body is None else ("", "")
    return _said(one, bodies[0]) == _said(other, bodies[1])


def _about(entry: Entry) -> Entry:
    """Returns the change without its images: they are in different places of the two layouts."""
    return msgspec.structs.replace(_said(entry, ""), image=None, old=None)


def _left(store: ObjectStore, entry: Entry) -> str | bytes | None:
    """Returns the digest of the state that the change left, from the line or from the row that it names."""
    if entry.event == "REMOVE":
        return ""
    return _row(store, entry) if entry.place is not None else digests.of_body(_state(entry.image) or b"")


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
    """Returns a digest that is equal for equal items, however they are written."""
    sound = None if image is None else digests.of_state_if_sound(image)
    return image if sound is None else sound.encode()


def _row(store: ObjectStore, entry: Entry) -> str:
    """Returns the digest of the state in the row that an entry names.

    Returns the row's place if the row is missing or does not fit the entry.
    """
    if entry.place is None:
        return ""
    try:
        row = store.get(entry.place.name, entry.place.version).body
    except MissingObject:
        return f"no {entry.place}"
    return digests.of_body(_state(row) or b"") if entry.body in (None, digests.of_body(row)) else f"not {entry.place}"
