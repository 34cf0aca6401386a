"""`check` names a change that was lost in the middle of a vault, whoever lost it: with its item and the seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.engine.local.memory import Memory
from backstream.model import moment
from backstream.operations.base.compact import compact
from backstream.operations.inspect.check import CheckContext, Finding, FindingKind, check
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind, pack
from kit.clock import ManualClock
from kit.lived import all_changes, deliver, key, lived
from kit.losing import lose
from kit.stage import Stage

SMALL = Memory(64 << 20)
LONG = 200_000  # seconds: nothing can arrive any more


@pytest.fixture(params=Layout)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    stage = lived(6, store=DirectoryStore(tmp_path, ManualClock()), layout=request.param)[0]
    stage.clock.sleep(LONG)
    return stage


def lost(stage: Stage) -> list[Finding]:
    return [each for each in check(stage.vault(), CheckContext(stage.clock, SMALL)).findings if each.kind is FindingKind.LOST]


def test_nothing_is_lost_of_a_whole_log(stage: Stage) -> None:
    assert lost(stage) == []
    compact(stage.vault(), stage.clock)
    assert lost(stage) == []


@pytest.mark.parametrize("compacted", [False, True])
def test_one_line_of_a_segment(stage: Stage, *, compacted: bool) -> None:
    """Taken out with its name made to fit, so that nothing but the chain tells."""
    log = stage.vault().log
    listed = [each for each in log.listing() if each.segment is not None and each.segment.count > 2]
    held = [(each, entry) for each in listed for entry in log.read(each)[1:-1]]
    victims = [(each, entry) for each, entry in held if _is_in_the_middle(stage, entry.keys, entry.seconds)]
    each, gone = victims[len(victims) // 2]
    assert each.segment is not None
    left = [entry for entry in log.read(each) if entry != gone]
    name = each.name.replace(f"_{each.segment.count}_", f"_{len(left)}_")
    stage.store.put(name, pack(left, each.segment.codec), dict(log.metadata(each)))
    lose(stage.store, each.name)
    if compacted:
        compact(stage.vault(), stage.clock)
    (found,) = lost(stage)
    assert bytes(found.key) == stage.vault().key(gone)
    assert found.since is not None
    assert found.until is not None
    assert found.since <= moment.iso(gone.seconds) <= found.until
    assert "was made upon another state" in found.why


def _is_in_the_middle(stage: Stage, keys: bytes, second: int) -> bool:
    """Whether the item changed before, at another second, and after."""
    of_item = [at for at, each, _ in stage.model if each == keys or each in keys]
    return bool(of_item) and min(of_item) < second < max(of_item)


def test_one_batch_of_a_function() -> None:
    """Three batches; nobody knows that the second one was ever to come."""
    stage = Stage(ManualClock(), layout=Layout.LOG, shards=1)
    seconds = list[int]()
    for batch in range(3):
        before = len(all_changes(stage))
        stage.put([1, 2])
        seconds.append(int(stage.clock.now()))
        if batch != 1:
            deliver(stage, all_changes(stage)[before:])
        stage.clock.sleep(60)
    stage.clock.sleep(LONG)
    found = lost(stage)
    assert {bytes(each.key) for each in found} == {key(1), key(2)}
    for each in found:
        assert (each.since or "") <= moment.iso(seconds[1]) <= (each.until or "")


def test_one_hour_of_one_shard(stage: Stage) -> None:
    """All segments of it; of each item that changed again, a change is named."""
    listed = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.kind is SegmentKind.TAIL]
    hours = sorted({each.segment.min_time // 3600 for each in listed if each.segment is not None and each.segment.count})
    shard = listed[0].segment.shard if listed[0].segment is not None else ""
    gone = [
        each
        for each in listed
        if each.segment is not None and each.segment.shard == shard and each.segment.min_time // 3600 == hours[1]
    ]
    assert gone
    items = {stage.vault().key(entry) for each in gone for entry in stage.vault().log.read(each)}
    for each in gone:
        lose(stage.store, each.name)
    found = lost(stage)
    assert found
    assert {bytes(each.key) for each in found} <= items
    for one in found:
        assert (one.until or "") >= moment.iso(hours[1] * 3600)
        assert (one.since or "") < moment.iso((hours[1] + 1) * 3600)
