"""Retries: pure iterators of delays, separate from the sleeping and the work; and retries for failed requests among many that run
together.

Full jitter: each wait is a random share of a ceiling that doubles, so that many clients refused together do not come back together
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

BASE_SECONDS = 0.05
CAP_SECONDS = 20.0
TOGETHER = 64  # items that wait to be tried again while others are begun, or about so many: what bounds the memory


def full_jitter(
    random: Callable[[], float],
    *,
    base: float = BASE_SECONDS,
    cap: float = CAP_SECONDS,
    attempts: int | None = None,
    budget: float | None = None,
) -> Iterator[float]:
    """Yields delays in seconds, the n-th (from 0) drawn from 0 to min(cap, base * 2**n). `random` gives numbers from 0 to 1.

    Ends after `attempts` delays, or before the sum of the delays would exceed `budget` seconds; without either it never ends.
    """
    waited = 0.0
    for turn in count() if attempts is None else range(attempts):
        delay = random() * min(cap, base * 2.0 ** min(turn, 64))  # beyond 64 a float could overflow, and no cap is that high
        waited += delay
        if budget is not None and waited > budget:
            return
        yield delay


class Attempt(Generic[Item]):
    """An item to request, and the delays it has left once it has failed."""

    __slots__ = ("delays", "item")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.delays: Iterator[float] | None = None


def persistently(
    ask: Callable[[Iterator[Attempt[Item]]], Generator[tuple[Attempt[Item], Outcome], None, None]],
    items: Iterable[Item],
    *,
    worth_another: Callable[[Outcome], bool],
    delays: Callable[[], Iterator[float]],
    sleep: Callable[[float], None],
) -> Generator[tuple[Item, Outcome], None, None]:
    """Yields each item with its outcome, as they come. A failed item is requested again after a few dozen others; its last outcome
    counts.

    `ask`: yields the outcomes of the attempts that it takes; `delays`: returns one item's delays, from its first failure.
    """
    coming = map(Attempt, items)
    failed: list[Attempt[Item]] = []
    while True:
        before, failed, longest = failed, [], 0.0
        with closing(ask(_before_others(before, coming, failed))) as outcomes:
            for attempt, outcome in outcomes:
                if (delay := _next_delay(attempt, delays) if worth_another(outcome) else None) is None:
                    yield attempt.item, outcome
                else:
                    failed.append(attempt)
                    longest = max(longest, delay)
        if not failed:  # nothing is left: the others are only cut short where something has failed
            return
        sleep(longest)


def _before_others(
    before: Sequence[Attempt[Item]], others: Iterator[Attempt[Item]], failed: list[Attempt[Item]]
) -> Iterator[Attempt[Item]]:
    """Yields the items that failed last time, then the others, few of them once something has failed again."""
    yield from before
    left = TOGETHER - len(before)
    if failed and left <= 0:
        return
    for attempt in others:
        yield attempt
        left -= bool(failed)
        if failed and left <= 0:
            return


def _next_delay(attempt: Attempt[Item], delays: Callable[[], Iterator[float]]) -> float | None:
    if attempt.delays is None:
        attempt.delays = delays()
    return next(attempt.delays, None)
