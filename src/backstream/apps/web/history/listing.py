"""A page of changes: read from a cursor on, in windows that grow, and no further than the page needs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.apps.web.background.stopping import StopToken
from backstream.apps.web.history.timeline import Counted, until_of
from backstream.engine.local.memory import Memory
from backstream.errors import UsageError
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext, ChangeWindow, SeenChange
from backstream.operations.changes.sorting import Rank, rank
from backstream.operations.inspect.actors import ActorClaim
from backstream.ports import Clock
from backstream.vault.table_vault import TableVault

SIZE = 50
GROWTH = 6  # each piece of the window has so many times as many changes as the one before
PATIENCE = 5.0  # seconds after which what was found so far is shown
_CURSOR = msgspec.json.Decoder(tuple[int, str, str, str])


class Listed(msgspec.Struct, frozen=True):
    """One change, and its actor."""

    seen: SeenChange
    by: ActorClaim | None


class ChangePage(msgspec.Struct, frozen=True):
    """Some changes. `after`: the cursor behind the last of them, empty if the page is not full; `notes`: the uncertainties.

    `searched`: the second that the search reached, if the page is not full and there is more.
    """

    changes: list[Listed]
    after: str
    searched: int | None
    notes: list[str]


def cursor_of(seen: SeenChange) -> str:
    """Returns the place of a change in the list."""
    entry = seen.entry
    return msgspec.json.encode((entry.micros, entry.stream, entry.sequence, entry.keys.decode())).decode()


def _rank(cursor: str) -> Rank | None:
    if not cursor:
        return None
    try:
        micros, stream, sequence, keys = _CURSOR.decode(cursor)
        return micros, stream, int(sequence), keys.encode()
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError("this address names no place in the list") from error


def page(
    vault: TableVault,
    span: ChangeWindow,
    criteria: ChangeCriteria,
    cursor: str,
    counted: Sequence[Counted],
    clock: Clock,
    token: StopToken,
    memory: Memory,
) -> ChangePage:
    """Returns the changes after a cursor."""
    return _PageReader(vault, span, criteria, _rank(cursor), counted, ChangesContext(clock, memory), token).page()


class _PageReader:
    def __init__(
        self,
        vault: TableVault,
        span: ChangeWindow,
        criteria: ChangeCriteria,
        after: Rank | None,
        counted: Sequence[Counted],
        around: ChangesContext,
        token: StopToken,
    ) -> None:
        self._vault = vault
        self._span = span
        self._criteria = criteria
        self._after = after
        self._counted = counted
        self._around = around
        self._token = token
        self._found: list[Listed] = []
        self._notes: list[str] = []

    def page(self) -> ChangePage:
        begin, wanted = self._span.since, SIZE * 2
        if self._after is not None:
            begin = max(begin, self._after[0] // 1_000_000 - 1)
        give_up = self._around.clock.now() + PATIENCE
        while begin < self._span.until and len(self._found) <= SIZE:
            # For named items only a few frames are read, however long the window is.
            end = self._span.until if self._criteria.keys else until_of(self._counted, begin, self._span.until, wanted)
            end = max(end, begin + 1)
            self._piece(ChangeWindow(begin, end))
            begin, wanted = end, wanted * GROWTH
            if self._around.clock.now() > give_up:
                break
        full = len(self._found) > SIZE
        shown = self._found[:SIZE]
        searched = begin if not full and begin < self._span.until else None
        return ChangePage(shown, cursor_of(shown[-1].seen) if full else "", searched, list(dict.fromkeys(self._notes)))

    def _piece(self, window: ChangeWindow) -> None:
        changes = Changes(self._vault, window, self._criteria, self._around, allow_gap=True)
        self._notes += changes.certainty.notes
        for seen in changes.known():  # none of this piece may match; the next one may
            self._token.check()
            if self._after is None or rank(seen.entry) > self._after:
                self._found.append(Listed(seen, changes.actors.first(seen)))
                if len(self._found) > SIZE:
                    break
        self._notes += [f"not read: {each}" for each in changes.warnings]
