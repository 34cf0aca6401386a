"""The engine on Spark beside the local one, on a table of any size: processor time, memory, and the same bytes.

    PYTHONPATH=tests python -m benchmarks.on_spark --items 5000000 --changes 10000000 [--kill]

It makes a vault in a folder (or takes an earlier run's), restores it to a file with each engine, and checks every line. The cluster
is a master and two workers on loopback; pyspark and Java are needed. `--kill` kills an executor in the middle.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstream.clock import SystemClock
from backstream.stores.directory import DirectoryStore
from kit import big_vault
from kit.spark_cluster import SparkCluster, environment_of

TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1 << 20
CALL = "import sys; from backstream.apps.cli.main import call; sys.exit(call(sys.argv[1:]))"


def made(folder: Path, items: int, changes: int) -> array[int]:
    """Returns the newest version of each item of the vault in the folder, which is made where it is not there yet."""
    newest = folder / "newest"
    if newest.exists():
        found = array("q")
        found.frombytes(newest.read_bytes())
        return found
    (folder / "vault").mkdir(exist_ok=True)
    filled = big_vault.fill(big_vault.vault_in(DirectoryStore(folder / "vault", SystemClock())), items, changes)
    newest.write_bytes(filled.tobytes())
    return filled


def of_processes(mark: str) -> Iterator[tuple[int, float, float]]:
    """Yields id, processor seconds (its ended children's too) and resident MB of each process that a cluster's folder marks."""
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal() or int(path.name) == os.getpid():
            continue
        try:
            if mark.encode() not in (path / "environ").read_bytes():
                continue
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            seconds = sum(map(int, stat[11:15])) / TICKS
            yield int(path.name), seconds, int(stat[21]) * resource.getpagesize() / MEGABYTE
        except OSError:
            continue  # it has ended


class Watch(threading.Thread):
    """Looks at the cluster's processes every second: `seconds` of each at the last look, `most`: MB of the largest at any."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self._mark = mark
        self.seconds: dict[int, float] = {}
        self.most = 0.0

    def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            time.sleep(1)

    def look(self) -> float:
        """Look once; the processor seconds of all that live or have lived."""
        for pid, seconds, resident in of_processes(self._mark):
            self.seconds[pid] = max(seconds, self.seconds.get(pid, 0.0))
            self.most = max(self.most, resident)
        return sum(self.seconds.values())


@contextmanager
def clean(path: Path) -> Iterator[Path]:
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def restored(folder: Path, at: int, path: Path, *words: str, check: bool = True) -> None:
    url = f"file://{folder / 'vault'}"
    command = ["restore", big_vault.TABLE, "--vault", url, "--at", str(at), "--to-file", str(path), *words]
    subprocess.run([sys.executable, "-c", CALL, *command], check=check, stdout=subprocess.DEVNULL)


def local(folder: Path, at: int, newest: array[int]) -> float:
    """Returns the processor seconds of a restore on this machine, all its processes."""
    with clean(folder / "local.ndjson") as path:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        restored(folder, at, path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        checked(path, newest)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def checked(path: Path, newest: array[int]) -> None:
    with path.open("rb") as lines:
        big_vault.assert_restored(lines, newest)


def on_spark(folder: Path, at: int, newest: array[int], *, kill: bool, idle: bool = False) -> tuple[float, float]:
    """Returns the processor seconds of a cluster that restores (or `idle`: a moment before anything was), and its largest MB."""
    work = folder / "spark"
    work.mkdir(exist_ok=True)
    watch = Watch(str(work))
    with SparkCluster(work, {}) as cluster, environment_of(cluster), clean(folder / "spark.ndjson") as path:
        watch.start()
        killer = threading.Timer(0, lambda: None)
        if kill:
            killer = threading.Timer(45, cluster.kill_an_executor)
        killer.start()
        one = ("--key", '{"id":"none"}') if idle else ()  # it was never there: exit 1
        restored(folder, at, path, "--engine", "spark", "--master", cluster.master, *one, check=not idle)
        killer.cancel()
        seconds = watch.look()
        if not idle:
            checked(path, newest)
    return seconds, watch.most


def main() -> None:
    """Measure, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--items", type=int, default=5_000_000)
    asked.add_argument("--changes", type=int, default=10_000_000)
    asked.add_argument("--folder", type=Path, default=Path("build/on-spark"))
    asked.add_argument("--kill", action="store_true")
    chosen = asked.parse_args()
    folder = (chosen.folder / f"{chosen.items}-{chosen.changes}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    newest = made(folder, chosen.items, chosen.changes)
    at = big_vault.last_second(chosen.changes)
    here = local(folder, at, newest)
    sys.stdout.write(f"{chosen.items:,} items, {chosen.changes:,} changes\nlocal engine: {here:.1f} CPU s\n")
    nothing, _ = on_spark(folder, big_vault.BEGAN, newest, kill=False, idle=True)
    there, most = on_spark(folder, at, newest, kill=chosen.kill)
    sys.stdout.write(f"cluster that restores one row: {nothing:.1f} CPU s\n")
    sys.stdout.write(f"cluster, driver and executors: {there:.1f} CPU s, largest process {most:,.0f} MB\n")
    sys.stdout.write(f"ratio without what an idle cluster takes: {(there - nothing) / here:.2f}; every line was checked\n")


if __name__ == "__main__":
    main()
