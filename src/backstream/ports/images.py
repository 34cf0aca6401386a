"""The place in which a layout keeps images."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol, runtime_checkable

from backstream.errors import BackstreamError
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, Scanned
from backstream.ports.objects import Tag


class Images(Protocol):
    """The place in which a layout keeps images.

    The log's entries state each image's place, so one vault may hold several layouts' images.
    """

    def keep(self, change: Change) -> Entry:
        """Makes the change's image durable and returns its entry for the log.

        Idempotent: the same change again gives an entry of the same image. One item's changes come from one thread at a time; late
        ones are welcome. Raises the store's errors; the image is then not durable.
        """


@runtime_checkable
class ManyImages(Protocol):
    """Images that are kept many at a time by one thread, where the store gains by that."""

    @property
    def keeps_many(self) -> bool:
        """True if it does."""

    def keep_each(self, changes: Iterable[tuple[Tag, Change]]) -> Generator[tuple[Tag, Entry | BackstreamError | None], None, None]:
        """Does as `Images.keep` for each, and yields them as they end, in no order; so no two changes of one item at a time.

        None for a change that is to be kept by `keep`: more has to be looked at, and nothing or the same image has been written.
        """


class ScannedImages(Protocol):
    """The place in which a layout keeps states that were read from the table or an export. Every layout's images are this too."""

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """Does the same as `Images.keep`, and returns whether anything was written: an existing state is not written again."""

    def keep_scanned_each(self, page: Sequence[Scanned]) -> dict[int, tuple[Entry, bool]]:
        """Does the same for some of these, by position, where many at a time cost less. The others are left to `keep_scanned`."""
