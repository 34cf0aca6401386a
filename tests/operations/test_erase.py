"""`erase`: the subject is nowhere any more, and all else is as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from backstream.errors import Failed, NotFound
from backstream.model import moment
from backstream.model.changes.invocation_record import FOLDER
from backstream.model.values import wire
from backstream.model.window import Start, Window
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, Erased, EraseRequest, erase, verify_erasure
from backstream.operations.erase.discarded import DiscardedBatches
from backstream.operations.inspect.check import check
from backstream.operations.inspect.check.run import CheckContext
from backstream.operations.retain import RetainContext, retain
from backstream.ports import Delete, ObjectStore, ObjectVersion, Put, Removal, VersionLock
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit import images
from kit.canary import CANARY, found_in
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.lived import SMALL, live, state, told
from kit.stage import Stage
from kit.stepping import copy_of

SUBJECT = wire.key_of(images.SCHEMA, images.key(CANARY, 1))


def put(stage: Stage, text: str) -> None:
    """A state of the subject."""
    image = images.image(CANARY, 1, said={"S": f"{CANARY} {text}"})
    stage.table.write([Put(image)])
    stage.model.append((int(stage.clock.now()), SUBJECT, image))


def delete(stage: Stage) -> None:
    stage.table.write([Delete(images.key(CANARY, 1))])
    stage.model.append((int(stage.clock.now()), SUBJECT, None))


def with_subject(layout: Layout, *, base: bool = False) -> tuple[Stage, list[int]]:
    """A stage that has lived, with a subject in all kinds of objects: segments, sets, a base backup, checkpoints."""
    stage = Stage(ManualClock(), layout=layout)
    put(stage, "one")
    seconds = live(stage, 2)
    delete(stage)
    put(stage, "two")
    seconds += live(stage, 1, first=2)
    if base:
        source = scan_of(stage.vault(), stage.table, stage.clock, segments=2, max_units=None)
        backfill(stage.vault(), source, BackfillContext(stage.clock))
        stage.clock.sleep(60)
        compact(stage.vault(), stage.clock, memory=SMALL)
    put(stage, "three")
    seconds += live(stage, 1, first=3)
    delete(stage)
    seconds += live(stage, 1, first=4)
    put(stage, "last")
    stage.follow()
    stage.clock.sleep(100)
    return stage, seconds


def around(stage: Stage, store: Any = None) -> EraseContext:
    remover: Any = store or stage.store
    return EraseContext(stage.clock, remover, SMALL)


REQUEST = EraseRequest(reason="asked for it", by="test", keys=(SUBJECT,))


def run(stage: Stage, store: ObjectStore | None = None, request: EraseRequest = REQUEST) -> Erased:
    return erase(lambda: stage.vault(store), request, around(stage, store))


def without(states: Mapping[int, Mapping[bytes, bytes]]) -> dict[int, dict[bytes, bytes]]:
    return {at: {key: image for key, image in each.items() if key != SUBJECT} for at, each in states.items()}


def _periods(window: Window) -> Window:
    """The same window: a base backup that was written anew has another id."""
    return msgspec.structs.replace(window, starts=[Start(each.begin, each.end) for each in window.starts])


def no_findings(stage: Stage) -> None:
    found = check(stage.vault(), CheckContext(stage.clock, SMALL), percent=100)
    assert list(found.findings) == []


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("layout", Layout)
def test_the_subject_is_nowhere_and_all_else_is_as_it_was(layout: Layout, *, base: bool) -> None:
    stage, seconds = with_subject(layout, base=base)
    assert found_in(stage.store)
    before = told(stage, seconds)
    report = run(stage)
    assert found_in(stage.store) == []
    assert (list(report.left), list(report.blocked), report.keys, report.late) == ([], [], 1, 0)
    after = told(stage, seconds)
    assert after.states == without(before.states)
    assert after.histories == before.histories
    assert _periods(after.window) == _periods(before.window)
    no_findings(stage)
    verified = verify_erasure(stage.vault(), report.id, around(stage))
    assert (list(verified.found), list(verified.unread), verified.new) == ([], [], 0)
    assert verified.finished
    erasures = stage.vault().erasures
    assert [erasures.lacks_at(at) for at in seconds] == [SUBJECT in before.states[at] for at in seconds]


@pytest.mark.parametrize("layout", Layout)
def test_capture_goes_on_and_later_changes_are_new(layout: Layout) -> None:
    """The tail finds its checkpoint, no segment is missed, and a change upon an erased state is no loss."""
    stage, seconds = with_subject(layout, base=True)
    report = run(stage)
    put(stage, "again")
    later = live(stage, 1, first=5)
    stage.follow()
    assert not any("gap" in each.lower() for each in stage.notices)
    assert state(stage.vault(), later[-1])[SUBJECT] == stage.expected(later[-1])[SUBJECT]
    assert SUBJECT not in state(stage.vault(), seconds[0])
    no_findings(stage)
    verified = verify_erasure(stage.vault(), report.id, around(stage))
    assert list(verified.found) == []


class CrashingRemover(CrashingStore):
    """A process that may die at a removal, too. Each removal counts as a write."""

    def __init__(self, inner: Any, writes: int, *, after: bool) -> None:
        super().__init__(inner, writes, after=after)
        self._remover = inner

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        for each in wanted:
            dying = self._dies()
            yield from self._remover.remove_each([each])
            self._answer("", dying=dying)

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        found: VersionLock | None = self._remover.lock_of(version)
        return found


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("layout", Layout)
def test_killed_anywhere_and_run_again(layout: Layout, step: int) -> None:
    """At every moment, also after a crash, every state is as before, or as before without the subject."""
    stage, seconds = with_subject(layout, base=True)
    before = told(stage, seconds).states
    writes, whole = 0, stage.store
    assert isinstance(whole, MemoryStore)
    while True:
        writes += step
        store = copy_of(whole, stage.clock)
        stage.store = store
        try:
            run(stage, CrashingRemover(store, writes, after=bool(writes % 2)))
        except Failed:
            between = {at: state(stage.vault(), at) for at in seconds[::2]}
            assert all(each in (before[at], without(before)[at]) for at, each in between.items())
            with suppress(NotFound):  # it was all done, but for the answer
                report = run(stage)
                assert (list(report.left), report.late) == ([], 0)
        else:
            break
        assert found_in(store) == []
        assert told(stage, seconds[1::2]).states == {at: without(before)[at] for at in seconds[1::2]}
        assert all(stage.vault().erasures.finished(each) for each in stage.vault().catalog.erasures)
    assert writes > 60


def test_what_is_locked_is_named_with_its_date_and_all_else_is_erased() -> None:
    stage, seconds = with_subject(Layout.ROWS, base=True)
    assert isinstance(stage.store, MemoryStore)
    before = told(stage, seconds).states
    locked = [row for row in stage.store.versions("") if not row.marker and f"{row.name} {row.version}" in found_in(stage.store)]
    until = stage.clock.now() + 86_400
    stage.store.locks = {(row.name, row.version): VersionLock(until) for row in locked[::2]}
    plan = run(stage, request=msgspec.structs.replace(REQUEST, dry_run=True))
    assert plan.blocked_until == moment.iso(until + 1)
    assert found_in(stage.store) == [f"{row.name} {row.version}" for row in locked]
    report = run(stage)
    assert report.blocked_until == plan.blocked_until
    assert len(report.blocked) == len(locked[::2])
    assert set(found_in(stage.store)) == {f"{row.name} {row.version}" for row in locked[::2]}
    assert {at: state(stage.vault(), at) for at in seconds} == without(before)
    stage.clock.sleep(2 * 86_400)
    again = run(stage)
    assert (again.id, again.blocked_until, list(again.blocked)) == (report.id, None, [])
    assert found_in(stage.store) == []


@pytest.mark.parametrize("layout", Layout)
def test_a_vault_that_has_a_horizon(layout: Layout) -> None:
    """The state at the horizon is a base backup, and it is written anew as any other."""
    stage, seconds = with_subject(layout)
    remover: Any = stage.store
    kept = retain(stage.vault(), int(stage.clock.now()) - seconds[1], RetainContext(stage.clock, remover, SMALL))
    assert kept.horizon is not None
    ranges = stage.vault().window(stage.clock.now()).ranges
    later = [at for at in seconds if any(each.since <= at <= each.until for each in ranges)]
    assert later
    before = told(stage, later)
    report = run(stage)
    assert (found_in(stage.store), list(report.left), report.late) == ([], [], 0)
    after = told(stage, later)
    assert after.states == without(before.states)
    assert _periods(after.window) == _periods(before.window)
    no_findings(stage)


def test_batches_that_lambda_discarded() -> None:
    """What was redriven goes for good; what waits, and what is another table's, stays. The first is named."""
    stage, _ = with_subject(Layout.LOG)
    batches, arn = MemoryStore(stage.clock), stage.vault().catalog.table_arn
    keys = msgspec.json.decode(images.key(CANARY, 1))
    payload = msgspec.json.encode({"Records": [{"dynamodb": {"Keys": keys, "NewImage": {**keys, "said": {"S": CANARY}}}}]}).decode()
    for name, table in (("done", arn), ("waits", arn), ("others", f"{arn}x")):
        info = {"streamArn": f"{table}/stream/2023", "batchSize": 1}
        batches.put(f"{FOLDER}m/s/{name}", msgspec.json.encode({"DDBStreamBatchInfo": info, "payload": payload}))
    batches.delete(f"{FOLDER}m/s/done")
    context = msgspec.structs.replace(around(stage), batches=DiscardedBatches(batches, batches))
    report = erase(stage.vault, REQUEST, context)
    assert [row.name.rpartition("/")[2] for row in batches.versions("")] == ["others", "waits"]
    assert [each.object for each in report.left] == [f"memory:/{FOLDER}m/s/waits"]
    assert stage.vault().erasures.open()
    batches.delete(f"{FOLDER}m/s/waits")
    assert list(erase(stage.vault, REQUEST, context).left) == []
    assert [row.name.rpartition("/")[2] for row in batches.versions("")] == ["others"]
    assert not stage.vault().erasures.open()
