"""A Spark application of this process: it is begun at the first job, and runs jobs while it tells their progress.

Every call of pyspark is in this module.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from backstream.engine.spark import java, shipped
from backstream.engine.spark.faults import explained, not_begun
from backstream.errors import Failed, UsageError
from backstream.ports import Clock
from backstream.ports.engine import EntriesRead
from backstream.temporary_folders import TemporaryFolder

POLL = 0.5  # seconds between two looks at a running job
PATIENCE = 120.0  # seconds without any executor after which a job is given up
MOST_TOGETHER = 16  # buckets that are fetched by one job
NAME = "backstream"
PYTHON = "PYSPARK_PYTHON"
LOG_END = 2_000  # characters of Java's words that an error shows


class Counting:
    """Tells how many entries tasks have read so far. `rest` is what of an order's entries has not been told yet."""

    def __init__(self, accumulator: Any, progress: EntriesRead) -> None:
        self.accumulator = accumulator
        self._progress = progress
        self._told = self._over = 0

    def look(self) -> None:
        """Tells what was read since the last look. A task that was repeated counts twice: never less than before is told."""
        read = self.accumulator.value
        if read > self._told:
            self._progress(read - self._told)
            self._over += read - self._told
            self._told = read

    def rest(self, entries: int) -> int:
        """Returns what of these entries has not been told."""
        known = min(self._over, entries)
        self._over -= known
        return entries - known


class Cluster:
    """One application. `master`: see Spark; None: what `spark-submit` or the configuration say. Safe to use from many threads."""

    def __init__(self, master: str | None, clock: Clock) -> None:
        self._master = master
        self._clock = clock
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="spark-job")

    # --- jobs ---

    def spread(self, orders: Sequence[bytes]) -> Any:
        """Returns an RDD of the orders, a task for each."""
        return self.context.parallelize(orders, len(orders))

    def counter(self, progress: EntriesRead) -> Counting:
        """Returns a count that tasks add to."""
        return Counting(self.context.accumulator(0), progress)

    def run(self, rdd: Any, work: Any, partitions: Sequence[int], look: Callable[[], None] = lambda: None) -> list[Any]:
        """Runs a job over some partitions of an RDD, and returns what `work` yields, in the partitions' order.

        `look` is called meanwhile. Raises Failed if Spark gives up, or if no executor is left.
        """
        future = self._pool.submit(self.context.runJob, rdd, work, list(partitions))
        try:
            return self._awaited(future, look)
        except BaseException:
            if not future.done():
                with suppress(Exception):
                    self.context.cancelAllJobs()
            raise

    def _awaited(self, future: Future[list[Any]], look: Callable[[], None]) -> list[Any]:
        alone_since: float | None = None
        while True:
            with suppress(TimeoutError):
                error = future.exception(POLL)
                look()
                if error is None:
                    return future.result()
                raise explained(error, self.version) if isinstance(error, Exception) else error
            look()
            alone_since = None if self._has_executors() else alone_since or self._clock.now()
            if alone_since is not None and self._clock.now() - alone_since > PATIENCE:
                raise self._alone()

    def _has_executors(self) -> bool:
        if self.context.master.startswith("local"):
            return True
        return bool(self.context._jsc.sc().getExecutorMemoryStatus().size() > 1)  # noqa: SLF001 - pyspark has no other way

    def _alone(self) -> Failed:
        return Failed(
            f"the cluster at {self.context.master} has given no executor for {PATIENCE:.0f} seconds",
            hint="Are its workers alive, and do they have the memory (spark.executor.memory) and the cores that are asked for?",
        )

    @property
    def width(self) -> int:
        """The number of buckets that are worth folding at once."""
        return max(1, min(MOST_TOGETHER, self.cores))

    @property
    def cores(self) -> int:
        """The number of tasks that run at the same time now."""
        return max(1, int(self.context.defaultParallelism))

    @property
    def version(self) -> str:
        """The driver's version of Spark."""
        return str(java.pyspark().__version__)

    # --- the application ---

    @cached_property
    def context(self) -> Any:
        """The application of this process, or a new one. Raises UsageError and Failed where there can be none."""
        pyspark = java.pyspark()
        running = pyspark.SparkContext._active_spark_context  # noqa: SLF001 - pyspark has no other way to ask
        context = self._begun(pyspark) if running is None else running
        try:
            if (package := self._package()).name not in context._python_includes:  # noqa: SLF001 - pyspark has no other way to ask
                context.addPyFile(str(package))
        except Exception as error:
            raise not_begun(error, self.version) from error
        return context

    def _begun(self, pyspark: Any) -> Any:
        conf = pyspark.SparkConf(loadDefaults=False)
        if "PYSPARK_GATEWAY_PORT" not in os.environ:  # else `spark-submit` has begun Java, with the master that it was told
            master = self._checked_master(pyspark)
            conf.set("spark.master", master)
        elif self._master is not None:
            conf.set("spark.master", self._master)
        for name, value in {"spark.app.name": NAME, "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}.items():
            conf.setIfMissing(name, value)
        with TemporaryFolder() as temporary:  # for what Java says: it would disturb the report. Java goes on writing to it.
            said = temporary.path / "java.log"
            launch = import_module("pyspark.java_gateway").launch_gateway
            try:
                with said.open("wb") as log:
                    gateway = launch(conf, {"stderr": log, "stdout": log})
            except Exception as error:
                raise Failed(f"Spark's Java did not start: {error}", hint=_end_of(said)) from error
            return self._entered(pyspark, conf, gateway)

    def _entered(self, pyspark: Any, conf: Any, gateway: Any) -> Any:
        try:
            context = pyspark.SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            raise not_begun(error, self.version) from error
        context.setLogLevel("ERROR")
        if PYTHON not in os.environ and not conf.get("spark.pyspark.python", None):
            context.pythonExec = sys.executable
        atexit.register(context.stop)
        return context

    def _checked_master(self, pyspark: Any) -> str:
        if os.environ.get("SPARK_REMOTE"):
            raise UsageError("SPARK_REMOTE names a Spark Connect server, which has no RDDs", hint="Unset it, and give --master.")
        if self._master is None:
            raise UsageError(
                "which Spark cluster?", hint="Give --master spark://host:7077 (or yarn, local[4]), or use spark-submit."
            )
        java.check_master(self._master)
        java.check_java(int(pyspark.__version__.split(".")[0]))
        return self._master

    def _package(self) -> Path:
        folder = TemporaryFolder()
        atexit.register(folder.cleanup)
        return shipped.write_named(folder.path)


def _end_of(log: Path) -> str:
    """Returns the last lines of Java's output."""
    return "Java said: " + log.read_text(errors="replace")[-LOG_END:].strip()
