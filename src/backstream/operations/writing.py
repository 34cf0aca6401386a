"""Writing many items into a table, none lost: batches side by side, what is unprocessed tried again until it is done or named."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

import msgspec

from backstream.errors import AccessDenied, BackstreamError, NotFound, Unavailable
from backstream.ports import Clock, Put, Write
from backstream.retries import full_jitter

BATCH_ITEMS = 25  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH_BYTES = 4 << 20  # 16 MB are allowed; smaller ones are not slower, and what is in flight is held in memory
BYTES_IN_FLIGHT = 32 << 20
UNIT_BYTES = 1024  # one write unit; JSON text is longer than what DynamoDB counts, never shorter
PATIENCE = 30.0
WORKERS = 8
BACKOFF, LONGEST_BACKOFF = 0.05, 5.0


class LeftOut(msgspec.Struct, frozen=True):
    """A write that was not done, and why."""

    write: Write
    reason: str


class Pace:
    """At most so many units a second, from all threads together: whoever comes too early waits."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._free_at = clock.now()
        self._lock = threading.Lock()

    def spend(self, units: float) -> None:
        """Return when it is the turn of so many units."""
        wait = self.reserve(units) - self._clock.now()
        if wait > 0:
            self._clock.sleep(wait)

    def reserve(self, units: float) -> float:
        """When it is the turn of so many units (epoch seconds); that much is spent then."""
        with self._lock:
            begins = max(self._free_at, self._clock.now())
            self._free_at = begins + units / self._per_second
            return begins

    def settle(self, units: float) -> None:
        """What was spent turned out to be so many units more, or fewer: the next ones wait for that, or less."""
        with self._lock:
            self._free_at += units / self._per_second


class Batches(Protocol):
    """Takes a batch: `ports.Table`, or what stands before it."""

    def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        """As `ports.Table.write`."""


class Writer:
    """Collects writes, no two on one item, and sends them in batches from several threads; memory stays bounded.

    Throttling and unprocessed items are waited out with full jitter. It gives up (`hopeless` says why) once nothing at all has been
    accepted for `patience` seconds of trying, or access ends in the middle; what was not written is in `left_out`. Access that was
    never there, or a missing table, is raised. `max_units`: write units (1 KB each) a second at most.
    """

    def __init__(
        self,
        table: Batches,
        clock: Clock,
        *,
        patience: float = PATIENCE,
        max_units: float | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._clock = clock
        self._patience = patience
        self._pace = None if max_units is None else Pace(clock, max_units)
        self._progress = progress
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="writer")
        self._futures: dict[Future[None], int] = {}  # with the bytes of their batches
        self._batch: list[Write] = []
        self._bytes = 0
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._lock = threading.Lock()
        self._accepted_at = clock.now()
        self.hopeless = ""
        self.written = 0
        self.left_out: list[LeftOut] = []

    def add(self, write: Write) -> None:
        """Hand over one write; blocks while enough batches are under way. Raises what ended an earlier batch."""
        size = _size(write)
        if self._batch and (len(self._batch) >= BATCH_ITEMS or self._bytes + size > BATCH_BYTES):
            self._send()
        self._batch.append(write)
        self._bytes += size

    def finish(self) -> None:
        """Return when every write has been done or is in `left_out`."""
        if self._batch:
            self._send()
        self._collect(wait(self._futures)[0])
        self._pool.shutdown()

    def abandon(self) -> None:
        """Stop: batches under way end, nothing new is sent."""
        self.hopeless = self.hopeless or "stopped"
        self._pool.shutdown(cancel_futures=True)

    def _send(self) -> None:
        # One at a time until the first is accepted: what is refused then was never allowed, later on it has ended in the middle.
        while len(self._futures) >= (2 * WORKERS if self.written else 1) or (
            self._futures and sum(self._futures.values()) > BYTES_IN_FLIGHT
        ):
            self._collect(wait(self._futures, return_when=FIRST_COMPLETED)[0])
        self._futures[self._pool.submit(self._write, self._batch)] = self._bytes
        self._batch, self._bytes = [], 0

    def _collect(self, done: set[Future[None]]) -> None:
        for future in done:
            del self._futures[future]
        for future in done:
            future.result()

    # --- in the worker threads ---

    def _write(self, batch: Sequence[Write]) -> None:
        rest, reason, began = batch, self.hopeless, self._clock.now()
        for delay in full_jitter(self._random.random, base=BACKOFF, cap=LONGEST_BACKOFF):
            if not self.hopeless:
                rest, reason = self._try(rest)
            if not rest:
                return
            if self._give_up(began, reason):
                break
            self._clock.sleep(delay)
        with self._lock:
            self.left_out.extend(LeftOut(write, reason or self.hopeless) for write in rest)

    def _try(self, batch: Sequence[Write]) -> tuple[Sequence[Write], str]:
        if self._pace is not None:
            self._pace.spend(sum(-(-_size(write) // UNIT_BYTES) for write in batch))
        try:
            rest = self._table.write(batch)
        except Unavailable as error:
            return batch, error.message
        except (AccessDenied, NotFound) as error:
            return self._access_ended(batch, error)
        except BackstreamError as error:
            return self._one_by_one(batch, error)
        self._accept(len(batch) - len(rest))
        return rest, "DynamoDB left it unprocessed"

    def _access_ended(self, batch: Sequence[Write], error: BackstreamError) -> tuple[Sequence[Write], str]:
        """Credentials that expire in the middle must not lose what is left; if nothing ever worked, the call was wrong."""
        with self._lock:
            if not self.written:
                raise error
            self.hopeless = error.message
        return batch, error.message

    def _one_by_one(self, batch: Sequence[Write], error: BackstreamError) -> tuple[Sequence[Write], str]:
        """One item that DynamoDB does not take makes it refuse the whole batch: find it, write the others."""
        if len(batch) == 1:
            with self._lock:
                self.left_out.append(LeftOut(batch[0], error.message))
            return [], ""
        rest: list[Write] = []
        reason = ""
        for write in batch:
            left, why = self._try([write])
            rest.extend(left)
            reason = why if left else reason
        return rest, reason

    def _accept(self, count: int) -> None:
        if count:
            with self._lock:
                self.written += count
                self._accepted_at = self._clock.now()
            self._progress(count)

    def _give_up(self, began: float, reason: str) -> bool:
        """Whether nothing has been accepted for too long, counted from when this batch was first tried."""
        with self._lock:
            if not self.hopeless and self._clock.now() - max(began, self._accepted_at) > self._patience:
                self.hopeless = reason
            return bool(self.hopeless)


def _size(write: Write) -> int:
    return len(write.image) if isinstance(write, Put) else len(write.keys)
