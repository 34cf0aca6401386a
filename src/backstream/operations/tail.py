"""`tail`: follows a table's stream into the vault. Safe to stop, kill and repeat at any instant: the log says where to go on.

A stream is a tree of shards; a child is read only after its parent has been read to its end and is durable, so one item's changes
come in order. What was killed between is read again from the last durable segment on, and written again to no effect.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from backstream.errors import Unavailable
from backstream.model import moment
from backstream.operations.kinesis_shards import KinesisFollower
from backstream.operations.shards import Follower, Parts, Reached
from backstream.ports import Shard, StreamFacts

PATIENCE = 5  # turns of one shard in a row that may fail before `until_caught_up` gives up
STEP = 0.05  # seconds the loop waits at most before it looks at the stop signal again
SHARDS = "the list of shards"

AnyFollower = Follower | KinesisFollower
NewFollower = Callable[[Parts, Shard, Reached | None, int | None], AnyFollower]


class TailReport(msgspec.Struct, frozen=True):
    """What a tail did.

    `gaps`: how many it had to record; `durable`: the second up to which all changes are in the vault; `caught_up`: it had read
    all there was; `ended`: the stream is closed and has been read to its end, there will never be more.
    """

    table: str
    captured: int
    gaps: int
    durable: int | None
    caught_up: bool
    ended: bool


class Tail:
    """Follows one stream with all its shards until it is told to stop, or has caught up."""

    def __init__(
        self,
        table: str,
        parts: Parts,
        reached: Mapping[str, Reached],
        stop: threading.Event,
        new_follower: NewFollower = Follower,
    ) -> None:
        self._table = table
        self._parts = parts
        self._reached = reached
        self._new_follower = new_follower
        self._stop = stop
        self._followers: dict[str, AnyFollower] = {}
        self._done: dict[str, AnyFollower] = {}  # finished, but no child of it has been listed yet
        self._done_at: dict[str, float] = {}
        self._finished: set[str] = set()
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._caught: set[str] = set()  # who had caught up when its last turn ended: during a turn there is no telling
        self._running: dict[Future[bool], str] = {}
        self._captured = 0
        self._gaps = 0
        self._look_at = float("-inf")
        self._stale = True
        self._open = True
        self._marked: int | None = None
        self._marked_at = float("-inf")
        self._captured_at_mark = 0
        self._looked_around_at = float("-inf")

    def run(self, *, until_caught_up: bool) -> TailReport:
        """Follow the stream until told to stop, until it ends, or until there is nothing left to read.

        Raises what reading and writing raise, where trying again cannot help. What was not made durable by then is not
        acknowledged either: the next run reads it again.
        """
        caught_up = ended = False
        with ThreadPoolExecutor(self._parts.settings.readers, thread_name_prefix="shard") as readers:
            while not (self._stop.is_set() or caught_up or ended):
                self._look_at_stream(until_caught_up=until_caught_up)
                self._start_turns(readers, hurry=until_caught_up)
                self._collect(until_caught_up=until_caught_up)
                self._mark(closing=False)
                self._look_around()
                caught_up = until_caught_up and self._caught_up()
                ended = self._ended
            self._await_turns(until_caught_up=until_caught_up)
        for follower in self._followers.values():
            follower.flush()
        self._mark(closing=True)
        self._count()
        return TailReport(self._table, self._captured, self._gaps, self._frontier(), caught_up or ended, ended)

    @property
    def _ended(self) -> bool:
        """The stream is closed, and all of it has been read."""
        return not (self._open or self._followers or self._stale)

    # --- the tree of shards ---

    def _look_at_stream(self, *, until_caught_up: bool) -> None:
        """Find new shards: at the start, when one has come to its end, and now and then, since shards may split at any time."""
        now, settings = self._parts.clock.now(), self._parts.settings
        if now < self._look_at:
            return
        try:
            facts = self._parts.stream.facts()
        except Unavailable as error:
            self._look_at = self._later(SHARDS, error, give_up=until_caught_up)
            return
        self._failures[SHARDS] = 0
        self._stale, self._open = False, facts.enabled
        self._look_at = now + settings.topology_every
        self._start_followers(facts.shards)
        self._let_go(facts)
        if self._stale or self._orphaned():
            self._look_at = now + settings.poll

    def _start_followers(self, shards: Sequence[Shard]) -> None:
        listed = {shard.id for shard in shards}
        for shard in shards:
            if shard.id in self._followers or shard.id in self._finished:
                continue
            if shard.parent in listed and shard.parent not in self._finished:
                continue  # its parent comes first
            self._start_follower(shard)

    def _let_go(self, facts: StreamFacts) -> None:
        """Forget the finished shards whose children are listed: those are followed now, and bound the frontier themselves.

        The list lags behind the shards. Until a shard's children show, nobody reads what they hold: nothing later may be claimed.
        """
        parents = {shard.parent for shard in facts.shards}
        patience = self._parts.settings.children_wait
        for shard in list(self._done):
            waited = self._parts.clock.now() - self._done_at[shard]
            if shard in parents:
                del self._done[shard]
            elif facts.enabled and waited >= patience:
                self._parts.notice(
                    f"{shard} has ended, and no shard that follows it was listed in {waited:.0f} s: going on without"
                )
                del self._done[shard]

    def _orphaned(self) -> bool:
        """Whether children of a finished shard are still to be listed."""
        return self._open and bool(self._done)

    def _start_follower(self, shard: Shard) -> None:
        before = self._reached.get(shard.id)
        parent = self._done.get(shard.parent or "")
        claim = before.claim if before else (parent.claim if parent else None)
        follower = self._new_follower(self._parts, shard, before, claim)
        if follower.finished:
            self._finish(follower)  # an earlier run read all of it
            return
        self._followers[shard.id] = follower
        self._due[shard.id] = 0.0

    # --- turns ---

    def _start_turns(self, readers: ThreadPoolExecutor, *, hurry: bool) -> None:
        now = self._parts.clock.now()
        busy = set(self._running.values())
        for shard, due in self._due.items():
            if due <= now and shard not in busy:
                self._running[readers.submit(self._followers[shard].turn, hurry=hurry)] = shard

    def _collect(self, *, until_caught_up: bool) -> None:
        if not self._running:
            self._parts.clock.sleep(STEP)
            return
        done, _ = wait(self._running, timeout=STEP, return_when=FIRST_COMPLETED)
        self._take_in(done, until_caught_up=until_caught_up)

    def _await_turns(self, *, until_caught_up: bool) -> None:
        done, _ = wait(self._running)
        self._take_in(done, until_caught_up=until_caught_up)

    def _take_in(self, done: Iterable[Future[bool]], *, until_caught_up: bool) -> None:
        for future in done:
            shard = self._running.pop(future)
            follower = self._followers[shard]
            try:
                more = future.result()
            except Unavailable as error:
                self._due[shard] = self._later(shard, error, give_up=until_caught_up)
                continue
            self._failures[shard] = 0
            if follower.caught_up:
                self._caught.add(shard)
            self._due[shard] = 0.0 if more else self._parts.clock.now() + self._parts.settings.poll
            if follower.finished:
                self._retire(shard)

    def _later(self, what: str, error: Unavailable, *, give_up: bool) -> float:
        """When to try again what failed: later and later, as long as it fails."""
        failures = self._failures[what] = self._failures.get(what, 0) + 1
        if give_up and failures >= PATIENCE:
            raise error
        delay = min(30.0, self._parts.settings.poll * 2.0**failures)
        self._parts.notice(f"{what}: {error.message}; trying again in {delay:.0f} s")
        return self._parts.clock.now() + delay

    def _retire(self, shard: str) -> None:
        follower = self._followers.pop(shard)
        del self._due[shard]
        self._captured += follower.captured
        self._gaps += follower.gaps
        self._finish(follower)

    def _finish(self, follower: AnyFollower) -> None:
        shard = follower.shard.id
        self._finished.add(shard)
        self._done[shard], self._done_at[shard] = follower, self._parts.clock.now()
        self._stale, self._look_at = True, self._done_at[shard]

    def _caught_up(self) -> bool:
        if self._stale or self._orphaned():
            return False
        if not self._followers and self._open:
            return False  # a stream that is open has an open shard: it is still to be found
        return self._followers.keys() <= self._caught

    def _count(self) -> None:
        self._captured += sum(follower.captured for follower in self._followers.values())
        self._gaps += sum(follower.gaps for follower in self._followers.values())

    # --- what may be claimed ---

    def _frontier(self) -> int | None:
        """The second up to which every shard is durable; shards whose parents are still being read are bounded by those.

        A stream is closed as a whole: one that has been read to its end holds all changes made before the last one in any shard.
        """
        claims = [follower.claim for follower in (*self._followers.values(), *self._done.values())]
        known = [claim for claim in claims if claim is not None]
        if self._ended:
            return max(known, default=None)
        return min(known) if known and len(known) == len(claims) else None

    def _mark(self, *, closing: bool) -> None:
        frontier, settings, now = self._frontier(), self._parts.settings, self._parts.clock.now()
        if frontier is None or (frontier == self._marked and not closing):
            return
        captured = self._captured + sum(follower.captured for follower in self._followers.values())
        wait_for = settings.mark_busy if captured != self._captured_at_mark else settings.mark_idle
        if self._marked is not None and now - self._marked_at < wait_for and not closing:
            return
        try:
            self._parts.keeper.mark(frontier, closing=closing)
        except Unavailable as error:
            self._parts.notice(f"the mark of {moment.iso(frontier)} was not written: {error.message}")
            self._marked_at = now  # a mark only says more of what is durable anyway; the next one says it too
            return
        self._marked, self._marked_at, self._captured_at_mark = frontier, now, captured

    # --- others ---

    def _look_around(self) -> None:
        now = self._parts.clock.now()
        if now - self._looked_around_at < self._parts.settings.neighbours_every:
            return
        self._looked_around_at = now
        try:
            self._parts.keeper.look_around()
        except Unavailable as error:
            self._parts.notice(f"whether another tail is at work cannot be seen for now: {error.message}")
