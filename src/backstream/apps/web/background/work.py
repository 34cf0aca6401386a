"""Runs blocking work for requests: in threads, several at once, and ended when its reader has gone away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from starlette.requests import Request

from backstream.apps.web.background.stopping import Abandoned, StopToken
from backstream.errors import Unavailable
from backstream.ports import Clock

_Answer = TypeVar("_Answer")
WORKERS = 16
SECONDS = 60.0  # that a screen may take to be read


class ReaderGone(Exception):
    """The requester has closed the connection."""


class Work:
    """Runs blocking functions for requests."""

    def __init__(self, clock: Clock, *, workers: int = WORKERS, seconds: float = SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="web")

    async def run(self, request: Request, task: Callable[[StopToken], _Answer]) -> _Answer:
        """Returns the result of `task`, or raises its error. Raises `ReaderGone` if the connection is closed before; Unavailable if
        it takes too long.

        In both cases the task is told to stop, and stops at its next request to the store.
        """
        token = StopToken(self._clock, self._clock.now() + self._seconds)
        working = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, task, token)
        leaving = asyncio.ensure_future(_gone(request))
        try:
            both: set[asyncio.Future[Any]] = {working, leaving}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ReaderGone
            try:
                answer: _Answer = working.result()
            except Abandoned as stopped:
                raise Unavailable(
                    f"this took more than {self._seconds:.0f} seconds and was stopped",
                    hint="Choose a shorter window or fewer items, or run the command, which may take its time.",
                ) from stopped
            return answer
        finally:
            token.set()
            leaving.cancel()
            working.add_done_callback(_forget)

    def close(self) -> None:
        """Takes no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _gone(request: Request) -> None:
    """Returns when the connection is closed."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


def _forget(working: asyncio.Future[_Answer]) -> None:
    """Ignores the result, because nobody asks for it any more."""
    if not working.cancelled():
        working.exception()
