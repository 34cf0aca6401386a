"""`retain` and `erase` at once: nothing of the subject comes back, and every moment from the horizon on is as before without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

from backstream.errors import Failed, HorizonMoved
from backstream.model.values import wire
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseRequest, verify_erasure
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.ports import ObjectStore, ObjectVersion, Removal, VersionLock
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit import images
from kit.canary import found_in
from kit.lived import SMALL, state, told
from kit.retained import DyingRemover
from kit.stage import Stage
from kit.watched import WatchedStore
from operations.test_erase import SUBJECT, around, delete, no_findings, run, with_subject, without

CUT = 1  # the horizon is the second of this round


class Once:
    """Does something before the first write of an object whose name holds a text."""

    def __init__(self, text: str, work: Callable[[], object]) -> None:
        self._text = text
        self._work = work
        self.done = False

    def __call__(self, name: str) -> None:
        if self._text in name and not self.done:
            self.done = True
            self._work()


class RemovingStore(WatchedStore):
    """A watched store with the right to remove versions."""

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        remover: Any = self._inner
        for each in wanted:
            self._before_write(each.name)
            yield from remover.remove_each([each])

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        found: VersionLock | None = cast("Any", self._inner).lock_of(version)
        return found


def retained(stage: Stage, second: int, store: ObjectStore | None = None) -> Retention:
    remover: Any = stage.store
    return retain(stage.vault(store), int(stage.clock.now()) - second, RetainContext(stage.clock, remover, SMALL))


def all_is_right(stage: Stage, seconds: list[int], before: Any) -> None:
    assert found_in(stage.store) == []
    no_findings(stage)
    assert {at: state(stage.vault(), at) for at in seconds[CUT:]} == {at: without(before)[at] for at in seconds[CUT:]}


@pytest.mark.parametrize(
    ("when", "layout"),
    [
        ("/plan.json", Layout.LOG),  # the state has been read, and nothing of it is written
        ("/plan.json", Layout.ROWS),
        ("/base/complete/", Layout.LOG),  # its parts are written
        ("/catalog.json", Layout.LOG),  # it is complete, and not published: once nothing was left of it
        ("/compacted/generations/", Layout.LOG),  # it is published: once the one that was written anew was removed
        ("/compacted/generations/", Layout.ROWS),
    ],
)
def test_an_erasure_in_the_midst_of_a_retention(when: str, layout: Layout) -> None:
    stage, seconds = with_subject(layout)
    before = told(stage, seconds).states
    beside = Once(when, lambda: run(stage))
    retained(stage, seconds[CUT], cast("ObjectStore", WatchedStore(stage.store, before_write=beside)))
    assert beside.done
    if stage.vault().erasures.open():  # it has named what was just being written, and is completed by the next
        run(stage)
    all_is_right(stage, seconds, before)


@pytest.mark.parametrize("when", ["/base/complete/", "/compacted/generations/00000005", "/pass-"])
def test_a_retention_in_the_midst_of_an_erasure(when: str) -> None:
    stage, seconds = with_subject(Layout.LOG, base=True)
    before = told(stage, seconds).states
    beside = Once(when, lambda: retained(stage, seconds[CUT]))
    store: Any = RemovingStore(stage.store, before_write=beside)
    try:
        left = bool(run(stage, store).left)
    except HorizonMoved:
        left = True
    assert beside.done
    if left:
        assert not run(stage).left
    all_is_right(stage, seconds, before)


def test_a_retention_while_an_erasure_is_interrupted_writes_nothing_of_the_subject() -> None:
    """A locked erasure stays open for years, and retention goes on."""
    stage, seconds = with_subject(Layout.LOG)
    before = told(stage, seconds).states
    with pytest.raises(KeyboardInterrupt):
        run(stage, cast("Any", RemovingStore(stage.store, before_write=Once("/compacted/", interrupt))))
    assert stage.vault().erasures.open()
    retained(stage, seconds[CUT])
    (base,) = stage.vault().bases.complete()
    assert base.end == seconds[CUT]
    assert not any(base.id in each for each in found_in(stage.store))
    run(stage)
    all_is_right(stage, seconds, before)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_an_erasure_beside_a_base_backup_that_is_being_made_keeps_the_horizon() -> None:
    """It has to leave that one. The horizon's own was written anew, and the catalog once named the old one for ever."""
    stage, seconds = with_subject(Layout.LOG)
    before = told(stage, seconds)
    retained(stage, seconds[CUT])
    dying = cast("ObjectStore", WatchedStore(stage.store, before_write=Once("/base/complete/", interrupt)))
    with pytest.raises(KeyboardInterrupt):
        backfill(
            stage.vault(dying),
            scan_of(stage.vault(dying), stage.table, stage.clock, segments=1, max_units=None),
            BackfillContext(stage.clock),
        )
    claimed = stage.vault().window(stage.clock.now()).ranges
    assert claimed
    assert ["last hour" in each.why for each in run(stage).left] == [True]
    assert stage.vault().window(stage.clock.now()).ranges == claimed
    assert state(stage.vault(), seconds[CUT]) == without(before.states)[seconds[CUT]]
    stage.clock.sleep(4_000)
    assert not run(stage).left
    all_is_right(stage, seconds, before.states)


def test_a_row_that_a_later_base_backup_names_stays() -> None:
    """A lock has kept it, and the item still lives in the table: the base backup names the version that is there.

    The erasure of another item finishes this one.
    """
    stage, _ = with_subject(Layout.ROWS)
    assert isinstance(stage.store, MemoryStore)
    canaries = set(found_in(stage.store))
    rows = [each for each in stage.store.versions("flights/") if f"{each.name} {each.version}" in canaries]
    stage.store.locks = {(each.name, each.version): VersionLock(stage.clock.now() + 3_600) for each in rows}
    first = run(stage)
    assert first.blocked
    stage.clock.sleep(600)
    base_backup(stage)
    stage.clock.sleep(7_200)
    stage.follow()
    other = wire.key_of(images.SCHEMA, images.key("z", 1))
    report = run(stage, request=EraseRequest(reason="asked for it", by="test", keys=(other,)))
    assert (list(report.left), report.late, list(report.blocked)) == ([], 0, [])
    assert not stage.vault().erasures.open()
    no_findings(stage)
    assert SUBJECT in state(stage.vault(), int(stage.clock.now()) - 60)
    verified = verify_erasure(stage.vault(), first.id, around(stage))
    assert (list(verified.found), verified.new > 0) == ([], True)


def test_lines_that_an_interrupted_retention_has_left_are_found() -> None:
    """No reader reads them, and no snapshot holds the item: the erasure once said that the vault holds nothing of it."""
    stage, _ = with_subject(Layout.LOG)
    assert isinstance(stage.store, MemoryStore)
    delete(stage)
    stage.follow()
    compact(stage.vault(), stage.clock, memory=SMALL)
    stage.clock.sleep(8_000)
    stage.follow()
    with pytest.raises(Failed):
        retain(stage.vault(), 1_000, RetainContext(stage.clock, DyingRemover(stage.store, 0), SMALL))
    assert not any(stage.vault().key(entry) == SUBJECT for entry in stage.vault().history(SUBJECT))
    assert found_in(stage.store)
    report = run(stage)
    assert (found_in(stage.store), list(report.left), report.late) == ([], [], 0)
    no_findings(stage)


def base_backup(stage: Stage, store: ObjectStore | None = None) -> None:
    vault = stage.vault(store)
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
