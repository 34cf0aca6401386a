"""Reads from several readers side by side, a bounded number of items ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

WAITING = 1_000  # given and not taken
POLL_SECONDS = 0.1

T = TypeVar("T")
Reader = Callable[[Callable[[T], None]], None]  # calls what it is given with each thing that it reads


@contextmanager
def side_by_side(readers: Sequence[Reader[T]], stop: threading.Event) -> Iterator[Iterator[T]]:
    """Yields the results of several readers, as they come, and raises a reader's error.

    `stop` is set once nobody takes any more.
    """
    line = _Queue[T](stop)
    with ThreadPoolExecutor(len(readers), thread_name_prefix="read") as pool:
        try:
            for each in readers:
                pool.submit(line.run, each)
            yield line.taken(len(readers))
        finally:
            stop.set()


class _Stopped(Exception):
    """Nobody takes any more."""


class _End:
    """Marks the end of one reader."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Queue(Generic[T]):
    """The queue between readers and taker."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._waiting: queue.Queue[T | _End] = queue.Queue(WAITING)

    def run(self, reader: Reader[T]) -> None:
        """Runs one reader to its end."""
        end = _End()
        try:
            reader(self._give)
        except _Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes
            end = _End(error)
        try:
            self._give(end)
        except _Stopped:
            return

    def taken(self, running: int) -> Iterator[T]:
        """Yields everything until every reader has ended."""
        while running:
            value = self._waiting.get()
            if not isinstance(value, _End):
                yield value
                continue
            running -= 1
            if value.error is not None:
                raise value.error

    def _give(self, value: T | _End) -> None:
        while not self._stop.is_set():
            try:
                self._waiting.put(value, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return
        raise _Stopped
