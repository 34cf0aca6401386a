"""A Spark cluster of its own for tests: a master and workers, each a process on loopback. It needs pyspark and Java."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.errors import AccessDenied
from backstream.ports.engine import StatePartition, WorkPlace
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.stage import wait_for

MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
EXECUTOR = b"org.apache.spark.executor.CoarseGrainedExecutorBackend"
OPENED = [
    f"--add-opens=java.base/{each}=ALL-UNNAMED"
    for each in ("java.lang", "java.lang.invoke", "java.io", "java.net", "java.nio", "java.util", "sun.nio.ch", "sun.nio.cs")
]
needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None, reason="pyspark and Java: `make spark-test`"
)
STARTING = 240.0  # seconds: three Javas on a busy machine
HERE = Path(__file__).parents[1]


class SparkCluster:
    """`folder`: logs and work; `environment`: of the workers, and so of the executors: their own credentials."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, workers: int = 2, home: str | None = None) -> None:
        self._folder = folder
        self._environment = environment
        self._workers = workers
        self._home = home or str(Path(str(importlib.util.find_spec("pyspark").origin)).parent)  # type: ignore[union-attr]
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def driver(self) -> dict[str, str]:
        """What a driver's environment needs: small heaps, and loopback."""
        small = "--driver-memory 512m --conf spark.executor.memory=512m --conf spark.task.maxFailures=8"
        return {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self._folder),
            "PYSPARK_SUBMIT_ARGS": f"{small} --conf spark.driver.host=127.0.0.1 pyspark-shell",
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }

    @cached_property
    def master(self) -> str:
        """The master's URL."""
        return self._said("master", r"Starting Spark master at (spark://\S+)")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.close)
            self._begin()
            stack.pop_all()
        return self

    def _begin(self) -> None:
        self._start("master", MASTER, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        for number in range(self._workers):
            self._start(
                f"worker{number}", WORKER, "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "1g", self.master
            )
        for number in range(self._workers):
            self._said(f"worker{number}", r"(Successfully registered with master)")

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all its processes, each by its own id."""
        for each in reversed(self._running):
            each.terminate()
        for each in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.wait(30)
            each.kill()
            each.wait()

    def _start(self, name: str, main: str, *words: str) -> None:
        java = [
            str(shutil.which("java")),
            "-Xmx160m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Dspark.master.rest.enabled=false",
            *OPENED,
        ]
        paths = os.pathsep.join([str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
        environment = {
            "PATH": os.environ["PATH"],
            "SPARK_HOME": self._home,
            "SPARK_SCALA_VERSION": next(Path(self._home, "jars").glob("scala-library-*.jar")).name.split("-")[2][:4],
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": str(self._folder / f"{name}-work"),
            "SPARK_LOCAL_DIRS": str(self._folder / f"{name}-local"),
            "PYTHONPATH": paths,
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            **self._environment,
        }
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    [*java, "-cp", f"{self._home}/jars/*", main, *words],
                    env=environment,
                    cwd=self._folder,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                )
            )

    def _said(self, name: str, pattern: str) -> str:
        path, found = self._folder / f"{name}.log", list[str]()

        def said() -> bool:
            found[:] = re.findall(pattern, path.read_text(errors="replace"))
            return bool(found)

        deadline = time.monotonic() + STARTING
        while not said():
            assert time.monotonic() < deadline, path.read_text(errors="replace")[-2_000:]
            time.sleep(0.2)
        return found[0]

    def executors(self) -> list[int]:
        """The processes of executors of this cluster."""
        return [pid for pid, words in _processes() if EXECUTOR in words and str(self._folder).encode() in words]

    def kill_an_executor(self) -> int:
        """Kill -9 one executor; its process id."""
        wait_for(lambda: bool(self.executors()))
        pid = self.executors()[0]
        os.kill(pid, signal.SIGKILL)
        return pid


def _processes() -> Iterator[tuple[int, bytes]]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with contextlib.suppress(OSError):
                yield int(path.name), (path / "cmdline").read_bytes() + (path / "environ").read_bytes()


class MemoryOpener(msgspec.Struct, frozen=True):
    """Opens in an executor the vault that a store in memory held when it was written to this file."""

    path: str
    table: str

    def __call__(self) -> TableVault:
        """Return it."""
        store = MemoryStore(ManualClock())
        store._versions = pickle.loads(Path(self.path).read_bytes())  # noqa: S301 - the test's own
        return TableVault.open(store, self.table, engines=LocalEngine)


class FolderOpener(msgspec.Struct, frozen=True):
    """Opens a vault in a folder."""

    path: str
    table: str

    def __call__(self) -> TableVault:
        """Return it."""
        return TableVault.open(DirectoryStore(Path(self.path), SystemClock()), self.table, engines=LocalEngine)


class ImagesOf(msgspec.Struct, frozen=True):
    """Work on a partition: the images of its items, by key, under its number. `fault`: raise it instead."""

    fault: str = ""

    def __call__(self, vault: TableVault, partition: StatePartition, place: WorkPlace) -> bytes:
        """Return them in MessagePack."""
        if self.fault:
            raise AccessDenied(self.fault, hint="ask")
        images = {key: vault.image(entry) for key, entry in partition.items() if not entry.removed}
        return msgspec.msgpack.encode({str(place.number): images})


def opener_in(folder: Path, vault: TableVault) -> MemoryOpener:
    """Write what a store in memory holds to a file, and return what opens it."""
    store = vault.store
    assert isinstance(store, MemoryStore)
    path = folder / f"{len(list(folder.iterdir()))}.store"
    path.write_bytes(pickle.dumps(store._versions))
    return MemoryOpener(str(path), vault.catalog.table)


@contextmanager
def environment_of(cluster: SparkCluster) -> Iterator[None]:
    """This process as a driver of the cluster."""
    before = dict(os.environ)
    os.environ.update({**cluster.driver, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
