"""Which processor cores are measured on. Linux only; elsewhere the system decides.

Client and server take turns, so on one core neither loses anything. On two, each answer wakes a sleeping core and crosses to it,
and that is counted as the client's: in a virtual machine as much as our own part of a request or more, about half of which is gone
where the cores are kept from sleeping. So the usual figures are of one core, and some of two stand beside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def together() -> Iterator[list[int]]:
    """This process, and what it starts, on one core. Gives the other cores that it was allowed."""
    usual = _allowed()
    _move(0, usual[:1])
    try:
        yield usual[1:]
    finally:
        _move(0, usual)


@contextmanager
def apart(process: int, others: list[int]) -> Iterator[None]:
    """That process on another core than this one, where there is another; then back."""
    _move(process, others[:1])
    try:
        yield
    finally:
        _move(process, _allowed())


def _allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _move(process: int, cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(process, cores)
