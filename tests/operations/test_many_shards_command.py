"""Streams of several shards, through the command line: a stuck shard, a third reader, children that are listed late, handovers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from backstream.apps import aws_lambda
from backstream.errors import Unavailable
from backstream.model import moment
from backstream.operations.capture.shards import Settings
from backstream.operations.capture.witness import SETTINGS
from backstream.ports import ChangeStream, RecordsPage
from kit.many_shards import DeployedFunction, ManyShards, many_shards
from kit.proxy import FaultProxy, answer, first
from kit.scene import Scene, next_second, same
from kit.streams import LateListing, OneByOne, Wrapped

IN_PLACE = ("--in-place", "--yes", "--json")
HOUR = 3_600
TOO_MUCH = '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}'


@pytest.fixture
def stage(scene: Scene, dynamodb: FaultProxy) -> Iterator[ManyShards]:
    with many_shards(scene, dynamodb) as made:
        yield made


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that do not wait for children that a test does not list, but long for the sibling of an only child."""
    module = "backstream.apps.verbs.capturing"
    quick = partial(Settings, poll=0.02, children_wait=0.2, sibling_wait=2.0 * HOUR)
    monkeypatch.setattr(f"{module}.SETTINGS", quick(segment_count=SETTINGS.segment_count, mark_busy=60.0, mark_idle=60.0))
    monkeypatch.setattr(f"{module}.Settings", quick)


class OnlyShard(Wrapped):
    """A stream of which one shard alone can be read."""

    def __init__(self, inner: ChangeStream, shard: str) -> None:
        super().__init__(inner)
        self._shard = shard

    def read(self, shard: str, iterator: str) -> RecordsPage:
        if shard != self._shard:
            raise Unavailable("no answer")
        return super().read(shard, iterator)


DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
TOOK_OVER = "the tail had stopped for longer than the stream keeps records when the Lambda function took over"


def window_to(scene: Scene) -> str | None:
    """Up to where `status` claims restores to be exact."""
    found = scene.call("status", scene.table, "--json").json()["window_to"]
    assert found is None or isinstance(found, str)
    return found


def restores_what_was(scene: Scene, stage: ManyShards, at: int) -> None:
    ran = scene.call("restore", scene.table, "--at", str(at), *IN_PLACE, "--expect-deletes", "1000")
    assert ran.code == 0, ran.err
    assert same(scene.items(), stage.expected(at))


def deletes_nothing(scene: Scene, at: int) -> str:
    """What an in-place restore says that leaves rows alone, because nothing proves that they did not exist."""
    before = scene.items()
    ran = scene.call("restore", scene.table, "--at", str(at), *IN_PLACE)
    assert (ran.code, ran.json()["deleted"], ran.json()["spared"] > 0) == (1, 0, True), ran.err
    assert scene.items().keys() == before.keys()
    return ran.err


def test_one_of_three_shards_is_stuck_when_the_mapping_is_removed(scene: Scene, stage: ManyShards) -> None:
    """The log looks alive, and a third of the table is not in it: the witness brings that in, and only then anything is claimed."""
    function = DeployedFunction(stage)
    stuck = [stage.table.stream.facts().shards[1].id]
    stage.put(range(15))
    at = int(stage.manual.now())
    stage.manual.move(HOUR)
    function.run(stuck=stuck)
    stage.put(range(10, 20))
    stage.manual.move(HOUR)
    function.run(stuck=stuck)
    stage.fill()
    assert window_to(scene) is None
    said = scene.call("status", scene.table)
    assert "a function captures, and the witness has not run at all: nothing newer is proven" in said.out + said.err
    assert "live rows are left alone" in deletes_nothing(scene, at)
    ran = scene.call("witness", scene.table, "--json")
    missing = 25 - sum(each.count for each in stage.log() if each.kind == "lambda")
    assert missing > 0
    assert (ran.code, ran.json()["missing"], ran.json()["oldest_missing"]) == (0, missing, moment.iso(at)), ran.err
    assert window_to(scene) == ran.json()["proven_to"]
    restores_what_was(scene, stage, at)


def test_a_stuck_shard_that_the_stream_no_longer_keeps_is_a_gap(scene: Scene, dynamodb: FaultProxy) -> None:
    """The function delivers two shards for thirty hours; of the third, the stream has dropped what was never read."""
    with many_shards(scene, dynamodb, ago=30 * HOUR) as stage:
        function = DeployedFunction(stage)
        stuck = stage.table.stream.facts().shards[1].id
        stage.put(range(15))
        at = int(stage.manual.now())
        stage.manual.move(26 * HOUR)
        function.run(stuck=[stuck])
        stage.put(range(10, 20))
        stage.table.stream.trim(stuck)
        stage.fill()
        ran = scene.call("witness", scene.table)
        assert ran.code == 1
        assert " recorded: some changes are lost, see `backstream status" in ran.err
        assert "neither a tail nor the witness read the stream for longer than it keeps records" in ran.err
        assert (window_to(scene) or "") < moment.iso(at), "nothing of what was lost is claimed"
        refused = scene.call("restore", scene.table, "--at", str(at + HOUR), *IN_PLACE)
        assert (refused.code, refused.out) == (4, "")
        assert "neither a tail nor the witness read the stream" in refused.err
        assert same(scene.items(), stage.expected())


# --- a third reader ---------------------------------------------------------------------------------------------------------------


def test_a_third_reader_is_reported_by_who_is_slowed_down(scene: Scene, dynamodb: FaultProxy) -> None:
    """The service says no more than that it is too much. The witness goes on all the same, and says why that may be."""
    with many_shards(scene, dynamodb, shards=1) as stage:
        stage.put(range(5))
        refusals = stage.before_it.on(answer(400, TOO_MUCH), operation="GetRecords", when=first(5))
        ran = scene.call("witness", scene.table)
        assert ran.code == 0, ran.err
        assert refusals.fired == 5
        assert "the stream asked 1 time to slow down: a shard allows two readers at a time." in ran.err
        assert f"Is there a third one beside the function and the witness of {scene.table}?" in ran.err
        assert "checked             5 records of the stream" in " ".join(ran.out.split("\n"))


def test_three_readers_are_named_by_status_and_doctor(scene: Scene, stage: ManyShards) -> None:
    stage.put(range(5))
    DeployedFunction(stage).run()
    assert scene.call("witness", scene.table).code == 0
    two = scene.call("status", scene.table)
    assert "read the stream" not in two.out + two.err, "two are allowed"
    stage.vault().log.write_mark(stage.vault().catalog.stream, int(stage.manual.now()), writer="host-1")
    crowded = (
        "3 read the stream: a function, the tail host-1, the witness; a shard serves two at a time, and of more all are slowed down"
    )
    status = scene.call("status", scene.table)
    assert (status.code, crowded in status.out + status.err) == (0, True), status.out
    doctor = scene.call("doctor", scene.table)
    assert crowded in " ".join(doctor.out.split())
    assert "stop one: a tail needs no witness beside it, and a function no tail" in " ".join(doctor.out.split())


# --- children that are listed late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["witness", "tail"])
def test_a_watermark_stays_at_the_end_of_a_closed_shard_until_its_children_are_listed(
    scene: Scene, stage: ManyShards, who: str
) -> None:
    """The other shards go on for an hour meanwhile, and are read: run after run."""
    command = ["witness", scene.table] if who == "witness" else ["tail", scene.table, "--until-caught-up"]
    stream = stage.table.stream
    stage.put(range(15))
    stage.manual.move(HOUR)
    parent = stream.facts().shards[0].id
    stream.split(parent)
    ended = int(stage.manual.now())
    at = ended + HOUR // 4
    for _ in range(2):
        stage.put(range(30))
        stage.manual.move(HOUR // 2)
    stage.fill()
    stage.stream_server.shown = lambda inner: LateListing(inner, looks=10**9)
    for _ in range(2):
        ran = scene.call(*command)
        assert ran.code == 1, ran.err
        assert f"no shard is listed yet that follows {parent}" in ran.err
        until = window_to(scene)
        assert until is None or until <= moment.iso(ended), "what the children hold has not been read"
    deletes_nothing(scene, at)
    stage.stream_server.shown = lambda inner: inner
    assert scene.call(*command).code == 0
    assert (window_to(scene) or "") > moment.iso(ended + HOUR)
    restores_what_was(scene, stage, at)


def test_of_two_children_one_that_is_listed_proves_nothing_of_the_other(scene: Scene, stage: ManyShards) -> None:
    stream = stage.table.stream
    stage.put(range(15))
    stage.manual.move(2 * HOUR)
    stream.split(stream.facts().shards[0].id)
    ended = int(stage.manual.now())
    stage.put(range(30))
    stage.stream_server.shown = lambda inner: OneByOne(inner, lambda: False)
    ran = scene.call("witness", scene.table, "--budget", "1s")
    assert ran.code == 1, ran.err
    assert "its time was up before it had caught up" in ran.err
    assert (window_to(scene) or "") <= moment.iso(ended), "the other shards have been read for an hour more"
    stage.stream_server.shown = lambda inner: inner
    assert scene.call("witness", scene.table).code == 0
    assert stage.captured() == stage.expected()


# --- handovers --------------------------------------------------------------------------------------------------------------------


def test_of_several_shards_the_slowest_counts_when_a_tail_takes_over_from_a_function(scene: Scene, stage: ManyShards) -> None:
    """The function stood at three places; the tail begins at the slowest, and claims only what it has read."""
    function, shards = DeployedFunction(stage), stage.table.stream.facts().shards
    for number in range(3):
        stage.put(range(15))
        stage.manual.move(HOUR // 2)
        function.run(stuck=[shard.id for shard in shards[: 2 - number]])
    at = int(stage.manual.now()) - HOUR
    function.position.clear()
    stage.fill()
    assert window_to(scene) is None, "two of three shards have never been read to the end"
    ran = scene.call("tail", scene.table, "--until-caught-up", "--json")
    assert (ran.code, ran.json()["gaps"]) == (0, 0), ran.err
    restores_what_was(scene, stage, at)


def test_of_several_shards_the_slowest_counts_when_a_function_takes_over_from_a_tail(scene: Scene, dynamodb: FaultProxy) -> None:
    """The tail died two days ago: one shard's last changes were written, those of the others were not, and are lost by now."""
    with many_shards(scene, dynamodb, ago=52 * HOUR) as stage:
        stage.put(range(15))
        stage.manual.move(60)
        stage.follow()
        proven = stage.vault().coverage.durable(stage.manual.now()) or 0
        stage.manual.move(HOUR)
        stage.put(range(30))
        shards = [shard.id for shard in stage.table.stream.facts().shards]
        stage.streams = lambda _: OnlyShard(stage.table.stream, shards[0])
        with pytest.raises(Unavailable):
            stage.follow()
        for shard in shards:
            stage.table.stream.trim(shard)
        stage.manual.move(50 * HOUR)
        stage.put([40])
        DeployedFunction(stage).run()
        (gap,) = stage.vault().gaps.all()
        assert (gap.since, gap.reason) == (proven, TOOK_OVER), "the other two had come no further"
        stage.fill()
        before = scene.items()
        scene.call("witness", scene.table)  # exit 1 where the next second has begun: that much more of the stream is gone
        shown = scene.call("status", scene.table, "--json").json()["gaps"]
        assert (shown[0]["since"], shown[0]["reason"]) == (moment.iso(proven), TOOK_OVER)
        refused = scene.call("restore", scene.table, "--at", str(proven + 2 * HOUR), *IN_PLACE)
        assert (refused.code, refused.out, TOOK_OVER in refused.err) == (4, "", True), refused.err
        assert same(scene.items(), before)
        restores_what_was(scene, stage, proven - 1)


def test_a_gap_that_is_found_again_and_is_longer_hides_nothing(scene: Scene, dynamodb: FaultProxy, s3: FaultProxy) -> None:
    """The function's first invocation records the gap and dies before it writes; the next one, later, finds more of it lost."""
    with many_shards(scene, dynamodb, ago=30 * HOUR) as stage:
        stage.put(range(5))
        stage.manual.move(60)
        stage.follow()
        stage.manual.move(29 * HOUR)
        function, shard = DeployedFunction(stage), stage.table.stream.facts().shards[0].id
        stage.put(range(15))
        batch = stage.table.stream.read(shard, stage.table.stream.iterator(shard, None)).changes[-3:]
        broken = s3.on(answer(403, DENIED), method="PUT", path="_lambda")
        assert function.invoke(batch) == [batch[0].sequence]
        (first_found,) = stage.vault().gaps.all()
        aws_lambda._looked.clear()  # another process
        for _ in range(3):
            next_second()
        s3.remove(broken)
        assert function.invoke(batch) == []
        (gap,) = stage.vault().gaps.all()
        assert (gap.id, gap.since) == (first_found.id, first_found.since)
        assert gap.until > first_found.until
        scene.call("witness", scene.table)  # exit 1 where the next second has begun: that much more of the stream is gone
        shown = scene.call("status", scene.table, "--json").json()["gaps"][0]
        assert (shown["since"], shown["until"]) == (moment.iso(gap.since), moment.iso(gap.until))
        refused = scene.call("restore", scene.table, "--at", str(gap.until), *IN_PLACE)
        assert (refused.code, refused.out, TOOK_OVER in refused.err) == (4, "", True), refused.err
