"""The sink of a followed source: its changes go into the target, and their positions into the state file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backstream.model.changes.change import Change
from backstream.model.values.schema import KeySchema
from backstream.operations.capture.shards import DurablePrefix, ShardPosition
from backstream.operations.replicate.batch import bring
from backstream.operations.replicate.reconcile import Reconciler
from backstream.operations.replicate.state import StateFile
from backstream.ports import Clock
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.positions import Positions

EVERY = 10.0  # seconds between two words about how it goes


class ReplicaKeeper:
    """See `shards.ChangeSink`. `lag`: the seconds by which the target may be behind, None while that is not known."""

    def __init__(self, replica: Reconciler, schema: KeySchema, state: StateFile, clock: Clock, say: Callable[[str], None]) -> None:
        self._replica = replica
        self._schema = schema
        self._state = state
        self._clock = clock
        self._say = say
        self._said_at = clock.now()
        self.lag: float | None = None

    def keep(self, changes: Sequence[Change], shard: str, *, after: str) -> DurablePrefix:  # noqa: ARG002 - every item is looked at anyway
        """Settles their items. The positions are in the file with the next mark: reading twice does no harm."""
        failures = bring(changes, self._replica, self._schema)
        first = min(failures, default=len(changes))
        if first:
            last = changes[first - 1]
            self._state.reach(shard, ShardPosition(last.sequence, last.seconds))
        return DurablePrefix(first, failures.get(first))

    def mark(self, seconds: int, positions: Positions, *, closing: bool) -> None:  # noqa: ARG002 - the file has them already
        """Writes the file, and reports the progress."""
        self._state.write(seconds)
        self.lag = max(0.0, self._clock.now() - seconds)
        if closing or self._clock.now() - self._said_at >= EVERY:
            self._said_at = self._clock.now()
            counts = self._replica.counts
            self._say(
                f"{counts.put} put, {counts.deleted} deleted, {counts.unchanged} were so already; "
                f"all changes until {self.lag:.0f} s ago are in the target"
            )

    def miss(self, gap: Gap) -> None:
        """Does nothing: the follower has reported it."""

    def look_around(self) -> None:
        """Does nothing: two that do the same work get the same result."""
