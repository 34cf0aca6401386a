"""Long work in the background: plans, runs and states. Every visitor sees them; they end with the server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backstream import private_files
from backstream.apps.web.background.stopping import Abandoned, StopToken
from backstream.errors import BackstreamError
from backstream.ports import Clock

MOST = 200  # jobs that are remembered
TOGETHER = 4  # that run at once; the others wait
SECONDS_UNASKED = 150.0  # its page asks every two seconds; a browser may slow a page that is not in sight down to once a minute
RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"


class BackgroundTask:
    """One job. `kind`: plan, run or state; `subject`: its data for the page; `command`: the command that does the same.

    `result`: its return value; `error`: its error; `step`, `done`, `total`: its progress. It is the `Progress` of its work.
    """

    def __init__(self, kind: str, table: str, subject: Any, clock: Clock, command: str = "") -> None:
        self.id = private_files.token()
        self.kind = kind
        self.table = table
        self.subject = subject
        self.command = command
        self.began = clock.now()
        self.ended: float | None = None
        self.status = RUNNING
        self.result: Any = None
        self.error: BackstreamError | None = None
        self.defect = ""
        self.notices: list[str] = []
        self.step, self.done, self.total = "", 0, 0
        self.token = StopToken(clock)
        self.finished = threading.Event()
        self._clock = clock
        self._lock = threading.Lock()

    def run(self, task: Callable[[BackgroundTask], Any]) -> None:
        """Does the work; never raises."""
        try:
            self.token.check()
            self.result = task(self)
            self.status = DONE
        except Abandoned:
            self.status = STOPPED
        except BackstreamError as error:
            self.error, self.status = error, FAILED
        except Exception as error:  # noqa: BLE001 - told on its page; its text may hold an item
            self.defect, self.status = type(error).__name__, FAILED
        self.ended = self._clock.now()
        self.finished.set()

    def look(self) -> None:
        """Notes that somebody waits for it. It ends `SECONDS_UNASKED` after the last look. A job without a look has no such end."""
        self.token.extend(self._clock.now() + SECONDS_UNASKED)

    @property
    def seconds(self) -> float:
        """The seconds since it began."""
        return (self.ended or self._clock.now()) - self.began

    @property
    def is_over(self) -> bool:
        """True if it has ended, in whatever way."""
        return self.status != RUNNING

    def notice(self, text: str) -> None:
        """Keeps a message for an operator."""
        self.notices.append(text)

    # --- Progress ---

    def phase(self, name: str, total: int | None) -> None:
        """Begins a new phase."""
        self.token.check()
        with self._lock:
            self.step, self.done, self.total = name, 0, total or 0

    def expect(self, total: int) -> None:
        """States the approximate number of the phase's steps."""
        self.total = total

    def advance(self, steps: int) -> None:
        """Adds finished steps."""
        self.token.check()
        with self._lock:
            self.done += steps


class Jobs:
    """All jobs of this process, the newest last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, BackgroundTask] = OrderedDict()
        self._pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="job")

    def start(self, job: BackgroundTask, task: Callable[[BackgroundTask], Any]) -> BackgroundTask:
        """Begins a job, and returns at once."""
        with self._lock:
            self._jobs[job.id] = job
            for name in [each.id for each in self._jobs.values() if each.is_over][: max(0, len(self._jobs) - MOST)]:
                del self._jobs[name]
        self._pool.submit(job.run, task)
        return job

    def get(self, name: str) -> BackgroundTask | None:
        """Returns the job with that id; None if it is not remembered."""
        return self._jobs.get(name)

    def of_kind(self, kind: str) -> list[BackgroundTask]:
        """Returns all jobs of a kind, newest first."""
        with self._lock:
            return [each for each in reversed(self._jobs.values()) if each.kind == kind]

    def close(self) -> None:
        """Ends all of them. The rest of a run can be resumed."""
        for each in list(self._jobs.values()):
            each.token.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
