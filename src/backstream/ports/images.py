"""The place in which a layout keeps images."""

from __future__ import annotations

from typing import Protocol

from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, Scanned


class Images(Protocol):
    """The place in which a layout keeps images.

    The log's entries state each image's place, so one vault may hold several layouts' images.
    """

    def keep(self, change: Change) -> Entry:
        """Makes the change's image durable and returns its entry for the log.

        Idempotent: the same change again gives an entry of the same image. One item's changes come from one thread at a time; late
        ones are welcome. Raises the store's errors; the image is then not durable.
        """


class ScannedImages(Protocol):
    """The place in which a layout keeps states that were read from the table or an export. Every layout's images are this too."""

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """Does the same as `Images.keep`, and returns whether anything was written: an existing state is not written again."""
