"""Writes many items into a table, none lost: batches side by side, unprocessed items retried until they are done or named."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeVar

import msgspec

from backstream.errors import AccessDenied, BackstreamError, NotFound, Unavailable
from backstream.model.values import sizes
from backstream.operations.bulk.rate import FIRST, LEAST, MOST, Congestion, Gate, Pace
from backstream.ports import Clock
from backstream.retries import full_jitter

BATCH_ITEMS = 25  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH_BYTES = 4 << 20  # 16 MB are allowed; smaller ones are not slower, and what is in flight is held in memory
BYTES_IN_FLIGHT = 32 << 20
PATIENCE = 30.0
WAITING = 8  # batches handed over beyond those that may be under way: they are refilling, or wait to be tried again
BACKOFF, LONGEST_BACKOFF = 0.05, 2.0


class Sendable(Protocol):
    """One element of a batch: a write, or one that carries more with it, such as its precondition."""

    @property
    def body(self) -> bytes:
        """Returns the request's contents: an image, or a key. It tells the size."""


W = TypeVar("W", bound=Sendable)


class LeftOut(msgspec.Struct, Generic[W], frozen=True):
    """A write that was not done, and why."""

    write: W
    reason: str


class Batches(Protocol[W]):
    """Takes a batch: a `ports.Table`, or something in front of it."""

    def write(self, writes: Sequence[W], took: Callable[[float], None] | None = None) -> Sequence[W]:
        """See `ports.Table.write`."""


class BulkWriter(Generic[W]):
    """Collects writes, no two on one item, and sends them in batches from several threads; memory stays bounded.

    The number under way adapts to the table: see `rate.Congestion`. Throttled or unprocessed items are tried again, after a wait
    with full jitter. It gives up (`gave_up_reason` says why) once nothing at all was accepted for `patience` seconds of trying, or
    if access ends in the middle; unwritten items are in `left_out`. It raises an error for access that never worked, or a missing
    table. `max_units`: write units a second at most, as DynamoDB counts them: by the items' size, and by its answers if they state
    more. `budget`: the same limit, shared with other writers. `most`: calls under way at most. `at_once`: the calls that one batch
    makes at a time, where that is no BatchWriteItem: so many fewer batches are under way.
    """

    def __init__(
        self,
        table: Batches[W],
        clock: Clock,
        *,
        patience: float = PATIENCE,
        max_units: float | None = None,
        budget: Budget | None = None,
        most: int = MOST,
        at_once: int = 1,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._clock = clock
        self._patience = patience
        self._budget = budget or Budget.of(clock, max_units)
        most = max(1, most // at_once)
        least, first = (min(max(1, calls // at_once), most) for calls in (LEAST, FIRST))
        self._gate = Gate(clock, Congestion(least=least, first=first, most=most))
        self._progress = progress
        self._pool = ThreadPoolExecutor(MOST // at_once + WAITING, thread_name_prefix="writer")
        self._futures: dict[Future[None], int] = {}  # with the bytes of their batches
        self._batch: list[W] = []
        self._bytes = 0
        self._units = 0
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._lock = threading.Lock()
        self._accepted_at = clock.now()
        self.gave_up_reason = ""
        self.written = 0
        self.left_out: list[LeftOut[W]] = []

    def add(self, write: W) -> None:
        """Hands over one write; blocks while enough batches are under way. Raises the error that ended an earlier batch."""
        size = len(write.body)
        units = 0 if self._budget is None else _units(write)
        full = len(self._batch) >= BATCH_ITEMS or self._bytes + size > BATCH_BYTES
        if self._batch and (full or (self._budget is not None and self._units + units > self._budget.at_once)):
            self._send()
        self._batch.append(write)
        self._bytes += size
        self._units += units

    def finish(self) -> None:
        """Returns when every write has been done or is in `left_out`."""
        if self._batch:
            self._send()
        self._collect(wait(self._futures)[0])
        self._pool.shutdown()

    def abandon(self) -> None:
        """Stops: batches under way end, nothing new is sent."""
        self.gave_up_reason = self.gave_up_reason or "stopped"
        self._pool.shutdown(cancel_futures=True)

    def _send(self) -> None:
        # One at a time until the first is accepted: a refusal before that means access was never allowed, a later one that it has
        # ended.
        while len(self._futures) >= (self._gate.limit + WAITING if self.written else 1) or (
            self._futures and sum(self._futures.values()) > BYTES_IN_FLIGHT
        ):
            self._collect(wait(self._futures, return_when=FIRST_COMPLETED)[0])
        self._futures[self._pool.submit(self._write, self._batch)] = self._bytes
        self._batch, self._bytes, self._units = [], 0, 0

    def _collect(self, done: set[Future[None]]) -> None:
        for future in done:
            del self._futures[future]
        for future in done:
            future.result()

    # --- in the worker threads ---

    def _write(self, batch: Sequence[W]) -> None:
        rest, reason, tried = batch, self.gave_up_reason, _Tried()
        for delay in full_jitter(self._random.random, base=BACKOFF, cap=LONGEST_BACKOFF):
            if not self.gave_up_reason:
                rest, reason = self._try(rest, tried)
            if not rest:
                return
            if self._give_up(tried, reason):
                break
            self._clock.sleep(delay)
        with self._lock:
            self.left_out.extend(LeftOut(write, reason or self.gave_up_reason) for write in rest)

    def _try(self, batch: Sequence[W], tried: _Tried) -> tuple[Sequence[W], str]:
        try:
            rest = self._call(batch, tried)
        except Unavailable as error:
            return batch, error.message
        except (AccessDenied, NotFound) as error:
            return self._access_ended(batch, error)
        except BackstreamError as error:
            return self._one_by_one(batch, tried, error)
        self._accept(len(batch) - len(rest))
        return rest, "DynamoDB left it unprocessed"

    def _call(self, batch: Sequence[W], tried: _Tried) -> Sequence[W]:
        """Makes one call when there is room for it and it is its turn. Returns the writes left undone."""
        self._gate.enter()
        try:
            if self._budget is None:
                return self._judged(lambda: self._table.write(batch), tried)
            spent = self._budget.spend(batch)
            try:
                rest = self._judged(lambda: self._table.write(batch, spent.took), tried)
            except Unavailable:
                spent.settle(batch)
                raise
            spent.settle(rest)
            return rest
        finally:
            self._gate.leave()

    def _judged(self, call: Callable[[], Sequence[W]], tried: _Tried) -> Sequence[W]:
        if self.gave_up_reason:  # since it began to wait
            raise Unavailable(self.gave_up_reason)
        sent = self._gate.begin()
        tried.since = min(tried.since, sent)
        throttled: bool | None = None
        try:
            rest = call()
            throttled = bool(rest)
        except Unavailable:
            throttled = True
            raise
        finally:
            self._gate.end(sent, throttled=throttled)
        return rest

    def _access_ended(self, batch: Sequence[W], error: BackstreamError) -> tuple[Sequence[W], str]:
        """Handles the end of access: credentials that expire in the middle must not lose the rest; if nothing ever worked, the call
        was wrong.
        """
        with self._lock:
            if not self.written:
                raise error
            self.gave_up_reason = error.message
        return batch, error.message

    def _one_by_one(self, batch: Sequence[W], tried: _Tried, error: BackstreamError) -> tuple[Sequence[W], str]:
        """Finds the one item that makes DynamoDB refuse the whole batch, and writes the others."""
        if len(batch) == 1:
            with self._lock:
                self.left_out.append(LeftOut(batch[0], error.message))
            return [], ""
        rest: list[W] = []
        reason = ""
        for write in batch:
            left, why = self._try([write], tried)
            rest.extend(left)
            reason = why if left else reason
        return rest, reason

    def _accept(self, count: int) -> None:
        if count:
            with self._lock:
                self.written += count
                self._accepted_at = self._clock.now()
            self._progress(count)

    def _give_up(self, tried: _Tried, reason: str) -> bool:
        """True if nothing has been accepted for too long, counted from this batch's first attempt."""
        with self._lock:
            if not self.gave_up_reason and self._clock.now() - max(tried.since, self._accepted_at) > self._patience:
                self.gave_up_reason = reason
            return bool(self.gave_up_reason)


class _Tried:
    """The time of a batch's first attempt (epoch seconds). Waiting for its turn before that may take longer than patience."""

    def __init__(self) -> None:
        self.since = math.inf


class Budget:
    """A budget of write units a second. `at_once`: the most that one batch may have, unless it is a single item."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._pace = Pace(clock, per_second)
        self.at_once = per_second

    @classmethod
    def of(cls, clock: Clock, per_second: float | None) -> Budget | None:
        """Returns a budget; None where no limit is asked for."""
        return None if per_second is None else cls(clock, per_second)

    def spend(self, batch: Sequence[Sendable]) -> Spent:
        """Returns when it is a batch's turn."""
        units = sum(map(_units, batch))
        self._pace.spend(units)
        return Spent(self._pace, units)


class Spent:
    """The expected cost of one batch, until the real one is known."""

    def __init__(self, pace: Pace, units: float) -> None:
        self._pace = pace
        self._units = units
        self._took: float | None = None

    def took(self, units: float) -> None:
        """Notes the cost that the answer states."""
        self._took = units

    def settle(self, rest: Sequence[Sendable]) -> None:
        """Pays the cost beyond the expected one, or gets the rest back: an item that is replaced may be larger than the new one."""
        took = self._units - sum(map(_units, rest)) if self._took is None else self._took
        self._pace.settle(took - self._units)


def _units(write: Sendable) -> int:
    """Returns the least number of units."""
    return sizes.write_units(write.body)
