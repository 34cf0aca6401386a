"""How long to wait before trying again: pure iterators of delays, apart from the sleeping and from what is tried.

Full jitter: each wait is a random share of a ceiling that doubles, so that many clients refused together do not come back together
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

BASE_SECONDS = 0.05
CAP_SECONDS = 20.0


def full_jitter(
    random: Callable[[], float],
    *,
    base: float = BASE_SECONDS,
    cap: float = CAP_SECONDS,
    attempts: int | None = None,
    budget: float | None = None,
) -> Iterator[float]:
    """Delays in seconds, the n-th (from 0) drawn from 0 to min(cap, base * 2**n). `random` gives numbers from 0 to 1.

    Ends after `attempts` delays, or before the sum of the delays would exceed `budget` seconds; without either it never ends.
    """
    waited = 0.0
    for turn in count() if attempts is None else range(attempts):
        delay = random() * min(cap, base * 2.0 ** min(turn, 64))  # beyond 64 a float could overflow, and no cap is that high
        waited += delay
        if budget is not None and waited > budget:
            return
        yield delay
