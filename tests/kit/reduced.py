"""Every order of requests that can make a difference, and no other: dynamic partial-order reduction over `kit.stepping`.

Two turns of different actors commute where neither writes what the other one reads, and not both write. Orders that differ only in
turns that commute are one: every actor is told the same in each, and the store holds the same after each write. So one of them is
played. All writes count as dependent on each other: every order of them is played, and the store comes to every state that it can.

The rule: Abdulla, Aronis, Jonsson, Sagonas, Optimal dynamic partial order reduction (2014), source sets and sleep sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kit.stepping import Play, Request

WRITES = ("put", "delete")
LISTINGS = ("list", "versions")
Turn = Sequence[Request]


def dependent(one: Turn, other: Turn) -> bool:
    """Whether two turns may do something else in the other order."""
    if any(what in WRITES for what, _ in one) and any(what in WRITES for what, _ in other):
        return True
    return _writes_what_is_read(one, other) or _writes_what_is_read(other, one)


def _writes_what_is_read(writer: Turn, reader: Turn) -> bool:
    written = [name for what, name in writer if what in WRITES]
    return bool(written) and any(_sees(what, read, name) for what, read in reader for name in written)


def _sees(what: str, read: str, name: str) -> bool:
    """A version that was asked for by its id never changes."""
    return name.startswith(read) if what in LISTINGS else name == read and not what.endswith(" version")


class _Node(msgspec.Struct):
    """A place on the way: `able`: who can move there; `wanted`: who has to be tried there; `done`: who was, and what they did.

    `asleep`: whose turn there was played from an earlier place, and does the same still; `chosen`: who moves now.
    """

    able: Sequence[str]
    asleep: Mapping[str, Turn]
    wanted: set[str]
    done: dict[str, Turn]
    chosen: str = ""

    @property
    def next(self) -> str | None:
        """Who is to be tried next."""
        return next((each for each in self.able if each in self.wanted and each not in self.done and each not in self.asleep), None)


def every_order(make: Callable[[], Play], check: Callable[[Play], None], most: int) -> tuple[int, bool]:
    """Play every order that can make a difference: how many plays that took, and whether `most` were enough.

    `check` is called before each turn, and at the end of each play.
    """
    path: list[_Node] = []
    for plays in range(1, most + 1):
        _play(make(), path, check)
        while path and path[-1].next is None:
            path.pop()
        if not path:
            return plays, True
    return most, False


def _play(play: Play, path: list[_Node], check: Callable[[Play], None]) -> None:
    """Play what was begun as far as the path goes, the last of it with who is to be tried next; then on to an end."""
    begun = len(path) - 1

    def choose(able: Sequence[str]) -> str | None:
        place = len(play.played)
        if place > begun:
            check(play)
        if place >= len(path):
            path.append(_Node(tuple(able), _still_asleep(path, play.turns), set(), {}))
        node = path[place]
        if place == begun:
            node.chosen = node.next or ""
        elif place > begun:
            node.chosen = next((each for each in able if each not in node.asleep), "")
            node.wanted.add(node.chosen)
        if place and place - 1 >= begun:
            _note(path, place - 1, play)
        return node.chosen or None

    play.run(choose)
    if play.played and len(play.played) > max(begun, 0):
        _note(path, len(play.played) - 1, play)
    if not play.broken_off:
        check(play)
    for later in range(len(play.turns)):
        _want(path, play, later)


def _note(path: Sequence[_Node], place: int, play: Play) -> None:
    path[place].done[path[place].chosen] = tuple(play.turns[place])


def _still_asleep(path: Sequence[_Node], turns: Sequence[Turn]) -> dict[str, Turn]:
    """At a new place: who was asleep at the one before, or tried there already, and is independent of what was done since."""
    if not path:
        return {}
    before = path[-1]
    tried = {**before.asleep, **{name: turn for name, turn in before.done.items() if name != before.chosen}}
    return {name: turn for name, turn in tried.items() if name != before.chosen and not dependent(turn, turns[len(path) - 1])}


def _want(path: Sequence[_Node], play: Play, later: int) -> None:
    """For each turn that this one follows directly, by another actor: what has to be tried there so that this one comes first."""
    for earlier in reversed(range(later)):
        if play.played[earlier] == play.played[later] or not dependent(play.turns[earlier], play.turns[later]):
            continue
        after = _after(play, earlier, later)
        if any(_follows(play, place, later) for place in after):
            continue  # something comes between for a reason
        first = _first([*(place for place in range(earlier + 1, later) if place not in after), later], play)
        if not first & path[earlier].wanted:
            path[earlier].wanted.add(min(first - path[earlier].asleep.keys(), default=min(first)))


def _after(play: Play, earlier: int, later: int) -> set[int]:
    """The turns between two that come after the first one for a reason."""
    after = {earlier}
    for place in range(earlier + 1, later):
        if any(_follows(play, each, place) for each in after):
            after.add(place)
    return after - {earlier}


def _follows(play: Play, one: int, other: int) -> bool:
    """Whether a later turn may not come before an earlier one."""
    return play.played[one] == play.played[other] or dependent(play.turns[one], play.turns[other])


def _first(places: Sequence[int], play: Play) -> set[str]:
    """Whose turn may be the first of these."""
    found = (place for number, place in enumerate(places) if not any(_follows(play, each, place) for each in places[:number]))
    return {play.played[place] for place in found}
