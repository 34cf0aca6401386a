"""Writes the changes that a migration decided, each on condition that the item is unchanged: nobody is overwritten, no item changes
twice.

An item that somebody changed meanwhile is read again and decided anew. If a request's answer was lost, only a look at the item can
tell whether it was done. If somebody changed it since, nothing can tell: then it is named, and not changed again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backstream.errors import BackstreamError, Failed, ScriptFailed, Unavailable
from backstream.model.migration import ItemRewrite
from backstream.model.values import wire
from backstream.model.values.sizes import write_units
from backstream.operations.bulk.journal import Journal
from backstream.ports import Delete, Put, Table

TRIES = 8  # of an item that somebody changes again and again
CONFLICT = "somebody changed it meanwhile"
BUSY = f"somebody changed it {TRIES} times while it was being changed"
UNSURE = (
    "its change may have been made or not, the answer was lost; somebody has changed it since, so it is left as it is: look at it"
)


class Conflict(Failed):
    """An item has changed, and must not be decided anew."""


Again = Callable[
    [bytes, bytes | None], ItemRewrite | None
]  # the change of an item, by its key, that is by now as the image; or Conflict


class LeftAlone(msgspec.Struct, frozen=True):
    """An item that was not changed, and why. `unsure`: True if it may have been."""

    key: bytes
    why: str
    conflict: bool = True


class PendingRewrite:
    """A change that is to be made, with the item as it has to be before it: one write, for a `BulkWriter`.

    `again` decides anew, where the item turns out to be another. `number`: in the journal, None before it stands there; `doubtful`:
    it may be done already.
    """

    def __init__(self, change: ItemRewrite, again: Again) -> None:
        self.change = change
        self.again = again
        self.number: int | None = None
        self.doubtful = False

    @property
    def body(self) -> bytes:
        """Returns the request's contents: the image after it, or the key of an item that is deleted."""
        return self.change.key if self.change.after is None else self.change.after


class Applying:
    """Makes changes to a table one by one; it is the `writer.Batches` of a `BulkWriter`. Safe to call from many threads.

    `journal`: None to record nothing. `counts`: "changed", "created" (changed items that did not exist before), "deleted", and
    "unchanged" (after a new decision); `left`: items that will not be tried again; `stopped`: the script's own error that ended
    everything.
    """

    def __init__(self, table: Table, journal: Journal[Any] | None) -> None:
        self._table = table
        self._journal = journal
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.left: list[LeftAlone] = []
        self.stopped: ScriptFailed | None = None

    def write(self, writes: Sequence[PendingRewrite], took: Callable[[float], None] | None = None) -> Sequence[PendingRewrite]:
        """See `ports.Table.write`. Raises the table's error if nothing could be done, and the script's error."""
        self._intend([each for each in writes if each.number is None])
        units = 0
        for place, pending in enumerate(writes):
            try:
                units += self._make(pending)
            except ScriptFailed as error:
                self.stopped = self.stopped or error
                raise
            except BackstreamError:
                if not place:
                    raise
                self._took(took, units)
                return writes[place:]  # the next attempt begins here, and tells what is wrong
        self._took(took, units)
        return []

    def give_up(self, pending: PendingRewrite) -> None:
        """Notes that a write will not be tried again: it was not done, unless it may have been."""
        if not pending.doubtful:
            self._withdraw(pending)

    @staticmethod
    def _took(took: Callable[[float], None] | None, units: int) -> None:
        if took is not None and units:
            took(float(units))

    # --- one item ---

    def _make(self, pending: PendingRewrite) -> int:
        """Makes one change, or its new decision. Returns the consumed write units."""
        if self.stopped is not None:
            raise self.stopped
        units = 0
        for _ in range(TRIES):
            change = pending.change
            units += max(write_units(image) for image in (change.before, change.after) if image is not None)
            if self._try(pending):
                self._settled(pending, "deleted" if change.after is None else "changed")
                return units
            if self._decided_anew(pending):
                return units
        self._leave(pending, BUSY)
        return units

    def _try(self, pending: PendingRewrite) -> bool:
        """Returns True if the change is made, False if the item has changed."""
        change = pending.change
        if self._journal is not None and pending.number is not None:
            self._journal.tried(pending.number)
        if change.before is not None and change.after is not None:
            try:
                done = self._table.change_if(change.after, change.before)
            except Unavailable:
                pending.doubtful = True
                raise
        else:
            done = self._put_or_delete(pending)
        # After a lost answer, only the item's new state proves that it was done.
        return done or (pending.doubtful and wire.same_state(self._look(change.key), change.after))

    def _put_or_delete(self, pending: PendingRewrite) -> bool:
        """Puts or deletes. The table's client retries these by itself; doing them a second time changes nothing."""
        change = pending.change
        if not wire.same_state(self._look(change.key), change.before):  # the condition alone does not see what somebody has added
            return False
        pending.doubtful = True
        write = Delete(change.key) if change.after is None else Put(change.after)
        return self._table.write_if(write, change.before)

    def _decided_anew(self, pending: PendingRewrite) -> bool:
        """Returns True if the new decision settles a changed item."""
        live = self._look(pending.change.key)
        if wire.same_state(live, pending.change.before):
            return False  # it was another for a moment only, or an answer was lost of what was not done
        if pending.doubtful and pending.change.after is not None and pending.change.before is not None:
            self._leave(pending, UNSURE, sure=False)
            return True
        try:
            change = pending.again(pending.change.key, live)
        except Conflict as error:
            self._leave(pending, error.message)
            return True
        self._withdraw(pending)
        if change is None:
            self._settled(pending, "unchanged")
            return True
        pending.change, pending.number, pending.doubtful = change, None, False
        self._intend([pending])
        return False

    def _look(self, key: bytes) -> bytes | None:
        return next(iter(self._table.fetch([key])), None)

    # --- the account ---

    def _intend(self, pending: Sequence[PendingRewrite]) -> None:
        if self._journal is not None and pending:
            for each, number in zip(pending, self._journal.intend([each.change for each in pending]), strict=True):
                each.number = number

    def _withdraw(self, pending: PendingRewrite) -> None:
        if self._journal is not None and pending.number is not None:
            self._journal.withdraw(pending.number)

    def _settled(self, pending: PendingRewrite, what: str) -> None:
        if self._journal is not None and pending.number is not None and what != "unchanged":
            self._journal.done(pending.number)
        with self._lock:
            self.counts[what] += 1
            self.counts["created"] += what == "changed" and pending.change.before is None

    def _leave(self, pending: PendingRewrite, why: str, *, sure: bool = True) -> None:
        if sure:
            self._withdraw(pending)
        with self._lock:
            self.left.append(LeftAlone(pending.change.key, why))
