"""`retain` and `erase` at once: nothing of the subject comes back, and every moment from the horizon on is as before without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

from backstream.errors import HorizonMoved
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.ports import ObjectStore, ObjectVersion, Removal, VersionLock
from backstream.vault.catalog import Layout
from kit.canary import found_in
from kit.lived import SMALL, state, told
from kit.stage import Stage
from kit.watched import WatchedStore
from operations.test_erase import no_findings, run, with_subject, without

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
