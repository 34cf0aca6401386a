"""Schedules drawn from a seed: steps of something that lives, and the shortest of those that show what is wrong.

The parameters of all steps are drawn before anything is played, so some can be left out and the rest stays the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

MOST = 65_536
Fails = Callable[[Sequence["Step"]], AssertionError | None]  # plays steps from the beginning: what is wrong, if anything is


class Step(msgspec.Struct, frozen=True):
    """One step: the name of a method of `World`, and three numbers below `MOST` that it may read as it likes."""

    name: str
    a: int
    b: int
    c: int

    def __str__(self) -> str:
        return f"{self.name}({self.a}, {self.b}, {self.c})"


def drawn(seed: int, steps: int, often: Mapping[str, int]) -> list[Step]:
    """The steps of a life: the same seed, the same steps. `often`: how often each is drawn."""
    source = random.Random(seed)
    names = source.choices(list(often), list(often.values()), k=steps)
    return [Step(name, *(source.randrange(MOST) for _ in range(3))) for name in names]


def shortest(steps: Sequence[Step], fails: Fails) -> list[Step]:
    """As few of the steps as fail too, left out one at a time."""
    kept, at = list(steps), 0
    while at < len(kept):
        fewer = kept[:at] + kept[at + 1 :]
        if fails(fewer) is not None:
            kept = fewer
        else:
            at += 1
    return kept
