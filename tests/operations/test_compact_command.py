"""The command `compact` on a vault in a folder: what it says, what it ends with, what a history costs after it, and `kill -9`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from array import array
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.cli.main import call
from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.model import moment
from backstream.operations.base.compact import compact
from backstream.operations.inspect.history import history
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.table_vault import TableVault
from kit import big_vault
from kit.children import COMMAND, KILLED, KillAt
from kit.clock import ManualClock
from kit.lived import LOG, changes, hidden, lived, names, told
from kit.spoil import spoil
from kit.stage import Stage
from kit.watched import WatchedStore

Said = tuple[int, str, str]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return lived(store=DirectoryStore(tmp_path, ManualClock()))[0]


def said(capsys: pytest.CaptureFixture[str], stage: Stage, *words: str) -> Said:
    """Exit code, stdout and stderr of the command."""
    capsys.readouterr()
    code = call(["compact", "flights", "--vault", stage.store.url, *words])
    return code, *capsys.readouterr()


# --- what it says ----------------------------------------------------------------------------------------------------------------


def test_it_says_what_it_did(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, stage)
    assert (code, err) == (0, "")
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    segments = len(hidden(stage.store)) + len(names(stage.store, LOG))
    assert facts["taken over"].strip() == f"{segments} segments, 0 parts of base backups: {len(stage.model)} lines"
    assert facts["hidden"].strip().startswith(f"{len(hidden(stage.store)) + 1} objects")
    assert facts["now"].strip().startswith("1 sets, 1 objects")


def test_the_same_for_programs(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    before = told(stage, [])
    code, out, err = said(capsys, stage, "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["table"], report["lines"], report["sets"], report["objects"], report["left"]) == ("flights", 33, 1, 1, [])
    assert told(stage, []) == before
    _, again, _ = said(capsys, stage, "--json")
    report = json.loads(again)
    assert (report["segments"], report["parts"], report["lines"], report["hidden"], report["sets"]) == (0, 0, 0, 0, 1)


def test_with_until_what_is_newer_is_left(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    second = stage.model[15][0]
    code, out, _ = said(capsys, stage, "--until", moment.iso(second), "--json")
    taken = json.loads(out)["lines"]
    assert code == 0
    assert 0 < taken < len(stage.model)
    left = [each.segment for each in stage.vault().inventory().segments]
    assert all(each is not None and each.max_time > second for each in left)
    assert said(capsys, stage, "--until", "last tuesday")[0] == 2


def test_what_cannot_be_read_is_named_and_ends_with_1(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    segment = next(each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count)
    spoil(stage.store, segment.name, b"damaged")
    stage.store.put(f"{LOG}readme.txt", b"of a person")
    code, out, err = said(capsys, stage, "--json")
    report = json.loads(out)
    assert code == 1
    assert sorted(each["name"] for each in report["left"]) == sorted([segment.name, f"{LOG}readme.txt"])
    assert f"LEFT AS IT IS: {segment.name}: not zstd data" in err
    assert f"LEFT AS IT IS: {LOG}readme.txt: a foreign object in the change log" in err
    assert "2 objects could not be taken over" in json.loads(err.splitlines()[-1])["error"]["message"]
    assert report["lines"] == len(stage.model) - (segment.segment.count if segment.segment else 0)
    assert said(capsys, stage)[0] == 1, "as long as they are there"


def test_a_table_without_a_vault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compact", "flights", "--vault", tmp_path.as_uri()]) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["much", "63", "-1", "1e3", "256MB", " "])
def test_a_memory_that_is_no_number_or_too_little_is_refused(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """By all that use it, before anything is done."""
    monkeypatch.setenv("BACKSTREAM_MEMORY_MB", text)
    code, out, err = said(capsys, stage)
    assert (code, out) == (2, "")
    assert f"BACKSTREAM_MEMORY_MB is {text!r}" in err
    assert "64 at least" in err
    words = ["restore", "flights", "--vault", stage.store.url, "--at", str(stage.model[9][0]), "--to-file", str(tmp_path / "out")]
    assert call(words) == 2
    assert not (tmp_path / "out").exists()


# --- what it is for --------------------------------------------------------------------------------------------------------------


def filled(store: ObjectStore, items: int, number: int) -> tuple[TableVault, array[int]]:
    vault = big_vault.vault_in(store)
    return vault, big_vault.fill(vault, items, number)


def read_of(store: ObjectStore, item: int) -> tuple[list[object], int]:
    """An item's history, and how many bytes it took."""
    watched = WatchedStore(store)
    found = history(TableVault.open(watched, big_vault.TABLE, engines=LocalEngine), big_vault.keys_of(item))
    return list(found), watched.read


def test_one_item_s_history_reads_kilobytes() -> None:
    store = MemoryStore(ManualClock())
    vault, _ = filled(store, 6_000, 18_000)
    items = (0, 7, 5_999, 2_345, 77_777)
    before = {item: read_of(store, item) for item in items}
    assert all(size > 500_000 for _, size in before.values())  # filters of segments spare two thirds of them
    compact(vault, ManualClock(big_vault.last_second(18_000) + 3_600))
    for item in items:
        found, size = read_of(store, item)
        assert found == before[item][0]
        assert size < 200_000
    assert sum(len(found) for found, _ in before.values()) > 8
    assert before[77_777][0] == []


# --- killed ----------------------------------------------------------------------------------------------------------------------


def survive_kills(folder: Path, most: int, segments: int, seed: int) -> str:
    """Kill it at writes drawn by chance, so many times; then let one end by itself. What happened, in words."""
    source, store = random.Random(seed), DirectoryStore(folder / "vault", SystemClock())
    (folder / "vault").mkdir()
    vault, newest = filled(store, 500, 0)
    made = write_small(vault, newest, segments)
    command = Command(store.url, folder / "tmp")
    began = time.monotonic()
    command.run()
    seen = set[tuple[int, bool]]()
    killed = 0
    while killed < most:
        if not vault.inventory().segments and not vault.compacted.current().unsettled:
            made += write_small(vault, newest, segments)
        # One of the few writes before the sources are hidden, or one of those; one that goes on has fewer left, and may end.
        left = len(vault.inventory().segments)
        killed += command.killed(KillAt.chosen(source, 5 if killed % 2 else max(left, 10)))
        assert changes(vault) == made
        generation = vault.compacted.current()
        seen.add((generation.number, bool(generation.unsettled)))
    assert command.run()["left"] == []
    assert changes(vault) == made
    assert vault.inventory().segments == []
    assert_all_there(vault, newest)
    took = time.monotonic() - began
    return f"{killed} kills in {took:.0f} s, after them (generation, unsettled) {sorted(seen)}; {made} changes, none lost or twice"


class Command:
    """`backstream compact` on a vault."""

    def __init__(self, vault: str, temporary: Path) -> None:
        temporary.mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
        self._environment = {**own, "TMPDIR": str(temporary)}  # what is left there of those that were killed is the test's
        self._words = [COMMAND, "compact", big_vault.TABLE, "--vault", vault, "--json"]

    def run(self) -> dict[str, Any]:
        """Let it end by itself; its report."""
        done = subprocess.run(self._words, env=self._environment, capture_output=True, check=True)
        return dict(json.loads(done.stdout))

    def killed(self, at: KillAt) -> bool:
        """Whether it came to the write at which signal 9 was to end it; else it has ended by itself."""
        words, tests = self._words[1:], str(Path(KILLED).parent.parent)
        process = subprocess.run(
            at.command(*words), env={**self._environment, "PYTHONPATH": tests}, stdout=subprocess.DEVNULL, check=False
        )
        assert process.returncode in (0, -signal.SIGKILL)
        return process.returncode != 0


def write_small(vault: TableVault, newest: array[int], segments: int) -> int:
    """So many segments of ten changes each, after those that are there; how many changes."""
    return big_vault.add(vault, newest, segments * 10, batch=10)


def assert_all_there(vault: TableVault, newest: array[int]) -> None:
    for item in range(0, len(newest), 50):
        found = history(vault, big_vault.keys_of(item))
        assert bytes(found[-1].image) == big_vault.image_of(item, newest[item])


@pytest.mark.soak
def test_killed_fifty_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word = survive_kills(tmp_path, most=50, segments=60, seed=50)
    with capsys.disabled():
        print(f"\n{word}")  # noqa: T201 - a soak's result is its numbers
