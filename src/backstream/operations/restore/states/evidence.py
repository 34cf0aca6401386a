"""Checks the vault's proof about a live row before an in-place restore deletes or reverts it. Unknown is not absent.

A live row is deleted only if the vault proves that it did not exist at the moment. The proof is a base backup or a beginning
before it, unbroken proof up to it, and nothing that shows that it existed. A row is reverted only if its state is proven, or if
the vault knows of a change of it after the moment. See docs/notes/0021-unknown-is-not-absent.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes import fold
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.window import KnownGap, Window
from backstream.operations.inspect import safety
from backstream.operations.inspect.whole_log import changes_since
from backstream.operations.restore.request import RestoreRequest
from backstream.operations.restore.states.row_states import RowState
from backstream.vault.erasure.erasures import Erasure
from backstream.vault.table_vault import TableVault


class Doubt(msgspec.Struct, frozen=True):
    """The reason why a live row is left alone.

    `accepted`: True if the user has accepted that with --allow-gap, so the row does not count as left.
    """

    why: str
    accepted: bool = False


Between = Callable[[bytes, Entry, Entry], BrokenChain | None]


class Later(Protocol):
    """Tells what the vault knows of an item after the moment."""

    def first(self, key: bytes) -> Entry | None:
        """Returns the item's first change after the moment, without its images; None if the vault has none."""


class AbsenceEvidence:
    """Decides for one restore which live rows may be deleted or reverted.

    `lost`: the times of the objects that could not be read.
    """

    def __init__(
        self,
        request: RestoreRequest,
        window: Window,
        later: Later,
        lost: Callable[[], Sequence[KnownGap]],
        between: Between,
        erased: Callable[[bytes], Erasure | None] = lambda _: None,
    ) -> None:
        """`between`: finds the changes that are missing between an item's state at the moment and its first change after that;
        `erased`: the newest erasure of an item.
        """
        self._erased = erased
        self.missing: list[BrokenChain] = []
        self._between = between
        self._request = request
        self._window = window
        self._later = later
        self._lost = lost
        self._proven = safety.is_proven(request.at, window)

    def against_deleting(self, candidate: RowState) -> Doubt | None:
        """Returns why a live row outside of the state at the moment must stay; None if the vault proves that it did not exist."""
        erased = self._erased(candidate.key) if candidate.then is None else None
        if erased is not None:
            return Doubt(f"left alone, nothing tells what it was: {erased}", accepted=True)
        missing = None if self._request.delete_unknown else self._missing_proof(candidate.then)
        return missing or self._shown(self._later.first(candidate.key))

    def against_reverting(self, candidate: RowState) -> Doubt | None:
        """Returns why an item that differs from the state at the moment must stay unchanged; None if it may be written."""
        first = self._later.first(candidate.key)
        if first is not None and candidate.then is not None:
            return self._against_unproven(candidate.key, candidate.then, first)
        if self._proven or first is not None:
            return None
        return Doubt(f"left alone, the vault has not heard of its last change, and it may have been so then: {self._known_until}")

    def _against_unproven(self, key: bytes, then: Entry, first: Entry) -> Doubt | None:
        """Returns why the state at the moment is uncertain, though the vault has one: the next change was made upon another."""
        lost = self._between(key, then, first)
        if lost is None or not lost.since <= self._request.at < lost.until:
            return None
        self.missing.append(lost)
        if self._request.allow_gap:
            return None
        between = f"{moment.iso(lost.since)} and {moment.iso(lost.until)}"
        return Doubt(f"left alone, nothing tells how it was then: a change made between {between} is missing")

    def _missing_proof(self, then: Entry | None) -> Doubt | None:
        at, window = self._request.at, self._window
        if not self._proven:
            return Doubt(f"left alone, nothing tells whether it existed at {moment.iso(at)}: {self._known_until}")
        if safety.surely_absent(then, at, window, self._lost()):
            return None
        accepted = self._request.keep_unknown or (self._request.allow_gap and not safety.by_older_tool(at, window))
        return Doubt(f"left alone, nothing tells whether it existed at {moment.iso(at)}", accepted)

    @property
    def _known_until(self) -> str:
        return safety.known_until(self._window)

    def _shown(self, first: Entry | None) -> Doubt | None:
        """Returns the evidence that an item may have existed at the moment: its first change after it was made to an existing item.

        Either it existed at the moment, or the change that created it after the moment is missing.
        """
        if first is None or first.event == "INSERT":
            return None
        at = self._request.at
        if any(gap.since <= first.seconds and gap.until > at for gap in self._window.gaps):
            if self._request.delete_unknown:
                return None  # the insert may lie in the gap
            return Doubt("left alone, its insert may lie in a gap after the moment", self._request.allow_gap)
        then = moment.iso(at)
        word = f"left alone, its first change after {then}, at {moment.iso(first.seconds)}, is a {first.event} of an existing item"
        return Doubt(f"{word}: it existed at {then}, or the change that created it later is missing")


class NothingLater:
    """For a state that is kept from before the horizon. The changes after it were removed; the state is certain without them."""

    def first(self, key: bytes) -> Entry | None:
        """See `Later`."""
        del key
        return None


class LaterOfFew:
    """Finds later changes in a few items' own histories. Nothing is read before it is asked for."""

    def __init__(self, vault: TableVault, at: int) -> None:
        self._vault = vault
        self._at = at
        self._known: dict[bytes, Entry | None] = {}

    def first(self, key: bytes) -> Entry | None:
        """See `Later`."""
        if key not in self._known:
            self._known[key] = first_after(self._vault.history(key, _passed_over), self._at)
        return self._known[key]


class LaterInLog:
    """Finds all items' later changes in the log, on disk, with one partition in memory. The log is read at the first request.

    `keys`: only these items; None: every item.
    """

    def __init__(self, vault: TableVault, at: int, partitions: int, buffer: int, keys: Collection[bytes] | None = None) -> None:
        self._vault = vault
        self._at = at
        self._partitions = partitions
        self._buffer = buffer
        self._keys = keys
        self._spilled: Pairs | None = None
        self._number = -1
        self._firsts: dict[bytes, Entry] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._spilled is not None:
            self._spilled.close()

    def first(self, key: bytes) -> Entry | None:
        """See `Later`."""
        if self._spilled is None:
            self._spilled = Pairs(self._partitions, buffer=self._buffer)
            self._read(self._spilled)
        number = zlib.crc32(key) % self._partitions
        if number != self._number:
            self._number, self._firsts = number, self._partition(self._spilled, number)
        return self._firsts.get(key)

    def _read(self, into: Pairs) -> None:
        for entry in changes_since(self._vault, self._at):
            if entry.seconds > self._at and not entry.scanned:
                key = self._vault.key(entry)
                if self._keys is None or key in self._keys:
                    into.add(key, msgspec.msgpack.encode(_without_images(entry)))

    @staticmethod
    def _partition(spilled: Pairs, number: int) -> dict[bytes, Entry]:
        firsts: dict[bytes, Entry] = {}
        for key, value in spilled.read(number):
            entry = msgspec.msgpack.decode(value, type=Entry)
            known = firsts.get(key)
            if known is None or fold.is_later(known, entry):
                firsts[key] = entry
        return firsts


def first_after(entries: Sequence[Entry], at: int) -> Entry | None:
    """Returns the first change of one item after a second; scanned images are not changes."""
    return min((each for each in entries if not each.scanned and each.seconds > at), key=lambda each: each.order, default=None)


def _without_images(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, image=None, old=None)


def _passed_over(error: Damaged) -> None:
    """Ignores an unreadable object after the moment: it proves nothing, and earlier objects have been checked."""
    del error
