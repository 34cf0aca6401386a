"""`status` of a vault in a bucket, over HTTP."""

from __future__ import annotations

from kit.images import image
from kit.proxy import FaultProxy, answer, first
from kit.scene import Scene


def test_a_question_about_the_locks_is_asked_again(scene: Scene, s3: FaultProxy) -> None:
    """S3 answers 503 now and then. That is no reason to say nothing about a vault, nor to say that it has no locks."""
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    scene.put(image("row", 1))
    scene.tail()
    busy = s3.on(answer(503), path="object-lock", when=first(2))
    ran = scene.call("status", scene.table, "--json")
    assert (ran.code, busy.fired) == (0, 2), ran.err
