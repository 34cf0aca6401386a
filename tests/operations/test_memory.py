"""A restore's memory is bounded: a million rows, in either layout, in less than 300 MB; measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.operations.restore import Restored
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit import computed_vault as computed
from kit.scene import COMMAND

TESTS = str(Path(__file__).parents[1])
MEGABYTE = 1 << 20

# Linux counts the size that a process had before `exec` as part of its peak, and that is its parent's. So a small parent stands
# between this process, which may have grown large by now, and the one to be measured.
LAUNCHER = """
import os, sys
child = os.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Measured:
    """What a restore took. `peak`: its largest resident size, in bytes."""

    peak: int
    seconds: float


def launched(words: Sequence[str], noted: Path) -> tuple[int, bytes]:
    """Runs a process, and returns the largest resident size that it had, in bytes, and its output. `noted`: a file for the size."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path_of_python = os.pathsep.join([TESTS, *filter(None, [environment.get("PYTHONPATH")])])
    command = [sys.executable, "-S", "-E", "-c", LAUNCHER, str(noted), *words]
    done = subprocess.run(command, env={**environment, "PYTHONPATH": path_of_python}, stdout=subprocess.PIPE, check=True)
    return int(noted.read_text()) * 1024, done.stdout


def measured(count: int, words: Sequence[str], path: Path) -> Measured:
    """Run a restore of `count` rows into `path` as a process of its own; check that all are there."""
    began = time.monotonic()
    peak, said = launched(words, path.with_suffix(".peak"))
    report = msgspec.json.decode(said, type=Restored)
    assert (report.put, report.failed) == (count, 0)
    with path.open("rb") as file:
        assert sum(1 for _ in file) == count
    took = Measured(peak, time.monotonic() - began)
    sys.stderr.write(f"{words[0]} {count:,} rows: peak {took.peak / MEGABYTE:.0f} MB, {took.seconds:.1f} s\n")
    return took


def restore_rows(count: int, folder: Path) -> Measured:
    """The rows layout, from a vault that is computed."""
    path = folder / f"rows-{count}"
    return measured(count, [sys.executable, "-m", "kit.computed_vault", str(count), str(path)], path)


def restore_log(count: int, folder: Path) -> Measured:
    """The log layout, from a folder, by the real command."""
    vault, path = folder / f"vault-{count}", folder / f"log-{count}"
    vault.mkdir()
    log = computed.init_table(DirectoryStore(vault, SystemClock()), Layout.LOG).log
    for start in range(0, count, computed.SEGMENT):
        run = [computed.entry(number, inline=True) for number in range(start, min(start + computed.SEGMENT, count))]
        log.write_batch(run, SegmentKind.LAMBDA, writer="test")
    words = ["restore", computed.TABLE, "--vault", f"file://{vault}", "--at", str(computed.AT), "--to-file", str(path), "--json"]
    return measured(count, [COMMAND, *words], path)


@pytest.mark.parametrize("restore", [restore_rows, restore_log])
def test_few_rows_take_little_memory(tmp_path: Path, restore: Callable[[int, Path], Measured]) -> None:
    assert restore(20_000, tmp_path).peak < 150 * MEGABYTE


@pytest.mark.soak
@pytest.mark.parametrize("restore", [restore_rows, restore_log])
def test_three_times_the_rows_do_not_take_much_more_memory(tmp_path: Path, restore: Callable[[int, Path], Measured]) -> None:
    few, many = restore(33_000, tmp_path), restore(100_000, tmp_path)
    assert many.peak < 200 * MEGABYTE
    assert many.peak - few.peak < 25 * MEGABYTE, "67,000 rows more, held in memory, would be 50 MB"


@pytest.mark.soak
@pytest.mark.parametrize("restore", [restore_rows, restore_log])
def test_a_million_rows_in_less_than_300_megabytes(tmp_path: Path, restore: Callable[[int, Path], Measured]) -> None:
    assert restore(1_000_000, tmp_path).peak < 300 * MEGABYTE
