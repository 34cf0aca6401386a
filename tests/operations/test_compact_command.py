"""The command `compact` on a vault in a folder: what it says, what it ends with, what a history costs after it, and `kill -9`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from array import array
from collections.abc import Mapping
from pathlib import Path

import pytest

from backstream.apps.cli.main import call
from backstream.clock import SystemClock
from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.operations.compact import compact
from backstream.operations.history import history
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from kit import big_vault
from kit.children import COMMAND
from kit.clock import ManualClock
from kit.lived import LOG, changes, hidden, lived, names, told
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
    stage.store.put(segment.name, b"damaged")
    stage.store.put(f"{LOG}readme.txt", b"of a person")
    code, out, err = said(capsys, stage, "--json")
    report = json.loads(out)
    assert code == 1
    assert sorted(each["name"] for each in report["left"]) == sorted([segment.name, f"{LOG}readme.txt"])
    assert f"LEFT AS IT IS: {segment.name}: not zstd data" in err
    assert f"LEFT AS IT IS: {LOG}readme.txt: a foreign object in the change log" in err
    assert "error: 2 objects could not be taken over" in err
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
    found = history(TableVault.open(watched, big_vault.TABLE), big_vault.keys_of(item))
    return list(found), watched.read


def test_one_item_s_history_reads_kilobytes() -> None:
    store = MemoryStore(ManualClock())
    vault, _ = filled(store, 20_000, 60_000)
    items = (0, 7, 19_999, 12_345, 77_777)
    before = {item: read_of(store, item) for item in items}
    assert all(size > 5_000_000 for _, size in before.values())
    compact(vault, ManualClock(big_vault.last_second(60_000) + 3_600))
    for item in items:
        found, size = read_of(store, item)
        assert found == before[item][0]
        assert size < 200_000
    assert sum(len(found) for found, _ in before.values()) > 8
    assert before[77_777][0] == []


# --- killed ----------------------------------------------------------------------------------------------------------------------


def environment(tmp: Path) -> Mapping[str, str]:
    """The command's, without anybody's servers; what it leaves in its temporary folder is the test's."""
    tmp.mkdir(exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    return {**own, "TMPDIR": str(tmp)}


def survive_kills(folder: Path, most: int, segments: int, seed: int) -> str:
    """Kill it at random moments, until so many have been killed; then let one end by itself. What happened, in words."""
    source, store = random.Random(seed), DirectoryStore(folder / "vault", SystemClock())
    (folder / "vault").mkdir()
    vault, newest = filled(store, 500, 0)
    made = write_small(vault, newest, segments)
    words = [COMMAND, "compact", big_vault.TABLE, "--vault", store.url, "--json"]
    killed, stages, began = 0, set[tuple[int, bool]](), time.monotonic()
    while killed < most:
        process = subprocess.Popen(words, env=environment(folder / "tmp"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(source.uniform(0.4, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        _, said = process.communicate()
        assert process.returncode in (0, -9), said
        assert changes(vault) == made
        stages.add((vault.compacted.current().number, bool(hidden(store, f"_backstream/{big_vault.TABLE}/log/"))))
        if process.returncode == 0:
            made += write_small(vault, newest, segments)
    done = subprocess.run(words, env=environment(folder / "tmp"), capture_output=True, check=True)
    assert json.loads(done.stdout)["left"] == []
    assert changes(vault) == made
    assert [each for each in vault.inventory().segments if each.segment is not None and each.segment.count] == []
    assert_all_there(vault, newest)
    took = time.monotonic() - began
    return f"{killed} kills in {took:.0f} s, (generation, hidden) after them: {sorted(stages)}; {made} changes, none lost or twice"


def write_small(vault: TableVault, newest: array[int], segments: int) -> int:
    """So many segments of ten changes each, after those that are there; how many changes."""
    return big_vault.add(vault, newest, segments * 10, batch=10)


def assert_all_there(vault: TableVault, newest: array[int]) -> None:
    for item in range(0, len(newest), 50):
        found = history(vault, big_vault.keys_of(item))
        assert bytes(found[-1].image) == big_vault.image_of(item, newest[item])


def test_killed_at_random_moments(tmp_path: Path) -> None:
    survive_kills(tmp_path, most=10, segments=60, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_killed_fifty_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word = survive_kills(tmp_path, most=50, segments=400, seed=50)
    with capsys.disabled():
        print(f"\n{word}")  # noqa: T201 - a soak's result is its numbers
