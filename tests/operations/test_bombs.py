"""Objects that would take a reader's memory or time: each is named, the rest is restored, and memory stays bounded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from backstream.stores.directory import DirectoryStore
from kit import bombs
from kit.bombs import Bomb, Report, Tried
from kit.clock import ManualClock
from kit.lived import lived, state

TESTS = str(Path(__file__).parents[1])
MEGABYTE = 1 << 20
PEAK = 400 * MEGABYTE
PATIENCE = 10.0  # seconds


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """A vault, a second of it, and how many rows there were then."""
    folder = tmp_path_factory.mktemp("bombs") / "vault"
    folder.mkdir()
    stage, seconds = lived(store=DirectoryStore(folder, ManualClock()))
    return folder, seconds[-1], len(state(stage.vault(), seconds[-1]))


@pytest.fixture(scope="module")
def every(vault: tuple[Path, int, int]) -> list[Bomb]:
    folder, at, _ = vault
    store = DirectoryStore(folder, ManualClock())
    return list(bombs.bombs(at, {each.name: store.get(each.name).body for each in store.list("")}))


SOME = (
    "segment: a line of a gigabyte",
    "segment: nested where nobody looks",
    "gap: many digits",
    "catalog: nested",
    "base: a nested plan",
)


@pytest.mark.soak  # all bombs are made for it; `tests/layouts/test_limits.py` has each reader's limit in `make test`
@pytest.mark.parametrize("kind", SOME)
def test_some_by_themselves(vault: tuple[Path, int, int], every: list[Bomb], kind: str, tmp_path: Path) -> None:
    """The others, and what they take: in the soak."""
    bomb = next(each for each in every if each.kind == kind)
    folder = tmp_path / "vault"
    shutil.copytree(vault[0], folder)
    store = DirectoryStore(folder, ManualClock())
    for name, body in {bomb.name: bomb.body, **bomb.more}.items():
        store.put(name, body, bombs.METADATA)
    assert _wrong(bomb, bombs.tried(bomb, folder), vault[2]) == ""


@pytest.fixture(scope="module")
def report(vault: tuple[Path, int, int], every: list[Bomb]) -> Report:
    folder, _, _ = vault
    (folder.parent / "bombs").mkdir()
    for number, bomb in enumerate(every):
        (folder.parent / "bombs" / f"{number:03d}").write_bytes(msgspec.msgpack.encode(bomb))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    paths = os.pathsep.join([TESTS, *filter(None, [environment.get("PYTHONPATH")])])
    launched = [sys.executable, "-m", "kit.bombs", str(folder)]
    more = {"PYTHONPATH": paths, "BACKSTREAM_MEMORY_MB": "256", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(launched, env={**environment, **more}, stdout=subprocess.PIPE, check=True, timeout=1_200)
    return msgspec.json.decode(done.stdout, type=Report)


@pytest.mark.soak
def test_each_is_named_and_the_rest_is_restored(report: Report, every: list[Bomb], vault: tuple[Path, int, int]) -> None:
    wrong = [why for bomb, tried in zip(every, report.tried, strict=True) if (why := _wrong(bomb, tried, vault[2]))]
    assert not wrong, "\n".join(wrong)


def _wrong(bomb: Bomb, tried: Tried, rows: int) -> str:
    if "defect" in tried.err or tried.code != bomb.code or bomb.says not in tried.err:
        return f"{bomb.kind}: exit code {tried.code}, not {bomb.code}; {bomb.says!r} in {tried.err!r:.900}"
    if bomb.spares and tried.rows != rows:
        return f"{bomb.kind}: {tried.rows} rows, not {rows}"
    return ""


@pytest.mark.soak
def test_none_takes_long(report: Report) -> None:
    assert [(each.kind, each.seconds) for each in report.tried if each.seconds > PATIENCE] == []


@pytest.mark.soak
def test_none_takes_much_memory(report: Report) -> None:
    assert report.peak < PEAK, f"{report.peak // MEGABYTE} MB"
