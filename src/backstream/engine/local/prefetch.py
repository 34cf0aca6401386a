"""Works through many items in batches, and with prefetching: calls are in flight while their answers are taken.

Limits bound the memory.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields the items in their order, `size` at a time, the last batch smaller. It takes none before they are asked for."""
    each = iter(items)
    while batch := list(itertools.islice(each, size)):
        yield batch


def by_weight(items: Iterable[Item], weight: Callable[[Item], int], most: int, count: int) -> Iterator[list[Item]]:
    """Yields the items in their order, together until they weigh `most` or are `count`."""
    some, weighs = list[Item](), 0
    for each in items:
        some.append(each)
        weighs += weight(each)
        if weighs >= most or len(some) == count:
            yield some
            some, weighs = [], 0
    if some:
        yield some


def ahead(
    pool: Executor,
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    in_flight: int,
    weight: Callable[[Item], int] = lambda _: 1,
) -> Iterator[tuple[Item, Callable[[], Answer]]]:
    """Yields each item with a function that returns its `work`'s answer, or raises its error.

    The items that are begun and not yet taken weigh at most `in_flight` together, but at least one is begun.
    """
    begun: deque[tuple[Item, Future[Answer]]] = deque()
    weighs = 0
    for item in items:
        weighs += weight(item)
        while begun and weighs > in_flight:
            weighs -= weight(begun[0][0])
            done, future = begun.popleft()
            yield done, future.result
        begun.append((item, pool.submit(work, item)))
    while begun:
        done, future = begun.popleft()
        yield done, future.result
