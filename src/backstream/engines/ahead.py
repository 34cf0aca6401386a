"""Working through many items: in batches, and ahead: calls in flight while their answers are taken. How many bounds the memory."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in their order, `size` at a time, the last ones fewer; none are taken before they are asked for."""
    each = iter(items)
    while batch := list(itertools.islice(each, size)):
        yield batch


def ahead(
    pool: Executor,
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    in_flight: int,
    weight: Callable[[Item], int] = lambda _: 1,
) -> Iterator[tuple[Item, Future[Answer]]]:
    """Each item with its `work`, in order; no more begun and not yet taken than weigh `in_flight` together, but at least one."""
    begun: deque[tuple[Item, Future[Answer]]] = deque()
    weighs = 0
    for item in items:
        weighs += weight(item)
        while begun and weighs > in_flight:
            weighs -= weight(begun[0][0])
            yield begun.popleft()
        begun.append((item, pool.submit(work, item)))
    while begun:
        yield begun.popleft()
