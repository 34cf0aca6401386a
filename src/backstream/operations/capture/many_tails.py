"""One process that follows many tables: threads and connections in common, and a fault in one table does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import BackstreamError, Failed
from backstream.operations.capture.shards import Settings, Share
from backstream.operations.capture.tail import TailReport
from backstream.ports import Clock

READERS, WRITERS = 16, 32  # threads in common
LOOK_EVERY = 30.0  # seconds after which the selection is looked at again
AGAIN_AFTER, AGAIN_LATEST = 30.0, 600.0  # seconds after which a table that failed is tried again
STEP = 0.2  # seconds after which the stop signal is looked at again

# A shard holds less before it is written, and is asked less often, than where one table has the process for itself.
SETTINGS = Settings(segment_count=2_000, segment_bytes=2 << 20, poll=1.0, step=0.2)

Run = Callable[[str, threading.Event, Share], TailReport]
"""Follows one table until the event is set; it may raise BackstreamError."""


class TableResult(msgspec.Struct, frozen=True):
    """The last result of a table: its report, or the error that ended its tail. `gone`: the selection has lost the table."""

    table: str
    report: TailReport | None = None
    error: BackstreamError | None = None
    gone: bool = False


class _Followed:
    """One table that is followed, on a thread that mostly waits: reading and writing is done by the threads in common."""

    def __init__(self, table: str, run: Run, share: Share, clock: Clock) -> None:
        self.table = table
        self.stop = threading.Event()
        self.result: TableResult | None = None
        self.failures = 0
        self.again_at = float("inf")
        self._run, self._share, self._clock = run, share, clock
        self._defect: BaseException | None = None
        self._thread = self._start()

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._follow, name=f"tail {self.table}", daemon=True)
        thread.start()
        return thread

    def _follow(self) -> None:
        try:
            report = self._run(self.table, self.stop, self._share)
        except BackstreamError as error:
            self.failures += 1
            self.again_at = self._clock.now() + min(AGAIN_LATEST, AGAIN_AFTER * 2.0 ** (self.failures - 1))
            self.result = TableResult(self.table, error=error)
        except BaseException as defect:  # noqa: BLE001 - it is raised in the main thread
            self._defect = defect
        else:
            self.result = TableResult(self.table, report)

    @property
    def ended(self) -> bool:
        """True if its tail has ended. Raises a defect of it."""
        if self._thread.is_alive():
            return False
        if self._defect is not None:
            raise self._defect
        return True

    def again(self) -> None:
        """Follows the table once more, after an error."""
        self.again_at, self.result = float("inf"), None
        self._thread = self._start()

    def wait(self) -> None:
        """Waits for the end of its tail."""
        self._thread.join()
        if self._defect is not None:
            raise self._defect


class ManyTails:
    """Follows the tables of a selection until it is told to stop, or until each has caught up.

    `select` returns the tables now; it is asked again while this runs, so that a new table is picked up, and one that the selection
    lost is stopped and named. A table whose tail fails is named, and tried again later and later. `ended` receives each end of a
    table's tail, as long as the whole goes on.
    """

    def __init__(
        self,
        select: Callable[[], Iterable[str]],
        run: Run,
        clock: Clock,
        stop: threading.Event,
        notice: Callable[[str], None],
    ) -> None:
        self._select, self._run, self._clock, self._stop, self._notice = select, run, clock, stop, notice
        self._followed: dict[str, _Followed] = {}
        self._gone: dict[str, TableResult] = {}
        self._told: set[str] = set()
        self._look_at = float("-inf")
        self._unseen = ""

    def run(self, *, until_caught_up: bool) -> list[TableResult]:
        """Returns the last result of each table. Raises the error of the first look at the selection, and defects."""
        with (
            ThreadPoolExecutor(READERS, thread_name_prefix="shard") as readers,
            ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as writers,
        ):
            share = Share(readers, writers)
            self._take_up(self._select(), share)
            self._look_at = self._clock.now() + LOOK_EVERY
            try:
                while not (self._stop.is_set() or (until_caught_up and self._all_ended())):
                    if not until_caught_up:
                        self._look_again(share)
                    self._tell_ends(retry=not until_caught_up)
                    self._clock.sleep(STEP)
            finally:
                self._end()
        return [*self._gone.values(), *self._results()]

    def _take_up(self, tables: Iterable[str], share: Share) -> None:
        for table in tables:
            if table not in self._followed:
                self._gone.pop(table, None)
                self._followed[table] = _Followed(table, self._run, share, self._clock)

    def _look_again(self, share: Share) -> None:
        """Looks at the selection, now and then: it may have gained tables, and lost some."""
        if self._clock.now() < self._look_at:
            return
        self._look_at = self._clock.now() + LOOK_EVERY
        try:
            tables = list(self._select())
        except BackstreamError as error:  # the tables that are known are followed on
            if error.message != self._unseen:
                self._notice(f"the selection of tables cannot be looked at: {error.message}")
            self._unseen = error.message
            return
        self._unseen = ""
        for table in tables:
            if table not in self._followed:
                self._notice(f"{table}: is new in the selection, and followed from now on")
        for table in self._followed.keys() - set(tables):
            self._drop(table)
        self._take_up(tables, share)

    def _drop(self, table: str) -> None:
        followed = self._followed.pop(table)
        followed.stop.set()
        followed.wait()
        self._notice(f"{table}: is gone from the selection, and not followed any more")
        self._gone[table] = msgspec.structs.replace(followed.result or TableResult(table), gone=True)

    def _tell_ends(self, *, retry: bool) -> None:
        for table, followed in self._followed.items():
            if not followed.ended or followed.result is None:
                continue
            error = followed.result.error
            if error is not None and table not in self._told:
                self._told.add(table)
                self._notice(f"error: {table}: {error.message}")
            if retry and self._clock.now() >= followed.again_at:
                self._told.discard(table)
                followed.again()

    def _all_ended(self) -> bool:
        return all(each.ended for each in self._followed.values())

    def _end(self) -> None:
        for followed in self._followed.values():
            followed.stop.set()
        for followed in self._followed.values():
            followed.wait()
        self._tell_ends(retry=False)

    def _results(self) -> Iterable[TableResult]:
        for table, followed in self._followed.items():
            yield followed.result or TableResult(table, error=Failed(f"the tail of {table} has no result"))
