"""A function's segments name the one that its environment wrote before: one that is gone is missed, and nothing else is."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.apps.cli.main import call
from backstream.engine.local.state import State
from backstream.errors import Unavailable
from backstream.model import moment
from backstream.model.changes.change import Change, stream_label
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.lived import LOG, SMALL, all_changes
from kit.records import lambda_record
from kit.stage import Stage

FUNCTIONS = ("one", "two", "three")


class Failing(MemoryStore):
    """Some PUTs to the log are answered with an error, though what they brought may be there."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.fails: Callable[[], str] = lambda: ""

    def put(self, name, body, metadata=None, *, if_absent=False, if_match=None):  # type: ignore[no-untyped-def]
        how = self.fails() if name.startswith(LOG) else ""
        if how == "before":
            raise Unavailable("no answer")
        version = super().put(name, body, metadata, if_absent=if_absent, if_match=if_match)
        if how == "after":
            raise Unavailable("no answer")
        return version


def deliver(stage: Stage, changes: Sequence[Change], function: str, store: ObjectStore | None = None) -> bool:
    """One invocation of one environment; whether all of its batch is in the log."""
    arn = stage.table.stream.arn
    with ThreadPoolExecutor(2) as pool:
        records = [lambda_record(each, arn) for each in changes]
        vault, label = stage.vault(store), stream_label(arn)
        kind = SegmentKind.PARALLEL
        report = keep_batch(vault, records, label, pool, writer=function, kind=kind, now=stage.clock.now)
    return not report.failures


def written(stage: Stage, rounds: int = 6) -> list[list[Change]]:
    """Batches of changes, twenty minutes apart."""
    batches, known = list[list[Change]](), 0
    for number in range(rounds):
        stage.clock.sleep(1_200)
        stage.put([number % 3, 7])
        found = all_changes(stage)
        batches.append(found[known:])
        known = len(found)
    return batches


def named(vault: TableVault, at: int) -> list[str]:
    with State(vault, at, memory=SMALL) as found:
        return [f"{each.name}: {each.why}" for each in found.unreadable]


def segments(stage: Stage) -> list[str]:
    """In the order in which their changes were made; names are in that order within an hour only where numbers are as long."""
    found = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    return [each.name for each in sorted(found, key=lambda each: each.segment.min_time if each.segment else 0)]


def remove(store: MemoryStore, name: str) -> None:
    """What only an admin may do: all versions."""
    del store._versions[name]


# --- no false alarm, whatever happens -------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(seed=st.integers(0, 10**9))
def test_nothing_is_missed_of_what_several_environments_wrote(seed: int) -> None:
    """Environments begin and end, batches come twice, in halves, out of order, and PUTs fail; some of it is compacted meanwhile."""
    chance = random.Random(seed)
    clock = ManualClock()
    store = Failing(clock)
    stage = Stage(clock, layout=Layout.LOG, store=store, shards=1)
    store.fails = lambda: chance.choice(["", "", "", "", "before", "after"])
    waiting = written(stage, 8)
    fresh = 0
    while waiting:
        batch = waiting.pop(chance.randrange(min(3, len(waiting))))
        function = chance.choice([*FUNCTIONS, f"new {fresh}"])
        fresh += 1
        if not deliver(stage, batch, function):
            waiting += [batch] if len(batch) < 2 or chance.random() < 0.5 else [batch[:1], batch[1:]]
        elif chance.random() < 0.3:
            deliver(stage, batch, chance.choice(FUNCTIONS))
        if chance.random() < 0.15:
            fails, store.fails = store.fails, lambda: ""
            compact(stage.vault(), stage.clock, until=int(stage.clock.now()) - chance.choice([0, 2_400, 4_800]))
            store.fails = fails
        assert named(stage.vault(), int(stage.clock.now())) == []
    store.fails = lambda: ""
    for at in range(int(stage.clock.now()) - 7_200, int(stage.clock.now()), 1_700):
        assert named(stage.vault(), at) == []
    compact(stage.vault(), stage.clock)
    assert [each for each in stage.vault().gaps.all() if "names it" in each.reason] == []
    assert named(stage.vault(), int(stage.clock.now())) == []


# --- what is gone, or another ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Stage:
    """Four segments that one environment wrote, and one of another."""
    stage = Stage(ManualClock(), layout=Layout.LOG, shards=1)
    batches = written(stage, 5)
    for batch in batches[:4]:
        assert deliver(stage, batch, "one")
    assert deliver(stage, batches[4], "two")
    return stage


def test_the_whole_chain_is_sound(stage: Stage) -> None:
    assert named(stage.vault(), int(stage.clock.now())) == []
    upon = [stage.store.head(each).metadata.get("upon", "") for each in segments(stage)]
    assert [LOG + each for each in upon if each] == segments(stage)[:3]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_segment_that_is_gone_is_named(stage: Stage, place: int) -> None:
    assert isinstance(stage.store, MemoryStore)
    gone, after = segments(stage)[place : place + 2]
    remove(stage.store, gone)
    (said,) = named(stage.vault(), int(stage.clock.now()))
    assert said == f"{gone}: missing: {after} names it as the one that its writer wrote before"


def test_the_last_one_of_a_chain_is_named_by_nobody(stage: Stage) -> None:
    """So says docs/security.md: the head that is kept elsewhere tells it."""
    assert isinstance(stage.store, MemoryStore)
    remove(stage.store, segments(stage)[3])
    assert named(stage.vault(), int(stage.clock.now())) == []


def test_a_segment_that_is_another_now_is_named(stage: Stage) -> None:
    """Its only version is not the one that the next one was written upon."""
    assert isinstance(stage.store, MemoryStore)
    one, other = segments(stage)[1], segments(stage)[2]
    stored = stage.store.get(one)
    remove(stage.store, one)
    stage.store.put(one, stored.body, {**stored.info.metadata, "writer": "somebody"})
    (said,) = named(stage.vault(), int(stage.clock.now()))
    assert said == f"{one}: another one was there when {other} was written: it has been replaced"


def test_a_moment_before_it_is_restored(stage: Stage) -> None:
    assert isinstance(stage.store, MemoryStore)
    gone = segments(stage)[2]
    before = next(each.segment for each in stage.vault().log.listing() if each.name == segments(stage)[1])
    assert before is not None
    remove(stage.store, gone)
    assert named(stage.vault(), before.max_time) == []


def test_a_compaction_records_what_it_can_no_longer_show(stage: Stage) -> None:
    assert isinstance(stage.store, MemoryStore)
    gone = segments(stage)[1]
    remove(stage.store, gone)
    compact(stage.vault(), stage.clock)
    (gap,) = stage.vault().gaps.all()
    assert gap.reason.startswith(f"{gone}: missing")
    assert named(stage.vault(), int(stage.clock.now())) == []


def test_a_segment_may_be_removed_once_a_set_stands_for_it(stage: Stage) -> None:
    """As a lifecycle rule does."""
    assert isinstance(stage.store, MemoryStore)
    last = all_changes(stage)[-2:]
    compact(stage.vault(), stage.clock)
    stage.clock.sleep(60)
    stage.put([5])
    assert deliver(stage, [each for each in all_changes(stage) if each not in last][-1:], "one")
    for name in [each for each in list(stage.store._versions) if each.startswith(LOG) and each not in segments(stage)]:
        remove(stage.store, name)
    assert named(stage.vault(), int(stage.clock.now())) == []


# --- through the command line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", list(Layout))
def test_every_command_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: Layout) -> None:
    root = tmp_path / "vault"
    root.mkdir()
    clock = ManualClock()
    stage = Stage(clock, layout=layout, store=DirectoryStore(root, clock), shards=1)
    for batch in written(stage, 4):
        assert deliver(stage, batch, "fn")
    stage.witness()
    at = moment.iso(int(clock.now()) - 1)
    words = "--at", at, "--to-file", str(tmp_path / "out"), "--vault", f"file://{root}"
    assert call(["restore", "flights", *words]) == 0, capsys.readouterr().err
    (tmp_path / "out").unlink()
    gone = segments(stage)[1]
    for path in [each for each in root.rglob("*") if each.name.startswith(Path(gone).name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    capsys.readouterr()
    assert call(["restore", "flights", *words]) == 4
    assert gone in capsys.readouterr().err
    assert call(["check", "flights", "--json", "--vault", f"file://{root}"]) == 3
    assert gone in [each["object"] for each in json.loads(capsys.readouterr().out)["findings"]]
