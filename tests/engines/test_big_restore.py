"""A restore of a million items and two million changes by the real command: in bounded memory, and every byte right."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.operations.base.compact import compact
from backstream.stores.directory import DirectoryStore
from backstream.vault.table_vault import TableVault
from kit import big_rows, big_vault, processes
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


def filled(folder: Path, items: int, number: int, place: big_vault.Placing = big_vault.inline) -> tuple[TableVault, array[int]]:
    """A vault in a folder, and the newest version of each of its items."""
    folder.mkdir()
    vault = big_vault.vault_in(DirectoryStore(folder, SystemClock()))
    return vault, big_vault.fill(vault, items, number, place)


def restored(folder: Path, items: int, number: int, *, compacted: bool) -> Took:
    """Fill a vault, restore it to a file, and compare every line."""
    vault, newest = filled(folder / "vault", items, number)
    if compacted:
        compact(vault, SystemClock())
        assert changes(vault) == number
    at, path = str(big_vault.last_second(number)), folder / "out.ndjson"
    words = [COMMAND, "restore", big_vault.TABLE, "--vault", vault.store.url, "--at", at, "--to-file", str(path), "--allow-gap"]
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
@pytest.mark.parametrize("compacted", [pytest.param(False, marks=pytest.mark.soak), True])
def test_thousands_of_items_and_twice_the_changes(tmp_path: Path, *, compacted: bool) -> None:
    """Enough for workers; what it takes is mostly Python itself."""
    assert 20 * MEGABYTE < restored(tmp_path, 15_000, 30_000, compacted=compacted).peak < 200 * MEGABYTE


@needs_proc
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("compacted", [False, True])
def test_a_million_items_and_two_million_changes(tmp_path: Path, *, compacted: bool) -> None:
    assert restored(tmp_path, 1_000_000, 2_000_000, compacted=compacted).peak < 256 * MEGABYTE


# --- the same by other ways -------------------------------------------------------------------------------------------------------


def in_rows(folder: Path, items: int, number: int) -> None:
    """The same table in the rows layout comes back the same."""
    vault, newest = filled(folder / "rows", items, number, big_rows.place)
    path = folder / "rows.ndjson"
    at = str(big_vault.last_second(number))
    words = [sys.executable, "-m", "kit.big_rows", str(folder / "rows"), at, str(path), str(items)]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, stdout=subprocess.DEVNULL, check=True)
    assert vault.catalog.table == big_vault.TABLE
    with path.open("rb") as lines:
        big_vault.assert_restored(lines, newest)


# No line is decoded by DuckDB but for its key, time and sequence number: an image is cut out as text, the last of its line.
STATE = """
WITH lines AS (
  SELECT line, json_extract_string(line, '$.Keys.id.S') AS id,
         json_extract_string(line, '$.Metadata.WriteTimestampMicros.N')::BIGINT AS micros,
         json_extract_string(line, '$.Metadata.ReadBeganMicros.N')::BIGINT AS began,
         lpad(json_extract_string(line, '$.Metadata.SequenceNumber.S'), 40, '0') AS sequence
  FROM read_csv($files, columns = {'line': 'VARCHAR'}, delim = chr(1), quote = '', escape = '', header = false,
                compression = 'zstd', auto_detect = false, max_line_size = 10000000)
), known AS (
  SELECT id, max(micros) FILTER (began IS NULL) AS changed, max(began) AS scanned,
         max_by(line, sequence) FILTER (began IS NULL) AS change, max_by(line, began) FILTER (began IS NOT NULL) AS scan
  FROM lines WHERE micros < $after GROUP BY id
), newest AS (SELECT CASE WHEN changed >= scanned THEN change ELSE scan END AS line FROM known)
SELECT substr(line, strpos(line, ',"NewImage":') + 12, length(line) - strpos(line, ',"NewImage":') - 12) FROM newest
"""


def by_duckdb(files: list[str], at: int) -> Iterator[bytes]:
    """The table's state by a few lines of SQL over the vault's own objects, as lines of a restore."""
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    answer = connection.execute(STATE, {"files": files, "after": (at + 1) * 1_000_000})
    while rows := answer.fetchmany(10_000):
        yield from (b'{"Item":%s}\n' % image.encode() for (image,) in rows)


def checked_by_duckdb(folder: Path, items: int, number: int) -> None:
    """DuckDB finds the same state in segments and base backup, and in compacted sets."""
    vault, newest = filled(folder / "vault", items, number)
    at, own = big_vault.last_second(number), folder / "vault/_backstream" / big_vault.TABLE
    big_vault.assert_restored(by_duckdb([f"{own}/log/*/*/*.zst@/*/body", f"{own}/base/big/*.zst@/*/body"], at), newest)
    compact(vault, SystemClock())
    big_vault.assert_restored(by_duckdb([f"{own}/compacted/*/*-of-*.zst@/*/body"], at), newest)


def test_the_rows_layout_and_duckdb_find_the_same_state(tmp_path: Path) -> None:
    in_rows(tmp_path, 5_000, 10_000)
    checked_by_duckdb(tmp_path, 5_000, 10_000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_rows_layout_and_duckdb_find_the_same_state_of_a_million_items(tmp_path: Path) -> None:
    in_rows(tmp_path, 1_000_000, 2_000_000)
    checked_by_duckdb(tmp_path, 1_000_000, 2_000_000)
