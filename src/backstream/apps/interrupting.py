"""Raises errors from signals that end the work under way, at places where this does no harm.

In some places it would do harm. Python swallows an error within a finalizer. An error within the standard library's locks
may leave a lock held for ever: then a thread waits for it, and the process waits for the thread.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from backstream.errors import Failed

A_MOMENT = 0.02  # seconds

_LOCKING = ("threading", "concurrent.futures.", "queue", "weakref")
"""Modules whose Python code takes locks or calls finalizers. CPython may handle a signal when a lock is taken and not yet noted."""

_LOCKS_OF_LOGGING = ("acquire", "_acquireLock")  # the rest of logging writes, which may wait for long
_JOINING = ("join", "_wait_for_tstate_lock")  # of threading.Thread; the second until Python 3.12
_WAIT = threading.Condition.wait.__code__
_START = subprocess.Popen.__init__.__code__  # a process that is started and not yet known would live on


def may_raise(frame: FrameType | None) -> bool:
    """True if an error that a signal raises in this frame ends the work: it is neither lost, nor leaves a lock held.

    Where a thread can wait for long it may be raised: the standard library expects it there.
    """
    waits = frame is not None and _waits(frame)
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code is _START or (not waits and _takes_locks(frame)):
            return False
        frame = frame.f_back
    return True


def _waits(frame: FrameType) -> bool:
    """True if this frame itself is one of the long waits of `threading`. What it holds there is given back on an error."""
    if frame.f_code is _WAIT:
        return "saved_state" in frame.f_locals  # before that, its lock is given away and not yet taken back
    return _module(frame) == "threading" and frame.f_code.co_name in _JOINING


def _takes_locks(frame: FrameType) -> bool:
    module = _module(frame)
    return module.startswith(_LOCKING) or (module == "logging" and frame.f_code.co_name in _LOCKS_OF_LOGGING)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def raise_when_harmless(frame: FrameType | None, error: Callable[[], BaseException]) -> None:
    """Raises this, or sends SIGALRM again in a moment, when the place where nothing may be raised will have been left."""
    if may_raise(frame):
        raise error()
    signal.setitimer(signal.ITIMER_REAL, A_MOMENT)


@contextmanager
def raising_after(seconds: float, error: Callable[[], BaseException]) -> Iterator[None]:
    """Raises this in the main thread, whatever it waits for, if the block has not ended by then; at once if no time is left.

    Raises Failed outside of the main thread, because only that gets signals.
    """
    if seconds <= 0:
        raise error()

    def strike(_number: int, frame: FrameType | None) -> None:
        raise_when_harmless(frame, error)

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
