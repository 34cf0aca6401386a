"""Makes records of all changes of a window straight from lines with both images: the same as `Changes.each`, with less work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.changes.listing_lines import IMAGES
from backstream.operations.changes.seen import ChangeRecord, Times
from backstream.operations.changes.sorting import Pair

_NULL = msgspec.Raw(b"null")
_Raw = msgspec.Raw


class Listing:
    """Makes the records of changes. `others`: makes the records of changes whose line is incomplete.

    No image of a line has a line break.
    """

    def __init__(self, key_of: Callable[[bytes], bytes], others: Callable[[Pair], Iterator[ChangeRecord]]) -> None:
        self._key_of = key_of
        self._others = others
        self._times = Times()
        self._changed = ChangedAttributes()

    def records(self, pairs: Iterator[Pair]) -> Iterator[ChangeRecord]:
        """Yields the record of each change, in their order."""
        changed, spell, key_of, images = self._changed, self._times.of, self._key_of, IMAGES.get
        micros, time = -1, ""
        for pair in pairs:
            entry = pair[0]
            old, new, event = entry.old, entry.image, entry.event
            if not (  # a line that tells all of its change
                entry.place is None is entry.began and entry.actor is None and images(event) == (old is not None, new is not None)
            ):
                yield from self._others(pair)
                continue
            if entry.micros != micros:
                micros = entry.micros
                time = spell(micros)
            yield ChangeRecord(
                time,
                entry.sequence,
                event,
                None,
                _Raw(key_of(entry.keys)),
                _NULL if old is None else _Raw(old),
                _NULL if new is None else _Raw(new),
                changed(old, new),
            )
