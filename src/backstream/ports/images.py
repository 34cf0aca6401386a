"""Where a layout keeps images."""

from __future__ import annotations

from typing import Protocol

from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, Scanned


class Images(Protocol):
    """Where a layout keeps images. The log's entries say where each lives, so that one vault may hold several layouts' images."""

    def keep(self, change: Change) -> Entry:
        """Make the change's image durable and return its entry for the log.

        Idempotent: the same change again gives an entry of the same image. One item's changes come from one thread at a time;
        late ones are welcome. Raises what the store raises; the image is then not durable.
        """


class ScannedImages(Protocol):
    """Where a layout keeps states that were read from the table or an export. Every layout's images are this too."""

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """As `Images.keep`; and whether anything had to be written, since what is kept already is not written again."""
