"""Raises errors from signals that end the work under way, at places where Python does not swallow them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from backstream.errors import Failed

A_MOMENT = 0.02  # seconds


def is_in_finalizer(frame: FrameType | None) -> bool:
    """True if an error raised here would be lost: Python swallows errors within a finalizer."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def again_in_a_moment() -> None:
    """Sends SIGALRM again in a moment, when a finalizer will have ended."""
    signal.setitimer(signal.ITIMER_REAL, A_MOMENT)


@contextmanager
def raising_after(seconds: float, error: Callable[[], BaseException]) -> Iterator[None]:
    """Raises this in the main thread, whatever it waits for, if the block has not ended by then; at once if no time is left.

    Raises Failed outside of the main thread, because only that gets signals.
    """
    if seconds <= 0:
        raise error()

    def strike(_number: int, frame: FrameType | None) -> None:
        if is_in_finalizer(frame):
            again_in_a_moment()
            return
        raise error()

    try:
        before = signal.signal(signal.SIGALRM, strike)
    except ValueError as wrong:
        raise Failed(
            "what has to end in time runs in a process's main thread only", hint="Call it from there, as Lambda does."
        ) from wrong
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
