"""`tail`: follows a table's stream into the vault. It is safe to stop, kill and repeat: the log holds the position to go on from.

A stream is a tree of shards; a child is read only after its parent has been read to its end and is durable. So one item's changes
come in order. After a kill, records are read again from the last durable segment on, and written again without effect.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from backstream.errors import Throttled, Unavailable
from backstream.model import moment
from backstream.operations.capture.children import all_listed
from backstream.operations.capture.kinesis_shards import KinesisFollower
from backstream.operations.capture.shards import SETTLING, Follower, FollowerContext, ShardPosition, threads
from backstream.ports import Shard, StreamFacts
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.positions import Position, Positions

PATIENCE = 5  # turns of one shard in a row that may fail before `until_caught_up` gives up
SHARDS = "the list of shards"

AnyFollower = Follower | KinesisFollower
NewFollower = Callable[[FollowerContext, Shard, ShardPosition | None, int | None], AnyFollower]


class TailReport(msgspec.Struct, frozen=True):
    """The result of a tail.

    `gaps`: the number of recorded gaps; `durable`: the second up to which all changes are in the vault; `caught_up`: True if it had
    read everything; `ended`: True if the stream is closed and has been read to its end. `childless`: closed shards without listed
    children: nothing later than their end is claimed. `throttled`: how often it asked to slow down. `forgotten`: the number of
    changes of items that were erased with `--forget-future`.
    """

    table: str
    captured: int
    gaps: int
    durable: int | None
    caught_up: bool
    ended: bool
    childless: Sequence[str] = ()
    throttled: int = 0
    forgotten: int = 0


class Tail:
    """Follows one stream with all its shards until it is told to stop, has caught up, or has no time left.

    `base`: the second up to which everything is in the vault or in a recorded gap, whatever the shards say. A reader with a base
    writes a mark at its end even without progress, so that the next one continues from there. None: nothing is claimed before it is
    read.
    """

    def __init__(
        self,
        table: str,
        parts: FollowerContext,
        reached: Mapping[str, ShardPosition],
        stop: threading.Event,
        new_follower: NewFollower = Follower,
        base: int | None = None,
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
        self._past: dict[str, Position] = {}  # finished and let go, as long as they are listed
        self._lacking: set[str] = set()  # the members of `_done` that certainly lack a child in the list
        self._unsure: set[str] = set()  # the members of `_done` with one listed child, which may have a sibling
        self._listed_at: dict[str, float] = {}  # when an only child was first seen in the list
        self._told: set[str] = set()  # shards whose missing child was already reported
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._caught: set[str] = set()  # who had caught up when its last turn ended: during a turn there is no telling
        self._running: dict[Future[bool], str] = {}
        self._captured = self._gaps = 0
        self._look_at = float("-inf")
        self._stale = self._open = True
        self._closed = parts.closed
        self._base = base
        self._marked = base
        self._marked_at = float("-inf") if base is None else parts.clock.now()
        self._throttled = 0
        self._captured_at_mark = 0
        self._looked_around_at = float("-inf")

    def run(self, *, until_caught_up: bool, deadline: float = float("inf")) -> TailReport:
        """Follows the stream until it is told to stop, until the stream ends, until there is nothing left to read, or until
        `deadline`.

        `deadline`: epoch seconds. A closed shard without a child in the list delays the end of `until_caught_up` by `children_wait`
        seconds; then the report names it.

        Raises the errors of reading and writing, if trying again cannot help. Records that are not durable by then are not
        acknowledged either: the next run reads them again.
        """
        try:
            caught_up, ended = self._follow(until_caught_up=until_caught_up, deadline=deadline)
        except Unavailable:
            if self._base is not None:
                self._mark(closing=True)  # what was read by then need not be read again
            raise
        for follower in self._followers.values():
            follower.flush()
        self._mark(closing=True)
        self._count()
        return TailReport(
            self._table,
            self._captured,
            self._gaps,
            self._frontier(),
            caught_up or ended,
            ended,
            sorted(self._lacking & self._done.keys()) if self._orphaned() else [],
            self._throttled,
        )

    def _follow(self, *, until_caught_up: bool, deadline: float) -> tuple[bool, bool]:
        """Returns whether there was nothing left to read, and whether the stream has ended."""
        caught_up = ended = False
        share = self._parts.share
        with threads(None if share is None else share.readers, self._parts.settings.readers, "shard") as readers:
            while not (self._stop.is_set() or caught_up or ended or self._parts.clock.now() >= deadline):
                self._look_at_stream(until_caught_up=until_caught_up)
                self._start_turns(readers, hurry=until_caught_up)
                self._collect(until_caught_up=until_caught_up)
                self._mark(closing=False)
                self._look_around()
                caught_up = until_caught_up and self._caught_up()
                ended = self._ended
                if until_caught_up and self._waits_in_vain():
                    break
            self._await_turns(until_caught_up=until_caught_up)
        return caught_up, ended

    @property
    def _ended(self) -> bool:
        """Returns whether the stream is closed, and all of it has been read."""
        return not (self._open or self._followers or self._stale or self._unsure)

    # --- the tree of shards ---

    def _look_at_stream(self, *, until_caught_up: bool) -> None:
        """Finds new shards: at the start, when one has come to its end, and now and then, since shards may split at any time."""
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
        if facts.enabled:
            self._parts.enabled.at = now
        self._closed = self._closed if facts.enabled else min(self._closed, now)
        self._look_at = now + settings.topology_every
        self._start_followers(facts.shards)
        self._let_go(facts)
        if self._stale or (self._open and self._lacking):
            self._look_at = now + settings.poll
        elif self._unsure:
            self._look_at = now + min(settings.topology_every, max(settings.poll, settings.sibling_wait / 4))

    def _start_followers(self, shards: Sequence[Shard]) -> None:
        listed = {shard.id for shard in shards}
        for shard in shards:
            if shard.id in self._followers or shard.id in self._finished:
                continue
            if any(parent in listed and parent not in self._finished for parent in shard.parents):
                continue  # its parents come first
            self._start_follower(shard)

    def _let_go(self, facts: StreamFacts) -> None:
        """Forgets the finished shards whose children are all listed: the children are followed now, and bound the frontier.

        The list lags behind the shards. Until all of a shard's children show, nobody reads their records, so nothing later may be
        claimed, however long that takes.
        """
        listed = {shard.id for shard in facts.shards}
        self._lacking.clear()
        self._unsure.clear()
        for shard in list(self._done):
            children = [each for each in facts.shards if shard in each.parents]
            complete = all_listed(self._done[shard].shard, children)
            if complete is None:
                complete = self._has_no_sibling(children[0], self._done[shard]) or None
            if complete and all(child.id in self._followers or child.id in self._finished for child in children):
                self._past[shard] = self._done.pop(shard).position
            elif complete is None:
                self._unsure.add(shard)
            elif not complete and facts.enabled:  # a child of two parents waits for the other one
                self._lacks(shard, children, is_listed=shard in listed)
        self._past = {shard: position for shard, position in self._past.items() if shard in listed}

    def _lacks(self, shard: str, children: Sequence[Shard], *, is_listed: bool) -> None:
        """Handles a finished shard that may lack listed children: nothing later than its end is claimed until all are listed."""
        if not children and not is_listed and self._is_forgotten(self._done[shard]):
            self._give_up_children(self._done.pop(shard))
            return
        self._lacking.add(shard)
        if self._waited_for(shard) and shard not in self._told:
            self._told.add(shard)
            claim = self._done[shard].claim
            which = "only a part of the shards that follow it" if children else "no shard that follows it"
            until = "nothing" if claim is None else f"nothing later than {moment.iso(claim)}"
            self._parts.notice(f"{shard} has ended, and {which} is listed: until it is, {until} is claimed")

    def _has_no_sibling(self, child: Shard, parent: AnyFollower) -> bool:
        """True if an only child has existed long enough for a sibling to be listed too, or if an earlier run has seen that."""
        before = self._reached.get(parent.shard.id)
        if before is not None and before.ended and before.claim < self._parts.known:
            return True  # it had ended by then, and a watermark has passed its end
        now = self._parts.clock.now()
        return now - self._there_since(child.id, parent.claim, now) >= self._parts.settings.sibling_wait

    def _there_since(self, child: str, ended: int | None, now: float) -> float:
        """Returns a time by which a shard existed: it was listed, it held a change, or it was read after its parent's end."""
        told = [self._listed_at.setdefault(child, now)]
        follower, before = self._followers.get(child) or self._done.get(child), self._reached.get(child)
        if follower is not None and follower.first is not None:
            told.append(follower.first + SETTLING)
        if before is not None and before.last:
            told.append(before.seconds + SETTLING)
        if before is not None and before.proven is not None and (ended is None or before.proven > ended):
            told.append(before.proven + before.late + SETTLING)
        return min(told)

    def _waited_for(self, shard: str) -> bool:
        """True if the children of a finished shard should have been listed by now."""
        return self._parts.clock.now() - self._done_at[shard] >= self._parts.settings.children_wait

    def _is_forgotten(self, follower: AnyFollower) -> bool:
        """True if the stream no longer holds anything that was made right after this shard's end."""
        return follower.claim is not None and follower.claim < self._parts.clock.now() - self._parts.retention

    def _give_up_children(self, follower: AnyFollower) -> None:
        """Gives up the unlisted children of a shard that is no longer listed: their changes are lost, unless somebody kept them."""
        since, until = follower.claim or 0, int(self._parts.clock.now()) - self._parts.retention
        reason = "no shard that follows one that ended was ever listed"
        shard = follower.shard.id
        self._parts.keeper.miss(Gap(reason=reason, since=since, until=until, stream=self._parts.label, shard=shard))
        self._gaps += 1
        self._parts.notice(f"GAP: changes of {moment.iso(since)} to {moment.iso(until)} are lost: {reason} ({shard})")

    def _orphaned(self) -> bool:
        """True if children of a finished shard are still to be listed, or may be."""
        return (self._open and bool(self._done)) or bool(self._unsure)

    def _start_follower(self, shard: Shard) -> None:
        before = self._reached.get(shard.id)
        claim = before.claim if before else self._claim_of_parents(shard)
        follower = self._new_follower(self._parts, shard, before, claim)
        if follower.finished:
            self._finish(follower)  # an earlier run read all of it
            return
        self._followers[shard.id] = follower
        self._due[shard.id] = 0.0

    def _claim_of_parents(self, shard: Shard) -> int | None:
        claims = [self._done[parent].claim for parent in shard.parents if parent in self._done]
        return min((claim for claim in claims if claim is not None), default=None) if None not in claims else None

    # --- turns ---

    def _start_turns(self, readers: ThreadPoolExecutor, *, hurry: bool) -> None:
        now = self._parts.clock.now()
        busy, share = set(self._running.values()), self._parts.share
        most = float("inf") if share is None else share.turns
        for shard, due in sorted(self._due.items(), key=lambda each: each[1]):  # whoever has waited longest comes first
            if due <= now and shard not in busy and len(self._running) < most:
                self._running[readers.submit(self._followers[shard].turn, hurry=hurry)] = shard

    def _collect(self, *, until_caught_up: bool) -> None:
        if not self._running:
            self._parts.clock.sleep(self._parts.settings.step)
            return
        done, _ = wait(self._running, timeout=self._parts.settings.step, return_when=FIRST_COMPLETED)
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
            self._due[shard] = self._parts.clock.now() + (0.0 if more else self._parts.settings.poll)
            if follower.finished:
                self._retire(shard)

    def _later(self, what: str, error: Unavailable, *, give_up: bool) -> float:
        """Returns when to retry: later and later, as long as it fails."""
        if isinstance(error, Throttled):
            self._throttled += 1
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

    def _waits_in_vain(self) -> bool:
        """True if everything has been read except closed shards' children, and those should have been listed by now."""
        read = not self._stale and self._followers.keys() <= self._caught
        lacking = self._open and self._lacking and self._lacking == self._done.keys()
        return bool(read and lacking) and all(map(self._waited_for, self._lacking))

    def _count(self) -> None:
        self._captured += sum(follower.captured for follower in self._followers.values())
        self._gaps += sum(follower.gaps for follower in self._followers.values())

    # --- what may be claimed ---

    def _frontier(self) -> int | None:
        """Returns the second up to which every shard is durable. Parents that are still being read bound their children.

        A stream is closed as a whole: one that has been read to its end holds all changes made before the last one in any shard.
        Just after that, a shard that had split may have children that are not listed yet, and bounds the claim.
        """
        claims = [follower.claim for follower in (*self._followers.values(), *self._done.values())]
        known = [claim for claim in claims if claim is not None]
        least = min(known) if known and len(known) == len(claims) else None
        wait_for = max(self._parts.settings.children_wait, self._parts.settings.sibling_wait)
        settled = self._parts.clock.now() - self._closed >= wait_for
        found = max(known, default=None) if self._ended and settled else least
        return max((each for each in (found, self._base) if each is not None), default=None)

    def _positions(self) -> Positions:
        """Returns how far each shard is durable, including those that ended."""
        standing = {**self._followers, **self._done}
        return {**self._past, **{shard: follower.position for shard, follower in standing.items()}}

    def _mark(self, *, closing: bool) -> None:
        frontier, settings, now = self._frontier(), self._parts.settings, self._parts.clock.now()
        if frontier is None or (frontier == self._marked and not closing):
            return
        captured = self._captured + sum(follower.captured for follower in self._followers.values())
        wait_for = settings.mark_busy if captured != self._captured_at_mark else settings.mark_idle
        if self._marked is not None and now - self._marked_at < wait_for and not closing:
            return
        try:
            self._parts.keeper.mark(frontier, self._positions(), closing=closing)
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
