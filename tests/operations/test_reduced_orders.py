"""The reduction of `kit.reduced` loses nothing: it comes to all that playing every order comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstream.errors import AlreadyExists, MissingObject
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from kit.clock import ManualClock
from kit.reduced import every_order
from kit.stepping import Play, contents, copy_of, every_schedule

NAMES = ("a/1", "a/2", "b/1")
Program = Sequence[tuple[str, str]]
REQUESTS = st.tuples(st.sampled_from(["put", "create", "delete", "get", "list"]), st.sampled_from(NAMES))
PROGRAMS = st.lists(st.lists(REQUESTS, min_size=1, max_size=3), min_size=2, max_size=3)


def actor(program: Program, number: int) -> Callable[[ObjectStore], object]:
    """What it is told, and what it writes, which depends on that."""

    def act(store: ObjectStore) -> object:
        told: list[object] = []
        for what, name in program:
            body = f"{number} {told}".encode()
            if what == "list":
                told.append([each.name for each in store.list(name[:2])])
            elif what == "delete":
                store.delete(name)
            else:
                told.append(asked(store, what, name, body))
        return told

    return act


def asked(store: ObjectStore, what: str, name: str, body: bytes) -> object:
    try:
        if what == "get":
            return store.get(name).body
        store.put(name, body, if_absent=what == "create")
    except (AlreadyExists, MissingObject) as error:
        return type(error).__name__
    return None


@settings(max_examples=12, deadline=None)
@given(programs=PROGRAMS)
@example([[("get", "a/1")], [("get", "a/2"), ("put", "a/1")], [("put", "a/1"), ("put", "a/2")]])
def test_every_state_and_every_outcome_is_come_to(programs: Sequence[Program]) -> None:
    clock = ManualClock()
    start = MemoryStore(clock)
    start.put(NAMES[0], b"there")

    def make() -> Play:
        return Play(copy_of(start, clock), {str(number): actor(each, number) for number, each in enumerate(programs)})

    def collecting(found: set[object]) -> Callable[[Play], None]:
        def note(play: Play) -> None:
            found.add(contents(play.store))
            if play.ended:
                found.add(repr(play.outcomes))

        return note

    reduced, whole = set[object](), set[object]()
    plays, all_of_them = every_order(make, collecting(reduced), 10_000)
    _, every_one = every_schedule(make, collecting(whole), 100_000)
    assert (all_of_them, every_one) == (True, True)
    assert reduced == whole, plays
