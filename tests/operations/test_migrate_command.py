"""`migrate` and `filter` as commands, on servers: a writer beside it loses nothing, `kill -9` migrates nothing twice."""

from __future__ import annotations

import json
import random
import shlex
import signal
import subprocess
import threading
import time
from typing import Any, Self

import msgspec
import pytest

from backstream.model import wire
from kit.images import image
from kit.scene import Ran, Scene, same

COUNTER = "def migrate(item):\n    item['n'] += 1\n    return item\n"


def script(scene: Scene, text: str, name: str = "script.py") -> str:
    path = scene.folder / name
    path.write_text(text)
    return str(path)


def numbered(scene: Scene, rows: int) -> Scene:
    """A table of rows, each with a number, all of it in the vault."""
    scene.create()
    scene.init()
    scene.put(*(image("row", number, n={"N": str(number)}) for number in range(rows)))
    scene.tail()
    return scene


@pytest.fixture
def small(scene: Scene) -> Scene:
    return numbered(scene, 20)


def values(scene: Scene, name: str = "n") -> dict[int, Any]:
    """Each row's attribute, by the row's number."""
    found = [wire.decode(each) for each in scene.items().values()]
    return {int(each["number"]["N"]): next(iter(each[name].values())) if name in each else None for each in found}


class Writer:
    """Somebody else, who changes rows while a `with` block runs: `wrote` is what each of its rows holds last."""

    def __init__(self, scene: Scene, rows: int, *, pause: float = 0.002) -> None:
        self._client = scene.aws.client("dynamodb")
        self._table = scene.table
        self._rows = rows
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)
        self.wrote: dict[int, str] = {}

    def _write_on(self) -> None:
        source, turn = random.Random(3), 0
        while not self._stop.is_set():
            number, turn = source.randrange(self._rows), turn + 1
            self._client.update_item(
                TableName=self._table,
                Key={"zone": {"S": "row"}, "number": {"N": str(number)}},
                UpdateExpression="SET w = :w",
                ExpressionAttributeValues={":w": {"N": str(turn)}},
            )
            self.wrote[number] = str(turn)
            time.sleep(self._pause)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def migrated_beside_a_writer(scene: Scene, rows: int) -> tuple[Ran, Ran]:
    """All rows of a table, while somebody else writes; then taken back. None of the writer's changes is lost, at any time."""
    numbered(scene, rows)
    before = scene.items()
    with Writer(scene, rows) as writer:
        ran = scene.run("migrate", scene.table, script(scene, COUNTER), "--live", "--json", "--segments", "2")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["changed"], report["unchanged"], report["failed"]) == (rows, 0, 0)
    assert values(scene) == {number: str(number + 1) for number in range(rows)}, "each row once"
    assert writer.wrote
    assert {number: w for number, w in values(scene, "w").items() if w is not None} == writer.wrote

    scene.tail()
    with Writer(scene, rows // 10) as later:
        undone = scene.run(*shlex.split(report["undo"])[1:], "--json")
    took_back = undone.json()
    assert took_back["put"] + took_back["conflicts"] == rows
    assert undone.code == (1 if took_back["conflicts"] else 0), undone.err
    left = {msgspec.json.encode(json.loads(each["what"])) for each in took_back["failures"]}
    now = scene.items()
    restored = {each: found for each, found in now.items() if each not in left}
    with_w = {number: w for number, w in values(scene, "w").items() if w is not None}
    assert with_w == {**writer.wrote, **later.wrote}
    assert {n: v for n, v in values(scene).items() if key_of(n) in restored} == {
        n: str(n) for n in range(rows) if key_of(n) in restored
    }
    untouched = {key_of(n) for n in range(rows) if n not in writer.wrote and n not in later.wrote}
    assert untouched
    assert same({each: now[each] for each in untouched}, {each: before[each] for each in untouched}), "as before"
    return ran, undone


def key_of(number: int) -> bytes:
    return msgspec.json.encode({"zone": {"S": "row"}, "number": {"N": str(number)}})


def test_a_thousand_beside_a_writer(scene: Scene) -> None:
    migrated_beside_a_writer(scene, 1_000)


@pytest.mark.soak
def test_ten_thousand_beside_a_writer(scene: Scene) -> None:
    for ran in migrated_beside_a_writer(scene, 10_000):
        report = ran.json()
        print({name: value for name, value in report.items() if not isinstance(value, list | dict | str)})  # noqa: T201 - to be seen


# --- kill -9 ----------------------------------------------------------------------------------------------------------------------


def wait_for_writes(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    while (line := process.stderr.readline()) and "go on with" not in line:
        pass


def test_killed_again_and_again_each_row_once(scene: Scene) -> None:
    rows = 400
    numbered(scene, rows)
    words = ["migrate", scene.table, script(scene, COUNTER), "--live"]
    chance, done = random.Random(7), 0
    for _ in range(4):
        process = scene.start(*words, "--max-write-units", "100")
        wait_for_writes(process)
        time.sleep(chance.uniform(0.2, 0.8))
        process.kill()
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it ended before it was killed: {said}"
        (path,) = scene.folder.glob("backstream-migrate-*")
        words = ["migrate", scene.table, script(scene, COUNTER), "--live", "--resume", str(path)]
        now = sum(1 for number, value in values(scene).items() if value != str(number))
        assert now >= done
        done = now
    assert 0 < done < rows, "the kills came while it wrote"
    ran = scene.run(*words, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json()["changed"], ran.json()["already"]) == (rows - done, done)
    assert values(scene) == {number: str(number + 1) for number in range(rows)}
