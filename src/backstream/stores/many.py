"""Reads many objects by single reads, for stores whose client cannot have several requests in flight by itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from backstream.errors import BackstreamError
from backstream.ports import Found, StoredObject, Tag, Wanted

THREADS = 16
BEGUN = 32  # reads that are under way or whose answers nobody has taken

Get = Callable[[str, str | None], StoredObject]


def one_by_one(get: Get, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
    """Implements `ports.ObjectStore.get_each` for a store that never waits."""
    for tag, name, version in wanted:
        yield tag, _outcome(get, name, version)


def from_threads(get: Get, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
    """Implements `ports.ObjectStore.get_each` by reads from a few threads, in the order of `wanted`."""
    begun: deque[tuple[Tag, Future[StoredObject | BackstreamError]]] = deque()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="get")
    try:
        for tag, name, version in wanted:
            begun.append((tag, pool.submit(_outcome, get, name, version)))
            if len(begun) >= BEGUN:
                done, future = begun.popleft()
                yield done, future.result()
        while begun:
            done, future = begun.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(get: Get, name: str, version: str | None) -> StoredObject | BackstreamError:
    try:
        return get(name, version)
    except BackstreamError as error:
        return error
