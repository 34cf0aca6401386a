"""`compact` where it is meant to run: a real table's stream, real S3 over HTTP, the real commands."""

from __future__ import annotations

import random
from base64 import b64encode

import pytest

from backstream.vault.catalog import Layout
from kit.images import image, key
from kit.proxy import FaultProxy, Request, Response, rewrite
from kit.scene import Scene, next_second, same
from kit.stage import wait_for

ROWS = 300


@pytest.mark.soak
@pytest.mark.parametrize("layout", Layout)
def test_histories_and_restores_are_the_same_before_and_after(scene: Scene, layout: Layout) -> None:
    scene.create()
    scene.init(layout=layout)
    for turn in range(3):
        scene.put(*(image("row", number, v={"N": str(turn)}) for number in range(ROWS)))
        scene.delete(key("row", turn))
        scene.tail()
    then, at = scene.items(), next_second()
    scene.put(image("row", 7, v={"S": "later"}))
    scene.tail()
    words = ["history", scene.table, '{"zone":"row","number":7}', "--json"]
    before = scene.call(*words)
    ran = scene.run("compact", scene.table, "--json")
    assert (ran.code, ran.json()["left"]) == (0, []), ran.err
    assert ran.json()["lines"] == 3 * ROWS + 3 + 1
    assert scene.call(*words).out == before.out
    assert scene.call("restore", scene.table, "--at", str(at), "--to", scene.table + "-new", "--json").code == 0
    assert same(scene.items(scene.table + "-new"), then)
    status = scene.call("status", scene.table, "--json").json()
    assert (status["changes"], status["compacted_changes"]) == (ran.json()["lines"], ran.json()["lines"])
    again = scene.call("compact", scene.table, "--json").json()
    assert (again["segments"], again["hidden"]) == (0, 0)


def test_a_tail_goes_on_beside_it_and_after_it(scene: Scene) -> None:
    scene.create()
    scene.init(layout=Layout.LOG)
    tail = scene.start("tail", scene.table)
    try:
        scene.put(image("row", 0, v={"S": "first"}))
        wait_for(lambda: scene.call("status", scene.table, "--json").json()["changes"], "the tail has not begun")
        for turn in range(4):
            scene.put(*(image("row", number, v={"N": str(turn)}) for number in range(50)))
            assert scene.call("compact", scene.table).code == 0
    finally:
        tail.terminate()
        _, said = tail.communicate(timeout=240)
    assert tail.returncode == 0, said
    scene.put(image("row", 1, v={"S": "after"}))
    caught_up = scene.run("tail", scene.table, "--until-caught-up")
    assert (caught_up.code, "not alone" in caught_up.err) == (0, False), caught_up.err
    assert scene.call("compact", scene.table).code == 0
    ran = scene.call("restore", scene.table, "--at", "now", "--to", scene.table + "-new", "--json")
    assert (ran.code, ran.json()["put"]) == (0, 50), ran.err
    assert same(scene.items(scene.table + "-new"), scene.items())


def test_one_items_history_reads_little(scene: Scene, s3: FaultProxy) -> None:
    """Bytes of all answers together, as they come over the wire: listings, the catalog, the generation, indexes and frames."""
    scene.create()
    scene.init(layout=Layout.LOG)
    chance = random.Random(1)
    for _ in range(2):
        scene.put(*(image("row", number, v={"B": b64encode(chance.randbytes(300)).decode()}) for number in range(2_000)))
        scene.tail()
    assert scene.call("compact", scene.table).code == 0
    sizes: list[int] = []

    def counted(_request: Request, response: Response) -> Response:
        sizes.append(len(response.body))
        return response

    s3.on(rewrite(counted))
    ran = scene.call("history", scene.table, '{"zone":"row","number":7}', "--json")
    assert (ran.code, len(ran.json())) == (0, 2), ran.err
    assert 0 < sum(sizes) < 200_000, "of more than a megabyte"
