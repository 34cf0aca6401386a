"""What the vault's screen knows of its tables: so many are looked at for each reader, and the last look at each one is kept.

A look at a table takes about eight requests. So a vault of hundreds of tables becomes known in steps, and after that each reading
looks anew at the tables that were looked at longest ago.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from backstream.apps.web.group_lines import TableLine
from backstream.model import moment

AT_ONCE = 50  # tables that are looked at for a reader
LOOKING = 20.0  # seconds after which no further look begins: what a reader waits for must end
READING = 60.0  # seconds that a reading takes at most; a look of later than that from now is of a clock that was put back since
STALE = 900  # seconds from which on an old look is a problem of its own: nobody knows what has happened to the table since
NAMES_HOLD = 60  # seconds in which the list of very many tables is not made anew: it takes a request for each


class TableLook(msgspec.Struct, frozen=True):
    """The last look at a table. `line`: what was found; `at`: when, in seconds since 1970."""

    line: TableLine
    at: float


class TableLooks:
    """The last look at each table of the vault. It holds nothing of tables that the vault no longer lists. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, TableLook] = {}
        self._names: tuple[float, list[str]] = 0.0, []

    def names(self, listing: Callable[[], list[str]], now: float) -> list[str]:
        """Returns the names of the vault's tables. If they are more than can be looked at together, they may be a minute old."""
        with self._lock:
            listed, names = self._names
        if len(names) <= AT_ONCE or not listed <= now < listed + NAMES_HOLD:
            names = listing()
            with self._lock:
                self._names = now, names
                self._known = {name: each for name, each in self._known.items() if name in set(names)}
        return names

    def due(self, names: Sequence[str], now: float) -> list[str]:
        """Returns those to look at now: those that nobody has looked at, then those that were looked at longest ago."""
        with self._lock:
            self._known = {name: each for name, each in self._known.items() if each.at <= now + READING}
            ages = {name: each.at for name, each in self._known.items()}
        return sorted(names, key=lambda name: (name in ages, ages.get(name, 0.0), name))[:AT_ONCE]

    def keep(self, line: TableLine, now: float) -> None:
        """Keeps what was found of a table by a reader who came at `now`, unless a later one has looked meanwhile."""
        with self._lock:
            before = self._known.get(line.name)
            if before is None or before.at <= now:
                self._known[line.name] = TableLook(line, now)

    def known(self, names: Sequence[str], now: float) -> list[TableLook]:
        """Returns the last looks at these tables, the worst table first. One that is old by `now` has that for a problem."""
        with self._lock:
            found = [self._known[name] for name in names if name in self._known]
        return sorted((_aged(each, now) for each in found), key=lambda each: each.line.order)


def _aged(look: TableLook, now: float) -> TableLook:
    if now - look.at <= STALE:
        return look
    old = f"nobody has looked at it since {moment.iso(int(look.at))}"
    return TableLook(msgspec.structs.replace(look.line, problems=[old, *look.line.problems]), look.at)
