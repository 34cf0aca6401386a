"""Holds what is needed of one item's changes: the selected ones, up to a limit, and the states before and after the window."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model.values.object_limits import UNDOING
from backstream.operations.changes.items import ItemPiece
from backstream.operations.changes.reading import OVERHEAD
from backstream.operations.changes.seen import BROKEN, SeenChange


class ItemChanges(msgspec.Struct, frozen=True):
    """The selected changes of one item in a window, and its first and its last one; the oldest first. `chosen`: which are selected.

    If all changes of the item are selected, only the first and the last one are there; otherwise at least one that is not selected.
    `selected`: the number of selected ones; `doubt`: the reason why a state of the item is not known, empty if all are; `scanned`:
    True if a read of the table found one of all changes; `too_many`: True if only some selected ones are there, for all would fill
    the memory.
    """

    key: bytes
    changes: Sequence[SeenChange]
    chosen: Sequence[bool]
    selected: int
    doubt: str = ""
    scanned: bool = False
    too_many: bool = False

    @property
    def before(self) -> bytes | None:
        """The item's image before the window."""
        return self.changes[0].old

    @property
    def after(self) -> bytes | None:
        """The item's image after the window."""
        return self.changes[-1].new


_Placed = tuple[int, SeenChange, bool]  # its number among the item's changes, and whether it is selected


class Gathered:
    """Takes the changes of one item, the oldest first, and holds those that `ItemChanges` has. `most`: bytes of them."""

    def __init__(self, most: int = UNDOING) -> None:
        self._most = most
        self._count = self._held = 0
        self._held_changes: list[_Placed] = []
        self._others: dict[str, _Placed] = {}  # the first and the last one, the last that is selected and one that is not
        self._doubt = ""
        self.selected = 0

    def add(self, seen: SeenChange, *, chosen: bool) -> None:
        """Adds one change."""
        placed = (self._count, seen, chosen)
        self._count += 1
        self._doubt = self._doubt or seen.doubt
        self._others.setdefault("first", placed)
        self._others["last"] = self._others["chosen" if chosen else "unchosen"] = placed
        if chosen:
            self.selected += 1
            self._hold(placed)

    def _hold(self, placed: _Placed) -> None:
        seen = placed[1]
        self._held += OVERHEAD + len(seen.old or b"") + len(seen.new or b"")
        if self._held > self._most:
            self._held_changes = []
        else:
            self._held_changes.append(placed)

    def item(self, piece: ItemPiece, *, selected: int) -> ItemChanges:
        """Returns what is held. `piece`: the item's last one."""
        whole = self.selected == self._count
        ends = self._others["first"], self._others["last"]
        wanted = {each[0]: each for each in (ends if whole else (*self._held_changes, *self._others.values()))}
        placed = [wanted[number] for number in sorted(wanted)]
        return ItemChanges(
            piece.key,
            [seen for _, seen, _ in placed],
            [chosen for _, _, chosen in placed],
            selected,
            self._doubt or (BROKEN if piece.broken else ""),
            piece.scanned,
            too_many=not whole and self._held > self._most,
        )
