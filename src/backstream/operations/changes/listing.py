"""All changes of a window as records, straight from lines that hold both images: what `Changes.each` gives, with less work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.changes.listing_lines import tells_all
from backstream.operations.changes.seen import ChangeRecord, Times
from backstream.operations.changes.sorting import Pair

_NULL = msgspec.Raw(b"null")
_Raw = msgspec.Raw


class Listing:
    """Makes the records of changes. `others`: makes those of which a line does not tell all.

    No image of a line has a line break.
    """

    def __init__(self, key_of: Callable[[bytes], bytes], others: Callable[[Pair], Iterator[ChangeRecord]]) -> None:
        self._key_of = key_of
        self._others = others
        self._times = Times()
        self._changed = ChangedAttributes()

    def records(self, pairs: Iterator[Pair]) -> Iterator[ChangeRecord]:
        """The record of each change, in their order."""
        changed, spell, key_of = self._changed, self._times.of, self._key_of
        for pair in pairs:
            entry = pair[0]
            if not tells_all(entry):
                yield from self._others(pair)
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
                changed(old, new),
            )
