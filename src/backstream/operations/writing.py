"""Writing many items into a table, none lost: batches side by side, what is unprocessed tried again until it is done or named."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec

from backstream.errors import AccessDenied, BackstreamError, NotFound, Unavailable
from backstream.ports import Clock, Delete, Put, Table, Write
from backstream.retries import full_jitter

BATCH_ITEMS = 25  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH_BYTES = 12 << 20  # of the 16 MB allowed: JSON text is longer than what DynamoDB counts, never shorter
PATIENCE = 30.0
WORKERS = 8
BACKOFF, LONGEST_BACKOFF = 0.05, 5.0


class LeftOut(msgspec.Struct, frozen=True):
    """A write that was not done, and why."""

    write: Write
    reason: str


class Writer:
    """Collects writes, no two on one item, and sends them in batches from several threads; memory stays bounded.

    Throttling and unprocessed items are waited out with full jitter. It gives up once nothing at all has been accepted for
    `patience` seconds; what was not written is in `left_out`. AccessDenied and MissingTable end it at once: nothing will work.
    """

    def __init__(
        self, table: Table, clock: Clock, *, patience: float = PATIENCE, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self._table = table
        self._clock = clock
        self._patience = patience
        self._progress = progress
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="writer")
        self._futures: set[Future[None]] = set()
        self._batch: list[Write] = []
        self._bytes = 0
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._lock = threading.Lock()
        self._accepted_at = clock.now()
        self._hopeless = ""
        self.written = 0
        self.left_out: list[LeftOut] = []

    def add(self, write: Write) -> None:
        """Hand over one write; blocks while enough batches are under way. Raises what ended an earlier batch."""
        size = len(write.image) if isinstance(write, Put) else len(write.keys)
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
        self._hopeless = self._hopeless or "stopped"
        self._pool.shutdown(cancel_futures=True)

    def _send(self) -> None:
        while len(self._futures) >= 2 * WORKERS:
            self._collect(wait(self._futures, return_when=FIRST_COMPLETED)[0])
        self._futures.add(self._pool.submit(self._write, self._batch))
        self._batch, self._bytes = [], 0

    def _collect(self, done: set[Future[None]]) -> None:
        self._futures -= done
        for future in done:
            future.result()

    # --- in the worker threads ---

    def _write(self, batch: Sequence[Write]) -> None:
        rest, reason = batch, "unprocessed"
        for delay in full_jitter(self._random.random, base=BACKOFF, cap=LONGEST_BACKOFF):
            if not self._hopeless:
                rest, reason = self._try(rest)
            if not rest:
                return
            if self._give_up(reason):
                break
            self._clock.sleep(delay)
        with self._lock:
            self.left_out.extend(LeftOut(write, reason) for write in rest)

    def _try(self, batch: Sequence[Write]) -> tuple[Sequence[Write], str]:
        try:
            rest = self._table.write(batch)
        except Unavailable as error:
            return batch, error.message
        except (AccessDenied, NotFound):
            raise
        except BackstreamError as error:
            return self._one_by_one(batch, error)
        self._accept(len(batch) - len(rest))
        return rest, "DynamoDB left it unprocessed"

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
            reason = why or reason
        return rest, reason

    def _accept(self, count: int) -> None:
        if count:
            with self._lock:
                self.written += count
                self._accepted_at = self._clock.now()
            self._progress(count)

    def _give_up(self, reason: str) -> bool:
        with self._lock:
            if not self._hopeless and self._clock.now() - self._accepted_at > self._patience:
                self._hopeless = reason
            return bool(self._hopeless)


def as_request(write: Write) -> bytes:
    """The write as DynamoDB's own request: `{"PutRequest":{"Item":...}}` or `{"DeleteRequest":{"Key":...}}`."""
    if isinstance(write, Put):
        return b'{"PutRequest":{"Item":' + write.image + b"}}"
    return b'{"DeleteRequest":{"Key":' + write.keys + b"}}"


class _PutRequest(msgspec.Struct):
    item: msgspec.Raw = msgspec.field(name="Item")


class _DeleteRequest(msgspec.Struct):
    key: msgspec.Raw = msgspec.field(name="Key")


class _Request(msgspec.Struct):
    put: _PutRequest | None = msgspec.field(name="PutRequest", default=None)
    delete: _DeleteRequest | None = msgspec.field(name="DeleteRequest", default=None)


def from_request(line: bytes) -> Write:
    """The inverse of `as_request`. ValueError where it is none."""
    request = msgspec.json.decode(line, type=_Request)
    if request.put is not None:
        return Put(bytes(request.put.item))
    if request.delete is not None:
        return Delete(bytes(request.delete.key))
    raise ValueError(f"neither a put nor a delete: {line[:80]!r}")
