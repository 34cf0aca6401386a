"""Exports and queries of many changes stay within a bound, whatever the number of changes is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from backstream.stores.directory import DirectoryStore
from kit import big_vault
from kit.clock import ManualClock
from kit.scene import COMMAND

SETTING = 64  # BACKSTREAM_MEMORY_MB
# Python, botocore, pyarrow, DuckDB and pyiceberg themselves, with what their allocators hold on to.
BESIDE = 450  # MB
ALL = ("--changes", "--from", str(big_vault.BEGAN), "--allow-gap")
WORDS = {
    "parquet": ("export", "big", "--to", "file://{0}/parquet", *ALL),
    "iceberg": ("export", "big", "--to", "file://{0}/lake", "--format", "iceberg", *ALL),
    "sql": ("sql", "big", "SELECT * FROM changes ORDER BY new DESC", "--parquet", "{0}/answer.parquet", "--allow-gap"),
}


def peak(words: tuple[str, ...], folder: Path) -> int:
    """Runs a command, and returns the most memory that it had, in MB."""
    whole = [COMMAND, *(each.format(folder) for each in words)]
    environment = {**os.environ, "BACKSTREAM_VAULT": f"file://{folder}/vault", "BACKSTREAM_MEMORY_MB": str(SETTING)}
    child = os.posix_spawn(sys.executable, [sys.executable, *whole], environment)
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return used.ru_maxrss >> 10


@pytest.mark.soak
@pytest.mark.parametrize("changes", [100_000, 1_000_000])
def test_memory_stays_within_its_bound(changes: int, tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    vault = big_vault.vault_in(DirectoryStore(tmp_path / "vault", ManualClock(big_vault.BEGAN - 60)))
    big_vault.fill(vault, changes // 10, changes)
    found = {name: peak(words, tmp_path) for name, words in WORDS.items()}
    assert max(found.values()) < SETTING + BESIDE, found
    print(f"{changes:,} changes: {found}")  # noqa: T201 - what was measured
