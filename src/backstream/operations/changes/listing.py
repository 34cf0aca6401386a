"""All changes of a window as records, straight from lines that hold both images: what `Changes.each` gives, with less work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.model.changes import merge
from backstream.model.changes.entry import Entry
from backstream.operations.changes.seen import ChangeRecord, Times
from backstream.operations.changes.sorting import Pair

_NULL = msgspec.Raw(b"null")
_Raw = msgspec.Raw


def is_simple(entry: Entry) -> bool:
    """Whether a line tells all of its change: both images, its stream and number, and no name that is looked up."""
    if entry.place is not None or entry.began is not None or entry.actor is not None:
        return False
    event = entry.event
    if event == "MODIFY":
        return entry.old is not None and entry.image is not None
    if event == "INSERT":
        return entry.old is None and entry.image is not None
    return event == "REMOVE" and entry.old is not None and entry.image is None


def records(
    pairs: Iterator[Pair], key_of: Callable[[bytes], bytes], times: Times, others: Callable[[Pair], Iterator[ChangeRecord]]
) -> Iterator[ChangeRecord]:
    """The records of changes. `others`: makes those of which a line does not tell all. No image of a line has a line break."""
    differ, spell = merge.changed_attributes, times.of
    for pair in pairs:
        entry = pair[0]
        if not is_simple(entry):
            yield from others(pair)
            continue
        old, new = entry.old, entry.image
        yield ChangeRecord(
            spell(entry.micros),
            entry.sequence,
            entry.event,
            None,
            _Raw(key_of(entry.keys)),
            _NULL if old is None else _Raw(old),
            _NULL if new is None else _Raw(new),
            differ(old, new),
        )
