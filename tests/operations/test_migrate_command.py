"""`migrate` and `filter` as commands, on servers: a writer beside it loses nothing, `kill -9` migrates nothing twice."""

from __future__ import annotations

import json
import random
import shlex
import threading
import time
from typing import Any, Self

import msgspec
import pytest

from backstream.model.values import wire
from kit.images import image
from kit.kill_amid_writes import kill_amid_writes
from kit.proxy import FaultProxy
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


def migrated_beside_a_writer(scene: Scene, rows: int, pause: float = 0.002) -> tuple[Ran, Ran]:
    """All rows of a table, while somebody else writes; then taken back. None of the writer's changes is lost, at any time."""
    numbered(scene, rows)
    before = scene.items()
    with Writer(scene, rows, pause=pause) as writer:
        ran = scene.call("migrate", scene.table, script(scene, COUNTER), "--live", "--json", "--segments", "2")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["changed"], report["unchanged"], report["failed"]) == (rows, 0, 0)
    assert values(scene) == {number: str(number + 1) for number in range(rows)}, "each row once"
    assert writer.wrote
    assert {number: w for number, w in values(scene, "w").items() if w is not None} == writer.wrote

    scene.tail()
    with Writer(scene, rows // 10, pause=pause) as later:
        undone = scene.call(*shlex.split(report["undo"])[1:], "--json")
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


def test_rows_migrated_beside_a_writer(scene: Scene) -> None:
    migrated_beside_a_writer(scene, 200, pause=0.02)


@pytest.mark.soak
def test_ten_thousand_beside_a_writer(scene: Scene) -> None:
    for ran in migrated_beside_a_writer(scene, 10_000):
        report = ran.json()
        print({name: value for name, value in report.items() if not isinstance(value, list | dict | str)})  # noqa: T201 - to be seen


# --- kill -9 ----------------------------------------------------------------------------------------------------------------------


def test_killed_and_gone_on_with_each_row_once(scene: Scene, dynamodb: FaultProxy) -> None:
    killed_each_row_once(scene, dynamodb, 200, kills=2)


@pytest.mark.soak
def test_killed_again_and_again_each_row_once(scene: Scene, dynamodb: FaultProxy) -> None:
    killed_each_row_once(scene, dynamodb, 1_000, kills=10)


def killed_each_row_once(scene: Scene, proxy: FaultProxy, rows: int, kills: int) -> None:
    numbered(scene, rows)
    words = ["migrate", scene.table, script(scene, COUNTER), "--live"]
    chance, done = random.Random(7), 0
    for turn in range(kills):
        whole = chance.randint(1, rows // (kills + 1))
        kill_amid_writes(lambda words=words: scene.start(*words), proxy, whole, unheard=turn % 2 == 0)  # type: ignore[misc]
        (path,) = scene.folder.glob("backstream-migrate-*")
        words = ["migrate", scene.table, script(scene, COUNTER), "--live", "--resume", str(path)]
        now = sum(1 for number, value in values(scene).items() if value != str(number))
        assert now >= done
        done = now
    assert 0 < done < rows, "the kills came while it wrote"
    ran = scene.call(*words, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json()["changed"], ran.json()["already"]) == (rows - done, done)
    assert values(scene) == {number: str(number + 1) for number in range(rows)}


# --- the command ------------------------------------------------------------------------------------------------------------------


def test_the_command_from_dry_run_to_taken_back(small: Scene) -> None:
    before = small.items()
    text = (
        "own = 0\ndef migrate(item):\n    global own\n    own += 1\n    item['n'] += 1\n    return item\n"
        "def finish(counts):\n    print('finished', counts['live'], counts['changed'], own)\n"
    )
    words = ["migrate", small.table, script(small, text)]
    dry = small.call(*words, "--show", "2")
    assert dry.code == 0, dry.err
    assert 'n: {"N":"0"} -> {"N":"1"}' in dry.out
    assert "would be changed  20" in dry.out
    assert "... and 18 more changes" in dry.out
    assert "20 write units, $" in dry.out
    assert "finished False 20 20" in dry.err
    assert same(small.items(), before)
    live = small.call(*words, "--live", "--json")
    assert live.code == 0, live.err
    assert "finished True 20 20" in live.err, "what it counts for itself is of one run"
    assert "finished False" not in live.err, "the rehearsal ends without it"
    report = live.json()
    assert f"To take back what it changed, and nothing else: {report['undo']}" in live.err
    assert report["back"].startswith(f"backstream restore {small.table} --at ")
    assert values(small) == {number: str(number + 1) for number in range(20)}
    small.tail()
    undo = shlex.split(report["undo"])[1:]
    assert small.call(*[word for word in undo if word != "--live"], "--json").json()["put"] == 20
    assert values(small) == {number: str(number + 1) for number in range(20)}, "a dry run"
    assert small.call("migrate", small.table, "--undo", report["migration"], "--live").code == 0, "by its id"
    assert same(small.items(), before)


@pytest.mark.soak
def test_the_whole_table_goes_back_too(small: Scene) -> None:
    before = small.items()
    report = small.call("migrate", small.table, script(small, COUNTER), "--live", "--json").json()
    small.tail()
    assert small.call(*shlex.split(report["back"])[1:], "--yes").code == 0
    assert same(small.items(), before)


def at_thirteen(line: str) -> str:
    """A script that is right but for one row."""
    return f"def migrate(item):\n    item['n'] += 1\n    if item['number'] == 13:\n        {line}\n    return item\n"


BAD = {
    "raises": (at_thirteen("raise ValueError('odd')"), 1),
    "nonsense": (at_thirteen("return 'x'"), 1),
    "another key": (at_thirteen("item['number'] += 100"), 1),
    "no function": ("x = 1\n", 2),
    "no Python": ("def migrate(item)\n", 2),
    "raises at once": ("def migrate(item):\n    return item\n1 / 0\n", 1),
}


def test_a_bad_script_writes_nothing(small: Scene) -> None:
    before = small.items()
    for name, (text, code) in BAD.items():
        is_refused(small, name, text, code)
        assert same(small.items(), before), name


def is_refused(small: Scene, name: str, text: str, code: int) -> None:
    ran = small.call("migrate", small.table, script(small, text), "--live")
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) <= 2
    assert ('"number":{"N":"13"}' in ran.err) == (name in ("raises", "nonsense", "another key"))
    assert list(small.folder.glob("backstream-*")) == []


def test_words_that_make_no_sense(small: Scene) -> None:
    path = script(small, COUNTER)
    table = small.table
    for words, code in {
        ("migrate", table): 2,
        ("migrate", table, "missing.py"): 2,
        ("migrate", table, path, "--resume", "x", "--undo", "y"): 2,
        ("migrate", table, path, "--resume", "nothing"): 2,
        ("migrate", table, "--undo", "nothing", "--live"): 2,
        ("migrate", table, path, "--at", "yesterday"): 2,
        ("migrate", table, path, "--at", "now", "--from-snapshot", "s3://x/AWSDynamoDB/1"): 2,
        ("migrate", table, path, "--from-snapshot", "s3://x"): 2,
        ("migrate", table, path, "--segments", "0"): 2,
        ("migrate", table, path, "--concurrency", "0"): 2,
        ("migrate", table, path, "--at", "2001-01-01T00:00:00Z"): 4,
        ("migrate", "another-table", path): 1,
    }.items():
        ran = small.call(*words)
        assert (ran.code, ran.out) == (code, ""), (words, ran.err)
        assert ran.err.startswith("error: ")


def test_without_a_vault_only_a_dry_run_or_by_choice(scene: Scene) -> None:
    scene.create()
    scene.put(image("row", 1, n={"N": "1"}))
    path, without = script(scene, COUNTER), {"BACKSTREAM_VAULT": ""}
    assert scene.call("migrate", scene.table, path, environment=without).code == 0
    refused = scene.call("migrate", scene.table, path, "--live", environment=without)
    assert refused.code == 4
    assert "--without-undo" in refused.err
    assert values(scene) == {1: "1"}
    assert scene.call("migrate", scene.table, path, "--live", "--without-undo", environment=without).code == 0
    assert values(scene) == {1: "2"}


def test_over_the_vault_at_a_moment_and_over_a_snapshot(small: Scene) -> None:
    at = str(int(time.time()))
    made = small.backup().snapshot(at=at, to=f"file://{small.folder}/snapshots")
    path = script(small, COUNTER)
    for source in (["--at", at], ["--from-snapshot", made.url]):
        ran = small.call("migrate", small.table, path, *source, "--json")
        assert (ran.code, ran.json()["changed"]) == (0, 20), ran.err
