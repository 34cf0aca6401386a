"""A signal ends the work wherever it arrives, and leaves no lock held: no thread waits for ever for one."""

from __future__ import annotations

import logging
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from backstream.apps.cli import main
from backstream.apps.interrupting import raising_after

SOON = 0.05  # seconds


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """As the command line listens."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    main.listen()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each, handler in before.items():
        signal.signal(each, handler)


class Interrupted:
    """A lock. The signal arrives when it has just been taken, before who takes it knows; then the usual ones."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._arrived = False
        self.release = self._lock.release
        self._is_owned = self._lock._is_owned  # type: ignore[attr-defined]

    def locked(self) -> bool:
        """True if no other thread can take it."""
        taken: list[bool] = []
        other = threading.Thread(target=lambda: taken.append(self._lock.acquire(blocking=False)))
        other.start()
        other.join()
        return taken == [False]

    def acquire(self, *arguments: Any) -> bool:
        taken = self._lock.acquire(*arguments)
        if not self._arrived:
            self._arrived = True
            signal.raise_signal(signal.SIGINT)
        return taken

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def future(lock: Interrupted) -> None:
    waited = Future[int]()
    waited._condition = threading.Condition(lock)  # type: ignore[arg-type]
    waited.set_running_or_notify_cancel()
    waited.set_result(1)
    waited.result()


def held_by_queue(lock: Interrupted) -> None:
    some = queue.LifoQueue[int]()
    some.not_empty = threading.Condition(lock)  # type: ignore[arg-type]
    some.get()


def semaphore(lock: Interrupted) -> None:
    some = threading.Semaphore(1)
    some._cond = threading.Condition(lock)  # type: ignore[attr-defined, arg-type]
    some.acquire()


def handler(lock: Interrupted) -> None:
    some = logging.StreamHandler(sys.stderr)
    some.lock = lock  # type: ignore[assignment]
    some.handle(logging.LogRecord("any", logging.DEBUG, "", 0, "", None, None))


@pytest.mark.parametrize("taking", [future, held_by_queue, semaphore, handler])
def test_no_lock_stays_held(taking: Callable[[Interrupted], None]) -> None:
    lock = Interrupted()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it arrives in the second line or in the third
        taking(lock)
        time.sleep(60)
    assert not lock.locked()


class Waits:
    """The places where a command waits for long."""

    @staticmethod
    def event() -> None:
        threading.Event().wait(60)

    @staticmethod
    def queue() -> None:
        queue.Queue[int]().get(timeout=60)

    @staticmethod
    def result() -> None:
        Future[int]().result(timeout=60)

    @staticmethod
    def process() -> None:
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                process.wait()
            finally:
                process.kill()


@pytest.mark.parametrize("wait", [Waits.event, Waits.queue, Waits.result, Waits.process], ids=lambda each: each.__name__)
def test_a_wait_ends(wait: Callable[[], None]) -> None:
    signal.setitimer(signal.ITIMER_REAL, SOON)
    with pytest.raises(KeyboardInterrupt):
        wait()


def test_a_wait_for_a_thread_ends() -> None:
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait, args=(60,), daemon=True)
    thread.start()
    signal.setitimer(signal.ITIMER_REAL, SOON)
    with pytest.raises(KeyboardInterrupt):
        thread.join()
    ends.set()


def test_a_process_that_is_being_started_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then comes the error: whoever started the process can end it."""
    known: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def interrupted(self: subprocess.Popen[bytes], *arguments: object) -> None:
        original(self, *arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(subprocess.Popen, "_execute_child", interrupted)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        known.append(subprocess.Popen(["sleep", "60"]))
        time.sleep(60)
    assert len(known) == 1
    known[0].kill()
    known[0].wait()


def test_an_error_in_a_finalizer_is_not_lost() -> None:
    class Ending:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        Ending()
        time.sleep(60)


def test_a_time_limit_waits_for_such_a_place_too() -> None:
    class Late(Exception):
        pass

    class Slow(Interrupted):
        def acquire(self, *arguments: Any) -> bool:
            taken = self._lock.acquire(*arguments)
            time.sleep(2 * SOON)
            return taken

    lock = Slow()
    with pytest.raises(Late), raising_after(SOON, Late):  # noqa: PT012
        future(lock)
        time.sleep(60)
    assert not lock.locked()


AT_RANDOM = """
import faulthandler, random, signal
from concurrent.futures import ThreadPoolExecutor
from backstream.apps.interrupting import raising_after

class Ended(Exception): pass

draw = random.Random(1)
ended = 0
for _ in range(6_000):
    faulthandler.dump_traceback_later(60, exit=True)
    try:
        with ThreadPoolExecutor(2) as pool, raising_after(draw.random() * 0.002 + 0.0001, Ended):
            while True:
                pool.submit(int).result()
    except Ended:
        ended += 1
print(ended)
"""


@pytest.mark.soak
def test_at_random_instants_no_thread_waits_for_ever() -> None:
    """Without `may_raise` some two thousand rounds end with a lock that nobody gives back."""
    done = subprocess.run([sys.executable, "-c", AT_RANDOM], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("6000\n", "")
