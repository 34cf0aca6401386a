"""A page of an item's history: the images of its versions alone are read, however many versions there are.

The lines of the log tell how many versions an item has, when they were made, and which base backups found nothing new. An image
that lies in a row object costs a request, so it is read only for the page and for the version before it. An image in a line
is read with the line, and waits in a file until its page is chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import Damaged, MissingObject
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import read_order
from backstream.model.values import digests
from backstream.operations.inspect import safety
from backstream.operations.inspect.actors import Actors
from backstream.operations.inspect.history import READERS, ItemHistory, ItemVersion, version_of, versions_among, with_notes
from backstream.operations.inspect.images_apart import ImagesApart
from backstream.vault.table_vault import TableVault

FURTHER_BACK = 12  # versions before a page that are tried, for one whose image can be read
MARK_DIGITS = 12
NOTHING = b"null"


class PageAsked(msgspec.Struct, frozen=True):
    """Which versions are asked for, by their numbers from 1, the oldest. The newest ones if both numbers are 0.

    `upto`: the last version of the page; `after`: instead, the version before its first one. `mark`: the mark of that version. A
    version that arrives late moves the numbers of those after it, and the mark finds it under its new one.
    """

    upto: int = 0
    after: int = 0
    mark: str = ""


class NumberedVersion(msgspec.Struct, frozen=True):
    """A version with its number. `lost`: why its image cannot be read, empty if it can; `version.image` is then null.

    `mark`: a digest of what identifies it, which stays the same when numbers move.
    """

    number: int
    mark: str
    version: ItemVersion
    lost: str = ""


class HistoryPage(msgspec.Struct, frozen=True):
    """Some versions of an item that follow each other, oldest first.

    `before`: the image before the first of them, null if the item did not exist, None if it cannot be read; `total`: the number of
    all versions; `mark_before`: the mark of the version before the first one, empty if there is none. `told`: the notes of all of
    the history, with no versions. Its `unread` names no images: each version has its own `lost`.
    """

    versions: list[NumberedVersion]
    before: bytes | None
    total: int
    mark_before: str
    told: ItemHistory


def page(vault: TableVault, key: bytes, asked: PageAsked, size: int, *, now: float, allow_gap: bool = False) -> HistoryPage:
    """Returns at most `size` versions of an item, with the notes of `history.tell` about all of it. `key`: the canonical key.

    Raises Refused if a part of the backup cannot be read, unless `allow_gap`.
    """
    window = vault.window(now)  # before the log is read: what arrives meanwhile is in it all the more
    unread: list[str] = []

    def damaged(error: Damaged) -> None:
        if not allow_gap:
            raise safety.unreadable_backup([error.message])
        if error.message not in unread:
            unread.append(error.message)

    with ImagesApart() as apart:
        entries = vault.history(key, damaged, apart.taken)
        reader = _PageReader(vault, entries, apart, Actors.of_vault(vault, damaged))
        first, end = reader.chosen(asked, size)
        versions, before = reader.versions(first, end), reader.before(first)
    told = with_notes(vault, key, [], entries, unread, window, now)
    return HistoryPage(versions, before, reader.total, reader.mark(first - 1) if first > 1 else "", told)


class _PageReader:
    def __init__(self, vault: TableVault, entries: Sequence[Entry], apart: ImagesApart, actors: Actors) -> None:
        self._vault = vault
        self._entries = entries
        self._apart = apart
        self._actors = actors
        states = self._states()
        known = versions_among(entries, lambda before, after: states[before] is not None and states[before] == states[after])
        self._places = known
        self._ends = [*(each - 1 for each in known[1:]), len(entries) - 1]
        self.total = len(known)

    def chosen(self, asked: PageAsked, size: int) -> tuple[int, int]:
        """Returns the numbers of the page's first and last version; (1, 0) if there is none."""
        named = asked.after or asked.upto
        if asked.mark and not (named and named <= self.total and self.mark(named) == asked.mark):
            named = next((number for number in range(self.total, 0, -1) if self.mark(number) == asked.mark), named)
        end = min((named + size if asked.after else named) or self.total, self.total)
        return max(1, end - size + 1), end

    def mark(self, number: int) -> str:
        """Returns the mark of a version."""
        entry = self._entries[self._places[number - 1]]
        told = repr(read_order(entry)) if entry.scanned else f"{entry.stream} {entry.sequence}"
        return hashlib.sha256(told.encode()).hexdigest()[:MARK_DIGITS]

    def versions(self, first: int, end: int) -> list[NumberedVersion]:
        """Returns the versions of these numbers, both included."""
        numbers = range(first, end + 1)
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            images = list(pool.map(self._image, numbers))
        return [self._version(number, *image) for number, image in zip(numbers, images, strict=True)]

    def _version(self, number: int, image: bytes | None, lost: str) -> NumberedVersion:
        entry = self._entries[self._places[number - 1]]
        version = version_of(self._actors, entry, b"{}" if image is None else image)
        return NumberedVersion(
            number,
            self.mark(number),
            version if image is not None else msgspec.structs.replace(version, image=msgspec.Raw(NOTHING)),
            lost,
        )

    def before(self, first: int) -> bytes | None:
        """Returns the image of the last version before a number that can be read."""
        for number in range(first - 1, max(0, first - 1 - FURTHER_BACK), -1):
            image, _ = self._image(number)
            if image is not None:
                return image
        return NOTHING if first == 1 else None

    def _image(self, number: int) -> tuple[bytes | None, str]:
        """Returns a version's image, or None and the reason.

        A base backup that found the item in this state later has the same image, which may be all that is left.
        """
        image, lost = self._of(self._entries[self._places[number - 1]])
        if image is None and self._ends[number - 1] > self._places[number - 1]:
            image, _ = self._of(self._entries[self._ends[number - 1]])
        return image, "" if image is not None else lost

    def _of(self, entry: Entry) -> tuple[bytes | None, str]:
        if entry.removed:
            return NOTHING, ""
        try:
            return self._vault.image(self._apart.whole(entry)), ""
        except (Damaged, MissingObject) as error:
            return None, error.message

    def _states(self) -> list[str | None]:
        """Returns the digest of the state that each entry leaves, as far as base backups must be compared with it.

        Lines of format 1 and of exports state none, so their images are read, each held no longer than its digest takes. So are
        images in lines, which cost no request: a line may state a digest that is not its image's.
        """
        states = [entry.leaves for entry in self._entries]
        asked = {place for each, entry in enumerate(self._entries) if each and entry.scanned for place in (each - 1, each)}
        unknown = [place for place in sorted(asked) if states[place] is None or self._is_at_hand(self._entries[place])]
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            for place, state in zip(unknown, pool.map(self._state, unknown), strict=True):
                states[place] = state
        return states

    def _is_at_hand(self, entry: Entry) -> bool:
        return not entry.removed and entry.place is None

    def _state(self, place: int) -> str | None:
        image, _ = self._of(self._entries[place])
        return None if image is None else digests.of_state_if_sound(image) or digests.of_body(image)
