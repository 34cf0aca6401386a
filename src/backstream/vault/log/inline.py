"""The log layout: images stay inline in the log's lines, one PUT per batch and no object per item."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, Scanned, of_change, of_scanned


class Inline:
    """Keeps images in the entries themselves, so they are durable once their segment is."""

    def keep(self, change: Change) -> Entry:
        """Returns the entry that carries both images."""
        return of_change(change, None)

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """Returns the entry that carries the image, to be written with its line."""
        return of_scanned(scanned, None), True

    def keep_scanned_each(self, page: Sequence[Scanned]) -> dict[int, tuple[Entry, bool]]:
        """All of them: there is nothing to wait for."""
        return {place: (of_scanned(scanned, None), True) for place, scanned in enumerate(page)}
