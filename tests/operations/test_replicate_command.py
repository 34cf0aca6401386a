"""`backstream replicate` on real servers: killed under a writer, with changes that come again and late; then `diff` is clean."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from typing import Any

import pytest

from backstream.model.changes.change import Change
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.replicate import Deletes, Reconciler, bring
from backstream.ports import Put
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit.load_writer import LoadWriter, row
from kit.scene import Scene
from kit.stage import wait_for

ROWS = 300
ID = KeySchema(KeyAttribute("id", "S"))


@pytest.fixture
def copy(scene: Scene) -> str:
    """A table with rows and a stream, and an empty one beside it: the name of that."""
    scene.schema = ID
    scene.create()
    scene.live().enable_stream()
    scene.write(Put(json.dumps(row(number, 0)).encode()) for number in range(ROWS))
    scene.create(f"{scene.table}-copy")
    return f"{scene.table}-copy"


class Redelivery(threading.Thread):
    """Any of the changes of the last while, in any order, again and again: what a function may be given that is slow or retried."""

    def __init__(self, scene: Scene, copy: str) -> None:
        super().__init__(daemon=True)
        self._source, self._target = scene.live(), scene.live(copy)
        arn = self._source.facts().stream_arn
        assert arn is not None
        self._stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn)
        self._over = threading.Event()
        self.delivered = 0
        self.failures: dict[int, Any] = {}

    def run(self) -> None:
        chance = random.Random(7)
        replica = Reconciler(self._source, self._target, ID, Deletes.ALL)
        while not self._over.wait(0.1):
            changes = chance.sample(known := self._changes(), min(len(known), 40))
            self.failures.update(bring(changes, replica, ID))
            self.delivered += len(changes)

    def _changes(self) -> list[Change]:
        shards = self._stream.facts().shards
        return [c for s in shards for c in self._stream.read(s.id, self._stream.iterator(s.id, None)).changes]

    def stop(self) -> None:
        self._over.set()
        self.join(240)
        assert not self.is_alive()


def written_while_it_is_killed(scene: Scene, copy: str, seconds: float, kills: int) -> LoadWriter:
    """The writer, after that time."""
    chance, again = random.Random(1), Redelivery(scene, copy)
    again.start()
    with LoadWriter(scene.aws.client("dynamodb"), scene.table, ROWS) as writer:
        for number in range(kills):
            running = scene.start("replicate", scene.table, "--to", copy)
            time.sleep(seconds / kills * chance.uniform(0.5, 1.5))
            least = 101 * (number + 1) // kills
            wait_for(lambda least=least: writer.changes >= least)  # type: ignore[misc]
            running.send_signal(signal.SIGKILL)
            running.communicate()
    again.stop()
    assert again.failures == {}
    assert again.delivered
    return writer


def check_alike(scene: Scene, copy: str) -> dict[str, Any]:
    ended = scene.call("replicate", scene.table, "--to", copy, "--until-caught-up", "--json")
    assert ended.code == 0, ended.err
    found = scene.call("diff", scene.table, copy, "--json")
    assert found.code == 0, found.out + found.err
    assert found.json()["same"] == len(scene.items()) == len(scene.items(copy))
    report: dict[str, Any] = ended.json()
    return report


def test_killed_under_a_writer_beside_redeliveries(scene: Scene, copy: str) -> None:
    writer = written_while_it_is_killed(scene, copy, seconds=4, kills=2)
    assert writer.changes > 100
    report = check_alike(scene, copy)
    assert (report["table"], report["target"], report["gaps"]) == (scene.table, copy, 0)


@pytest.mark.soak
def test_a_minute_of_it(scene: Scene, copy: str) -> None:
    writer = written_while_it_is_killed(scene, copy, seconds=60, kills=15)
    assert writer.changes > 500, "a busy machine writes a third of what an idle one does"
    check_alike(scene, copy)


def test_stopped_it_ends_cleanly_and_goes_on(scene: Scene, copy: str) -> None:
    running = scene.start("replicate", scene.table, "--to", copy, "--copy", "--json")
    wait_for(lambda: len(scene.items(copy)) == ROWS)
    running.send_signal(signal.SIGTERM)
    out, said = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert json.loads(out)["copied"] == ROWS
    scene.write([Put(json.dumps(row(1, 9)).encode())])
    report = check_alike(scene, copy)
    assert (report["changes"], report["put"]) == (1, 1)


def test_a_target_may_be_named_by_its_arn(scene: Scene, copy: str) -> None:
    arn = scene.aws.client("dynamodb").describe_table(TableName=copy)["Table"]["TableArn"]
    ran = scene.call("replicate", scene.table, "--to", arn, "--copy", "--until-caught-up", "--json")
    assert (ran.code, len(scene.items(copy))) == (0, ROWS), ran.err
    assert [each.name for each in scene.folder.glob("replicate-*")] == [
        f"replicate-{scene.table}-to-{arn.replace(':', '_').replace('/', '_')}.json"
    ]


def test_words_that_are_wrong(scene: Scene, copy: str) -> None:
    for words, code, said in (
        (["--to", scene.table], 4, "same table"),
        (["--to", "nowhere-at-all"], 1, "nowhere-at-all"),
        (["--to", copy, "--deletes", "some"], 2, "deletes"),
        ([], 2, "--to"),
        (["--to", copy, "--to-profile", "nobody"], 1, "nobody"),
    ):
        ran = scene.call("replicate", scene.table, *words, "--until-caught-up")
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert said in ran.err
        assert "Traceback" not in ran.err
    assert scene.items(copy) == {}
