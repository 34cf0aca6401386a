"""The memory of `sql` and `export` is bounded, whatever the vault holds: each command is a process of its own, and is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from backstream.engine.local.memory import VARIABLE
from backstream.model import moment
from backstream.stores.directory import DirectoryStore
from kit import big_vault
from kit.clock import ManualClock
from kit.scene import COMMAND
from operations.test_memory import MEGABYTE, launched

BOUND = 64  # MB
EACH_ITEM = "SELECT key, count(*) AS n, max(new) AS new, max(old) AS old FROM changes GROUP BY key"  # all of it waits in DuckDB
ALL = ["--changes", "--from", moment.iso(big_vault.FIRST - 1), "--to"]
Words = Callable[[str, str], list[str]]  # of a folder or a file for the answer, and the last second
COMMANDS: dict[str, Words] = {
    "sql, every row": lambda place, _: ["sql", big_vault.TABLE, "SELECT * FROM changes", "--parquet", place],
    "sql, grouped": lambda place, _: ["sql", big_vault.TABLE, EACH_ITEM, "--parquet", place],
    "sql, a state": lambda place, last: ["sql", big_vault.TABLE, "SELECT * FROM items", "--at", last, "--parquet", place],
    "changes": lambda place, last: ["export", big_vault.TABLE, *ALL, last, "--to", f"file://{place}"],
    "a state": lambda place, last: ["export", big_vault.TABLE, "--at", last, "--to", f"file://{place}"],
    "iceberg": lambda place, last: ["export", big_vault.TABLE, "--format", "iceberg", *ALL, last, "--to", f"file://{place}"],
}


def vault_of(items: int, changes: int, folder: Path) -> Path:
    """A vault in a folder, filled."""
    folder.mkdir()
    vault = big_vault.vault_in(DirectoryStore(folder, ManualClock(big_vault.BEGAN - 60)))
    big_vault.fill(vault, items, changes)
    return folder


def peaks(items: int, changes: int, folder: Path) -> dict[str, float]:
    """The largest size of each command's process, in MB."""
    vault, found = vault_of(items, changes, folder / f"vault-{changes}"), dict[str, float]()
    last = moment.iso(big_vault.last_second(changes))
    for number, (name, words) in enumerate(COMMANDS.items()):
        place = folder / f"answer-{changes}-{number}"
        environment = ["env", f"{VARIABLE}={BOUND}", COMMAND]
        more = ["--vault", f"file://{vault}", "--allow-gap"]
        peak, _ = launched([*environment, *words(str(place), last), *more], folder / "peak")
        found[name] = peak / MEGABYTE
        sys.stderr.write(f"{name}, {changes:,} changes: peak {found[name]:.0f} MB\n")
        rows = ds.dataset([str(each) for each in files_of(place)], format="parquet").count_rows()
        assert rows == (items if "state" in name or "grouped" in name else changes)
    return found


def files_of(place: Path) -> list[Path]:
    return [place] if place.is_file() else list(place.rglob("*.parquet"))


@pytest.mark.soak
def test_twenty_times_as_many_changes_take_hardly_more_memory(tmp_path: Path) -> None:
    """The larger vault has 300 MB of images. What is bounded comes on top of Python, Arrow and DuckDB themselves."""
    few, many = peaks(7_500, 20_000, tmp_path), peaks(150_000, 400_000, tmp_path)
    assert max(many.values()) < 400
    assert {name: grown for name in many if (grown := many[name] - few[name]) > 150} == {}
