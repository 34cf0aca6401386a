"""The worker processes of a state, seen from their parent; without any, the parent does their work itself."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec

from backstream.engine.local import worker
from backstream.engine.local.log_decoder import DecodedSource, LineSource, Taker, Task
from backstream.engine.local.memory import VARIABLE
from backstream.engine.local.worker import Done, WorkerRequest
from backstream.errors import Failed

PATIENCE = 10.0  # seconds that a worker has to end when its pipe is closed
_done = msgspec.msgpack.Decoder(Done)


class WorkerPool:
    """Takes sources, several at once: in worker processes or, without any, with its `own` taker.

    Raises Failed if a worker dies, or if the disk is full: then the state must not be used.
    """

    def __init__(self, task: Task, workers: int, own: Taker | None = None) -> None:
        if not workers and own is None:
            raise ValueError("nobody to do the work")
        self.names = [str(number) for number in range(1, workers + 1)]
        self._task = task
        self._own = own
        self._every: list[_Worker] = []
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        try:
            for name in self.names:
                self._every.append(_Worker(name, self._task))
                self._free.put(self._every[-1])
        except BaseException:
            self._end(kill=True)
            raise
        self._threads = ThreadPoolExecutor(max(1, len(self._every)), thread_name_prefix="pool")
        return self

    def take(self, sources: Sequence[LineSource]) -> Future[list[DecodedSource]]:
        """Begins to take these sources. The future holds the result of each."""
        if self._threads is None:
            raise RuntimeError("not entered")
        return self._threads.submit(self._take, sources)

    def _take(self, sources: Sequence[LineSource]) -> list[DecodedSource]:
        if self._own is not None:
            return [self._own.take(source) for source in sources]
        free = self._free.get()
        try:
            return free.ask(WorkerRequest(list(sources)))
        finally:
            self._free.put(free)  # dead or not: who waits for one must not wait for ever, but be told the same

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._flush()
        except BaseException:
            self._end(kill=True)
            raise
        self._end(kill=error is not None)

    def _flush(self) -> None:
        for each in self._every:
            each.ask(WorkerRequest([]))

    def _end(self, *, kill: bool) -> None:
        """Ends all workers. Those in the middle of something are killed first, so that no thread waits for them."""
        for each in self._every:
            each.end(kill=kill)
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


def _import_path() -> list[str]:
    """Returns the import path of a worker: this process's path without the working directory.

    Anybody may have put a module of any name there. It counts only if it contains this package itself.
    """
    here, own = Path.cwd(), Path(__file__).parents[2]
    return [each for each in sys.path if each and (Path(each).resolve() != here or here == own)]


class _Worker:
    """One process."""

    def __init__(self, name: str, task: Task) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with a module of ours
            [sys.executable, "-P", "-m", worker.__name__, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            process_group=0,  # what a terminal sends to all is for the parent: to stop is its decision, and a worker may just begin
        )
        self._orders = cast("BinaryIO", self._process.stdin)
        self._answers = cast("BinaryIO", self._process.stdout)
        self._send(task)

    def ask(self, order: WorkerRequest) -> list[DecodedSource]:
        """Sends an order and waits for its answer."""
        self._send(order)
        body = worker.receive(self._answers)
        if body is None:
            raise self._died()
        done = _done.decode(body)
        if done.failed is not None:
            raise Failed(done.failed, hint=done.hint)
        return done.taken

    def _send(self, message: msgspec.Struct) -> None:
        try:
            worker.send(self._orders, message)
        except OSError as error:
            raise self._died() from error

    def _died(self) -> Failed:
        status = self._process.wait(PATIENCE)
        why = f"signal {-status}" if status < 0 else f"exit code {status}"
        return Failed(
            f"a process of the engine ended before its time ({why})",
            hint=f"Signal 9 is often the system's, out of memory: give the engine less ({VARIABLE}), or the machine more.",
        )

    def end(self, *, kill: bool) -> None:
        """Ends the process, and returns when it has ended."""
        if kill:
            self._process.kill()
        for pipe in (self._orders, self._answers):
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # it is dead already, with what was meant for it
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
