"""A base backup of a large table whose rows are changed and deleted all the while, and that is killed in the middle."""

from __future__ import annotations

import json
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstream.layouts.catalog import Layout
from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.model.schema import KeyAttribute, KeySchema
from backstream.ports import Put
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


def under_load(scene: Scene, rows: int, layout: Layout) -> str:
    """Write, back up, kill, compare. What was done, in words."""
    source = random.Random(rows)
    scene.schema = SCHEMA
    scene.create()
    began = time.monotonic()
    stock(scene, rows)
    stocked = time.monotonic() - began
    scene.init(layout=layout)
    tail = TailProcess(scene.table, environment(scene.environment, scene.url))
    began = time.monotonic()
    with LoadWriter(scene.aws.client("dynamodb"), scene.table, rows, seed=rows) as writer:
        report, left = backfill_killed_once(scene, source)
        took, meanwhile = time.monotonic() - began, writer.changes
        time.sleep(AFTERWARDS)
    code, _, said = tail.stop(signal.SIGTERM)
    assert code == 0, said
    began = time.monotonic()
    caught_up = scene.run("tail", scene.table, "--until-caught-up")
    assert caught_up.code == 0, caught_up.err
    catching_up = time.monotonic() - began

    assert report["resumed"]
    assert 0 < left < rows
    began = time.monotonic()
    verified = scene.call("verify", scene.table, "--json")
    assert verified.code == 0, verified.err
    found = verified.json()
    assert [found[kind] for kind in ("missing", "extra", "different", "in_flight", "failed")] == [0] * 5
    assert found["same"] == len(writer.at(writer.sure_seconds()[-1] + 60))
    verifying = time.monotonic() - began

    end = moment.parse_iso_micros(str(report["ended"])) // 1_000_000
    after = [second for second in writer.sure_seconds() if second >= end]
    compared = sorted({after[0], after[-1], *source.sample(after[1:-1], MOMENTS - 2)})
    assert len(compared) == MOMENTS
    began = time.monotonic()
    for second in compared:
        assert restored(scene, second) == writer.at(second), f"at {second}"
    restoring = time.monotonic() - began
    return (
        f"{rows} rows stocked in {stocked:.0f} s; backfill, killed with {left} rows in parts and run again, in {took:.0f} s, "
        f"{meanwhile} changes meanwhile ({writer.changes} in all), {report['written']} of {report['rows']} rows written by the "
        f"second run; tail caught up in {catching_up:.0f} s; verify clean ({found['same']} same) in {verifying:.0f} s; "
        f"{MOMENTS} restores equal in {restoring:.0f} s"
    )


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("layout", Layout)
def test_a_hundred_thousand_rows_under_full_load(scene: Scene, layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    told = under_load(scene, ROWS, layout)
    with capsys.disabled():
        print(f"\n{layout}: {told}")  # noqa: T201 - a soak's result is its numbers
