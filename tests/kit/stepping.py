"""Several actors on one store, stepped one request at a time: any order of their requests can be played, or all of them.

An actor is a function of a store. Its requests wait until the schedule lets the next one through, and of all actors only one moves
at a time. Each keeps to one thread (see `Inline`), so the same choices give the same run.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from backstream.ports import Clock, Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one
from backstream.stores.memory import MemoryStore

PATIENCE = 240.0
Answer = TypeVar("Answer")
Actors = Mapping[str, Callable[[ObjectStore], object]]
Request = tuple[str, str]  # a store's method, and the name or prefix that it is about
Step = Callable[[str, str], bool]  # of a request, by its method and the name or prefix that it is about: does it wait for its turn?
Choose = Callable[[Sequence[str]], str | None]  # of the actors that can move, which one is to; None: stop here


class Inline(Executor):
    """A thread pool without threads: work is done where it is given."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as a pool does
            future.set_exception(error)
        return future


class _Stopped(BaseException):
    """The schedule was broken off: unwind."""


class SteppedStore:
    """One actor's way to the store: `turn` returns when a request may go through, `asked` is told of it, `seen` what came of it.

    Requests that are no `step` go through at once.
    """

    def __init__(
        self,
        inner: ObjectStore,
        step: Step,
        turn: Callable[[], None],
        seen: Callable[[object], None],
        asked: Callable[[Request], None] = lambda _: None,
    ) -> None:
        self._asked = asked
        self._inner = inner
        self._is_step = step
        self._turn = turn
        self._seen = seen

    def _step(self, what: str, name: str, ask: Callable[[], Answer], show: Callable[[Answer], object]) -> Answer:
        if self._is_step(what, name):
            self._turn()
        self._asked((what, name))
        try:
            answer = ask()
        except Exception as error:
            self._seen(repr(type(error)))
            raise
        self._seen(show(answer))
        return answer

    @property
    def url(self) -> str:
        return self._inner.url

    def check(self) -> None:
        self._inner.check()

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        def ask() -> str:
            return self._inner.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

        return self._step("put", name, ask, lambda _: name)

    def delete(self, name: str) -> str:
        return self._step("delete", name, lambda: self._inner.delete(name), lambda _: name)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return self._step(_of("get", version), name, lambda: self._inner.get(name, version), lambda found: found.body)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._step("get_range", name, lambda: self._inner.get_range(name, start, length), lambda found: found)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._step(_of("head", version), name, lambda: self._inner.head(name, version), lambda found: found.size)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        yield from self._step(
            "list", prefix, lambda: [*self._inner.list(prefix, after=after)], lambda rows: [each.name for each in rows]
        )

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        yield from self._step("versions", prefix, lambda: [*self._inner.versions(prefix, after=after)], _rows)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        yield from self._step("versions_of", name, lambda: [*self._inner.versions_of(name)], _rows)


def _of(what: str, version: str | None) -> str:
    """A version never changes, so it is all the same when it is asked for."""
    return what if version is None else f"{what} version"


def _rows(rows: Iterable[ObjectVersion]) -> list[tuple[str, bool, int]]:
    return [(each.name, each.marker, each.size) for each in rows]


class _Actor:
    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting = 0
        self.allowed = 0
        self.done = False
        self.outcome: object = None
        self.error: BaseException | None = None
        self.seen = hashlib.sha256()
        self.thread = 0


class Play:
    """One run on `store`. `played`: who moved, in order; `turns`: what each asked then; `outcome`: what each returned or raised."""

    def __init__(self, store: MemoryStore, actors: Actors, step: Step = lambda _what, _name: True) -> None:
        self._is_step = step
        self._changed = threading.Condition()
        self._stopped = False
        self.store = store
        self._actors = {name: _Actor(name) for name in actors}
        self._bodies = actors
        self.played: list[str] = []
        self.turns: list[list[Request]] = []
        self.broken_off = False

    def run(self, choose: Choose) -> Mapping[str, object]:
        """Let them move as `choose` says, until all are done, or it says None: then nothing more goes through."""
        threads = [threading.Thread(target=self._act, args=(each,), daemon=True) for each in self._actors.values()]
        for actor, thread in zip(self._actors.values(), threads, strict=True):
            thread.start()
            self._wait_for(actor)
        try:
            while able := [each.name for each in self._actors.values() if not each.done]:
                chosen = choose(able)
                if chosen is None:
                    self.broken_off = True
                    break
                self.played.append(chosen)
                self.turns.append([])
                self._let(self._actors[chosen])
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in threads:
                thread.join(PATIENCE)
        return self.outcomes

    @property
    def ended(self) -> bool:
        """Whether all are done."""
        return all(each.done for each in self._actors.values())

    @property
    def outcomes(self) -> Mapping[str, object]:
        """What each has returned or raised so far."""
        return {each.name: each.outcome for each in self._actors.values()}

    def signature(self) -> bytes:
        """What is to come depends on this alone: what the store holds, and what each actor has been told so far."""
        told = [each.seen.copy().digest() + bytes([each.done]) for each in self._actors.values()]
        return hashlib.sha256(contents(self.store) + b"".join(told)).digest()

    def _act(self, actor: _Actor) -> None:
        def seen(answer: object) -> None:
            actor.seen.update(repr(answer).encode())

        def asked(request: Request) -> None:
            if self.turns:
                self.turns[-1].append(request)

        actor.thread = threading.get_ident()
        store = SteppedStore(self.store, self._is_step, lambda: self._turn(actor), seen, asked)
        try:
            actor.outcome = self._bodies[actor.name](store)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            actor.outcome = error
        with self._changed:
            actor.done = True
            self._changed.notify_all()

    def _turn(self, actor: _Actor) -> None:
        assert threading.get_ident() == actor.thread, "an actor has a pool of threads: make it `Inline`"
        with self._changed:
            actor.waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: actor.allowed or self._stopped)
            if self._stopped:
                raise _Stopped
            actor.allowed -= 1
            actor.waiting -= 1

    def _let(self, actor: _Actor) -> None:
        with self._changed:
            actor.allowed += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not actor.allowed, PATIENCE)
        self._wait_for(actor)

    def _wait_for(self, actor: _Actor) -> None:
        """Until it asks for its next request, or is done."""
        with self._changed:
            assert self._changed.wait_for(lambda: actor.waiting or actor.done, PATIENCE), f"{actor.name} neither asks nor ends"


def copy_of(store: MemoryStore, clock: Clock) -> MemoryStore:
    """Another store that holds the same."""
    copied = MemoryStore(clock)
    copied._versions = {name: list(there) for name, there in store._versions.items()}
    copied._numbers = itertools.count(next(store._numbers) + 1)
    return copied


def contents(store: MemoryStore) -> bytes:
    """All versions' bodies and markers, whatever their ids."""
    found = hashlib.sha256()
    for row in store.versions(""):
        body = b"marker" if row.marker else store.get(row.name, row.version).body
        found.update(row.name.encode() + b"\0" + hashlib.sha256(body).digest())
    return found.digest()


def every_schedule(make: Callable[[], Play], check: Callable[[Play], None], most: int) -> tuple[int, bool]:
    """Play every order of requests, each situation once: how many there were, and whether that is all of them.

    Two orders that lead to the same situation (see `Play.signature`) go on alike, so one of them is gone on with. `check` is called
    in every situation.
    """
    known: set[bytes] = set()
    waiting: list[tuple[str, ...]] = [()]
    while waiting and len(known) < most:
        _follow(make(), waiting.pop(), waiting, known, check)
    return len(known), not waiting


def _follow(
    play: Play, begun: Sequence[str], waiting: list[tuple[str, ...]], known: set[bytes], check: Callable[[Play], None]
) -> None:
    """Play what was begun, and then on until a situation comes that is known."""

    def choose(able: Sequence[str]) -> str | None:
        if len(play.played) < len(begun):
            return begun[len(play.played)]
        signature = play.signature()
        if signature in known:
            return None
        known.add(signature)
        check(play)
        waiting.extend((*play.played, other) for other in able[1:])
        return able[0]

    play.run(choose)
    if play.ended and not play.broken_off:
        check(play)
