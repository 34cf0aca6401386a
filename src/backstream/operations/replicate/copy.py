"""Copies the source's existing items into a replica: beside the changes, in any order with them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import Unavailable
from backstream.operations.capture.follow import Streams
from backstream.operations.capture.shards import Settings
from backstream.operations.replicate.reconcile import Reconciler
from backstream.ports import Clock, Table
from backstream.retries import full_jitter

COPIERS = 4  # segments of the source that are copied side by side
PATIENCE = 60.0  # seconds of waiting for one page of items


class Replicating(msgspec.Struct, frozen=True):
    """The context of a replica. `streams`: the source's; `notice` receives messages for an operator, `say` the progress."""

    source: Table
    target: Table
    streams: Streams
    clock: Clock
    stop: threading.Event
    notice: Callable[[str], None]
    say: Callable[[str], None]
    settings: Settings = Settings()


class Copied(msgspec.Struct, frozen=True):
    """The number of items that were looked at. `whole`: True if these are all that the source had when it began."""

    items: int
    whole: bool


class Copying:
    """One scan of the source. `halt` ends it early, like the stop signal."""

    def __init__(self, around: Replicating, replica: Reconciler) -> None:
        self._around = around
        self._replica = replica
        self._lock = threading.Lock()
        self._items = 0
        self.halt = threading.Event()

    def run(self) -> Copied:
        """Settles every item. Raises the errors of reading and writing, once waiting does not help."""
        with ThreadPoolExecutor(COPIERS, thread_name_prefix="copier") as pool:
            whole = list(pool.map(self._segment, range(COPIERS)))
        return Copied(self._items, all(whole))

    def _segment(self, segment: int) -> bool:
        try:
            for page in self._around.source.scan(segment, COPIERS):
                if self.halt.is_set() or self._around.stop.is_set():
                    return False
                self._page(page)
        except BaseException:
            self.halt.set()
            raise
        return True

    def _page(self, images: Sequence[bytes]) -> None:
        heard = [self._replica.found(image) for image in images]
        delays = full_jitter(random.random, budget=PATIENCE)
        while failed := self._replica.settle(heard):
            error = next(iter(failed.values()))
            delay = next(delays, None)
            if delay is None or not all(isinstance(each, Unavailable) for each in failed.values()):
                raise error
            self._around.clock.sleep(delay)
        with self._lock:
            self._items += len(images)
