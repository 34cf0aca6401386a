"""All changes of a window as records, straight from lines that hold both images: what `Changes.each` gives, with less work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.model.changes import merge
from backstream.model.changes.entry import Entry
from backstream.operations.changes.seen import ChangeRecord, Times
from backstream.operations.changes.sorting import Pair

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NULL = msgspec.Raw(b"null")
_NOTHING: dict[str, msgspec.Raw] = {}
_Raw = msgspec.Raw


def is_simple(entry: Entry) -> bool:
    """Whether a line tells all of its change: both images, its stream and number, and no name that is looked up."""
    if entry.place is not None or entry.began is not None or entry.actor is not None:
        return False
    old, new = entry.old, entry.image
    if entry.event == "INSERT":
        return old is None and new is not None and b"\n" not in new
    if old is None or b"\n" in old:
        return False
    return new is None if entry.event == "REMOVE" else new is not None and b"\n" not in new


def records(
    pairs: Iterator[Pair], key_of: Callable[[bytes], bytes], times: Times, others: Callable[[Pair], Iterator[ChangeRecord]]
) -> Iterator[ChangeRecord]:
    """The records of changes. `others`: makes those of which a line does not tell all."""
    differ, spell = merge.changed_fields, times.of
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
            differ(_NOTHING if old is None else _fields(old), _NOTHING if new is None else _fields(new)),
        )
