"""A base backup of a large table whose rows are changed and deleted all the while, and that is killed in the middle."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from backstream.model import moment
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.ports import Put
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.children import TailProcess, environment
from kit.load_writer import LoadWriter, row
from kit.scene import Scene
from kit.seconds_writer import State

ROWS = 100_000
MOMENTS = 5
AFTERWARDS = 20  # seconds that the writer goes on after the base backup's end
SCHEMA = KeySchema(KeyAttribute("id", "S"))


def stock(scene: Scene, rows: int) -> None:
    """The table's rows, in batches."""
    table = scene.live()

    def write(start: int) -> None:
        batch = [Put(json.dumps(row(number, 0)).encode()) for number in range(start, min(start + 25, rows))]
        assert not table.write(batch)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, rows, 25)))


def restored(scene: Scene, second: int) -> State:
    """The table at that second, by `restore --to-file`."""
    path = scene.folder / f"{second}.ndjson"
    ran = scene.call("restore", scene.table, "--at", str(second), "--to-file", str(path))
    assert ran.code == 0, ran.err
    items = [json.loads(line)["Item"] for line in path.read_text().splitlines()]
    found = {item["id"]["S"]: item for item in items}
    assert len(found) == len(items)
    return found


def rows_in_parts(vault: TableVault) -> int:
    return sum(part.count for plan in vault.bases.plans() for part in vault.bases.parts(plan.id))


def backfill_killed_once(scene: Scene, source: random.Random) -> tuple[dict[str, object], int]:
    """The report of the second one, and how many rows the first one left."""
    first = scene.start("backfill", scene.table)
    vault = scene.vault()
    while not rows_in_parts(vault):
        assert first.poll() is None, first.communicate()
        time.sleep(0.2)
    time.sleep(source.uniform(0, 1))  # the instant is what is at random
    first.kill()
    assert first.wait() == -signal.SIGKILL, "it was still at work"
    first.communicate()
    left = rows_in_parts(vault)
    assert vault.bases.complete() == []
    second = scene.start("backfill", scene.table, "--json")
    out, said = second.communicate()
    assert second.returncode == 0, said
    report: dict[str, object] = json.loads(out)
    return report, left


def under_load(scene: Scene, rows: int, layout: Layout, tell: Callable[[str], None]) -> None:
    """Write, back up, kill, compare; tells of each step once it is done."""
    source = random.Random(rows)
    scene.schema = SCHEMA
    scene.create()
    with timed(tell, f"{rows} rows stocked"):
        stock(scene, rows)
    scene.init(layout=layout)
    tail = TailProcess(scene.table, environment(scene.environment, scene.url))
    with LoadWriter(scene.aws.client("dynamodb"), scene.table, rows, seed=rows) as writer:
        with timed(tell, "backfill killed in its middle and run again"):
            report, left = backfill_killed_once(scene, source)
        tell(
            f"{left} rows were in parts at the kill, {report['written']} written by the second run, "
            f"{writer.changes} changes meanwhile"
        )
        time.sleep(AFTERWARDS)
    code, _, said = tail.stop(signal.SIGTERM)
    assert code == 0, said
    with timed(tell, f"tail caught up with {writer.changes} changes"):
        caught_up = scene.start("tail", scene.table, "--until-caught-up")
        _, said = caught_up.communicate()
    assert caught_up.returncode == 0, said

    assert report["resumed"]
    assert 0 < left < rows
    with timed(tell, "verified"):
        verified = scene.call("verify", scene.table, "--json")
    assert verified.code == 0, verified.err
    found = verified.json()
    assert [found[kind] for kind in ("missing", "extra", "different", "in_flight", "failed")] == [0] * 5
    assert found["same"] == len(writer.at(writer.sure_seconds()[-1] + 60))

    end = moment.parse_iso_micros(str(report["ended"])) // 1_000_000
    after = [second for second in writer.sure_seconds() if second >= end]
    compared = sorted({after[0], after[-1], *source.sample(after[1:-1], MOMENTS - 2)})
    assert len(compared) == MOMENTS
    with timed(tell, f"{MOMENTS} restores equal"):
        for second in compared:
            assert restored(scene, second) == writer.at(second), f"at {second}"


@contextmanager
def timed(tell: Callable[[str], None], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    tell(f"{what}: {time.monotonic() - began:.0f} s")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("layout", "rows", "folder"),
    [
        (Layout.LOG, ROWS, False),
        (Layout.ROWS, ROWS, True),
        # A listing of one object's versions takes an emulator as long as its bucket is large, and a row's later changes need one.
        (Layout.ROWS, ROWS // 10, False),
    ],
)
def test_a_large_table_under_full_load(
    scene: Scene,
    layout: Layout,
    rows: int,
    folder: bool,  # noqa: FBT001 - a parameter of pytest's
    capsys: pytest.CaptureFixture[str],
) -> None:
    def tell(words: str) -> None:
        with capsys.disabled():
            print(f"{layout} in {scene.url}: {words}", flush=True)  # noqa: T201 - a soak's result is its numbers

    if folder:
        (scene.folder / "vault").mkdir()
        scene.url = f"file://{scene.folder}/vault"
    under_load(scene, rows, layout, tell)
