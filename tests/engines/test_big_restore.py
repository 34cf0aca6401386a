"""A restore of a million items and two million changes by the real command: in bounded memory, and every byte right."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.operations.compact import compact
from backstream.stores.directory import DirectoryStore
from kit import big_vault, processes
from kit.children import COMMAND
from kit.lived import changes
from kit.processes import needs_proc

MEGABYTE = 1 << 20


class Took(msgspec.Struct, frozen=True):
    """What a command took. `peak`: bytes, of all its processes at one time; `cpu`: seconds, of all."""

    peak: int
    cpu: float
    seconds: float


def measured(words: list[str], folder: Path) -> Took:
    """Run it in a session of its own, looking at its memory all the time."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(words, env={**own, "TMPDIR": str(folder)}, stdin=subprocess.DEVNULL, start_new_session=True)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, processes.resident(process.pid))
        time.sleep(0.05)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Took(peak, usage.ru_utime + usage.ru_stime, time.monotonic() - began)


def restored(folder: Path, items: int, number: int, *, compacted: bool) -> Took:
    """Fill a vault, restore it to a file, and compare every line."""
    (folder / "vault").mkdir()
    store = DirectoryStore(folder / "vault", SystemClock())
    vault = big_vault.vault_in(store)
    newest = big_vault.fill(vault, items, number)
    if compacted:
        compact(vault, SystemClock())
        assert changes(vault) == number
    at, path = str(big_vault.last_second(number)), folder / "out.ndjson"
    words = [COMMAND, "restore", big_vault.TABLE, "--vault", store.url, "--at", at, "--to-file", str(path), "--allow-gap"]
    took = measured(words, folder)
    with path.open("rb") as lines:
        big_vault.assert_restored(lines, newest)
    what = "sets" if compacted else "segments"
    sys.stderr.write(
        f"{items:,} items, {number:,} changes in {what}: "
        f"{took.peak / MEGABYTE:.0f} MB, {took.cpu:.0f} s CPU, {took.seconds:.0f} s\n"
    )
    return took


@needs_proc
@pytest.mark.parametrize("compacted", [False, True])
def test_thousands_of_items_and_twice_the_changes(tmp_path: Path, *, compacted: bool) -> None:
    """Enough for workers; what it takes is mostly Python itself."""
    assert 20 * MEGABYTE < restored(tmp_path, 15_000, 30_000, compacted=compacted).peak < 200 * MEGABYTE


@needs_proc
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("compacted", [False, True])
def test_a_million_items_and_two_million_changes(tmp_path: Path, *, compacted: bool) -> None:
    assert restored(tmp_path, 1_000_000, 2_000_000, compacted=compacted).peak < 256 * MEGABYTE
