"""Whatever several writers did before the window, in it, since, and meanwhile: a revert leaves what the model of the merge leaves.

The model is on dicts. Items are of a few numbers; each write names its writer in the attribute `by`. The vault has either layout.
While the revert runs others write, requests fail before or after they were carried out, and the process is killed and gone on with.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstream.errors import NotFound, PartlyDone, Unavailable
from backstream.model.changes.merge import Merge
from backstream.model.values import wire
from backstream.operations import revert as reverting
from backstream.operations.changes import ChangeCriteria, ChangeWindow
from backstream.operations.revert import Around, OnConflict, Request, Reverted, Writing
from backstream.operations.revert.applying import path_for
from backstream.ports import Delete, Put, Write
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.images import SCHEMA
from kit.stage import Stage

Item = Mapping[str, Any] | None
Write_ = tuple[int, Item]
ITEMS = range(4)

values = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2).map(lambda n: {"N": str(n)}), min_size=1)
writers = st.sampled_from(["deploy", "shop", "shop"]).map(lambda name: {"by": {"S": name}})
states = st.none() | st.builds(lambda fields, by: {**fields, **by}, values, writers)
writes = st.lists(st.tuples(st.sampled_from(ITEMS), states), min_size=3, max_size=10)
updates = st.lists(st.tuples(st.sampled_from(ITEMS), values), max_size=4)  # of single attributes


def body(number: int, item: Item) -> bytes | None:
    return None if item is None else images.image("z", number, **item)


def write(stage: Stage, every: Sequence[Write_]) -> None:
    for number, item in every:
        image = body(number, item)
        stage.table.write([Delete(images.key("z", number)) if image is None else Put(image)])


def fields(image: bytes | None) -> Item:
    return None if image is None else {k: v for k, v in wire.decode(image).items() if k not in ("zone", "number")}


def key(number: int) -> bytes:
    return wire.key_of(SCHEMA, images.key("z", number))


def live(table: MemoryTable, number: int) -> Item:
    return fields(next(iter(table.fetch([images.key("z", number)])), None))


# --- the model --------------------------------------------------------------------------------------------------------------------


def merged(before: Item, bad: Item, now: Item, by: Merge, *, overwrite: bool) -> Item | str:
    if now == bad:
        return before
    if now == before or before == bad:
        return now
    if by is Merge.ITEM or before is None or bad is None:
        return before if overwrite else "conflict"
    if now is None:
        return "gone"
    result = dict(now)
    for name in {*before, *bad}:
        was, is_bad, is_now = before.get(name), bad.get(name), now.get(name)
        if was == is_bad or is_now == was:
            continue
        if is_now != is_bad and not overwrite:
            return "conflict"
        if was is None:
            del result[name]
        else:
            result[name] = was
    return result


def backwards(steps: Sequence[tuple[Item, Item]], chosen: Sequence[bool], now: Item, by: Merge, *, overwrite: bool) -> Item | str:
    if all(chosen):
        return merged(steps[0][0], steps[-1][1], now, by, overwrite=overwrite)
    state: Item | str = now
    for (old, new), taken in reversed(list(zip(steps, chosen, strict=True))):
        if taken and not isinstance(state, str):
            state = merged(old, new, state, by, overwrite=False)
    return state


class History:
    """What the window did to each item, and which of its changes are selected."""

    def __init__(self, before: Mapping[int, Item], window: Sequence[Write_], where: str | None) -> None:
        self.steps: dict[int, list[tuple[Item, Item]]] = {number: [] for number in ITEMS}
        state = dict(before)
        for number, item in window:
            if state[number] != item:
                self.steps[number].append((state[number], item))
                state[number] = item
        self.chosen = {
            number: [where is None or any(each is not None and each["by"]["S"] == where for each in step) for step in steps]
            for number, steps in self.steps.items()
        }

    def selected(self) -> list[int]:
        return [number for number in ITEMS if any(self.chosen[number])]


# --- the table as others and a bad network make it --------------------------------------------------------------------------------


class Rough:
    """The table, on which at some turns of ours others write first, a request fails, or the process dies."""

    def __init__(self, table: MemoryTable, turns: Mapping[int, str], meddling: Sequence[Write_]) -> None:
        self._table = table
        self._turns = dict(turns)
        self._meddling = list(meddling)
        self._turn = 0
        self._lock = threading.RLock()
        self.made: list[tuple[bytes, Item, Item]] = []
        self.meddled: set[int] = set()
        self.added: dict[int, set[str]] = {}
        self.dead = False

    def write_if(self, write: Write, before: bytes | None) -> bool:
        item = write.image if isinstance(write, Put) else write.keys
        return self._do(item, lambda: self._table.write_if(write, before))

    def change_if(self, after: bytes, before: bytes) -> bool:
        return self._do(after, lambda: self._table.change_if(after, before))

    def _do(self, item: bytes, work: Any) -> bool:
        with self._lock:
            if self.dead:
                raise KeyboardInterrupt
            self._turn += 1
            what = self._turns.get(self._turn)
            if what == "meddle" and self._meddling:
                self._meddle(int(wire.decode(item)["number"]["N"]))
            if what == "fail":
                raise Unavailable("not now")
            if what == "die":
                self.dead = True
                raise KeyboardInterrupt
            name = wire.key_of(SCHEMA, item)
            now = fields(next(iter(self._table.fetch([name])), None))
            done = bool(work())
            if done:
                self.made.append((name, now, fields(next(iter(self._table.fetch([name])), None))))
            if what == "lose":
                raise Unavailable("the answer was lost")
            if what == "die after":
                self.dead = True
                raise KeyboardInterrupt
            return done

    def _meddle(self, number: int) -> None:
        """Somebody else changes the very item that is about to be written."""
        state = self._meddling.pop(0)[1] or {}
        now = live(self._table, number) or {}
        self.added.setdefault(number, set()).update(state.keys() - now.keys())
        image = body(number, {**now, **state})
        self._table.write([Put(image or b"")])
        self.meddled.add(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def run(stage: Stage, request: Request, folder: Path, rough: Rough) -> Reverted | None:
    """The revert, gone on with as often as it is killed; None where it stops at a conflict."""
    around = Around(rough, stage.clock, folder)
    writing = Writing(patience=300.0)
    while True:
        journals = [each for each in folder.iterdir() if "plan" not in each.name]
        try:
            if not journals:
                return reverting.revert(stage.vault(), request, around, writing, lambda _: True)
            assert journals == [path_for(journals[0].stem.rpartition("-")[2], folder)]
            return reverting.go_on(journals[0], around, writing)
        except PartlyDone:
            return None
        except KeyboardInterrupt:
            rough.dead = False


happenings = st.sampled_from(["meddle", "meddle", "meddle", "meddle", "fail", "lose", "die", "die after"])
turns = st.lists(happenings, max_size=6).map(lambda every: dict(enumerate(every, 1)))


# In the soak until it is understood: now and then it counts one write more than there are items (a write whose answer was lost?).
@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    layout=st.sampled_from(Layout),
    first=writes,
    window=writes,
    since=updates,
    where=st.sampled_from([None, None, "deploy"]),
    by=st.sampled_from(Merge),
    on_conflict=st.sampled_from(OnConflict),
    turns=turns,
    meddling=updates,
)
def test_a_revert_leaves_what_the_model_leaves(
    layout: Layout,
    first: list[Write_],
    window: list[Write_],
    since: list[Write_],
    where: str | None,
    by: Merge,
    on_conflict: OnConflict,
    turns: dict[int, str],
    meddling: list[Write_],
) -> None:
    clock = ManualClock()
    stage = Stage(clock, layout=layout, shards=2)
    write(stage, first)
    before = {number: live(stage.table, number) for number in ITEMS}
    clock.move(10)
    begun = int(clock.now()) - 1
    write(stage, window)
    ended = int(clock.now())
    clock.move(10)
    for number, news in since:
        write(stage, [(number, {**(live(stage.table, number) or {}), **(news or {})})])
    clock.move(30)
    stage.follow()
    history = History(before, window, where)
    now = {number: live(stage.table, number) for number in ITEMS}
    rough = Rough(stage.table, turns, meddling)
    asked = ChangeCriteria(where=None if where is None else f'by = "{where}"')
    request = Request(ChangeWindow(begun, ended), asked, by, on_conflict)
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = run(stage, request, Path(folder), rough)
        except NotFound:
            assert not history.selected()
            assert not rough.made
            return
    check(history, now, rough, report, by, on_conflict, stage.table)


def without(item: Item, names: set[str]) -> Item:
    return None if item is None else {name: value for name, value in item.items() if name not in names}


def check(
    history: History,
    now: Mapping[int, Item],
    rough: Rough,
    report: Reverted | None,
    by: Merge,
    on_conflict: OnConflict,
    table: MemoryTable,
) -> None:
    overwrite = on_conflict is OnConflict.OVERWRITE
    names = {key(number): number for number in ITEMS}
    selected = history.selected()
    for name, was, became in rough.made:  # each write of ours is the merge with the item as it was just before it
        number = names[name]
        assert number in selected
        steps, chosen, added = history.steps[number], history.chosen[number], rough.added.get(number, set())
        outcomes = [backwards(steps, chosen, without(was, names_), by, overwrite=overwrite) for names_ in (set(), added)]
        if not all(chosen) and isinstance(outcomes[0], str):
            continue  # of single changes the net effect may still be taken back
        # What somebody has added in the last moment no condition can see: it stays.
        assert became == outcomes[0] or (without(became, added) == outcomes[1] and without(became, added) != became)
    assert len({name for name, _, _ in rough.made}) == len(rough.made)  # none twice
    if report is None:
        assert on_conflict is OnConflict.STOP
        return
    conflicting = {names[bytes(each)] for each in report.conflicting}
    for number in ITEMS:
        if number in rough.meddled:
            continue
        expected = (
            backwards(history.steps[number], history.chosen[number], now[number], by, overwrite=overwrite)
            if (number in selected)
            else now[number]
        )
        if on_conflict is OnConflict.STOP and (report.conflicts or report.failed):
            assert live(table, number) in (now[number], expected)
        elif isinstance(expected, str):
            partly = not all(history.chosen[number])
            assert partly or live(table, number) == now[number]
            assert partly or (number in conflicting) == (expected == "conflict")
        else:
            assert live(table, number) == expected
            assert number not in conflicting
    if not rough.meddled and on_conflict is not OnConflict.STOP:
        assert not report.failed


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(layout=st.sampled_from(Layout), first=writes, window=writes, since=writes, again=st.booleans())
def test_a_revert_of_a_revert_gives_the_state_before_it(
    layout: Layout, first: list[Write_], window: list[Write_], since: list[Write_], *, again: bool
) -> None:
    clock = ManualClock()
    stage = Stage(clock, layout=layout, shards=1)
    write(stage, first)
    clock.move(10)
    begun = int(clock.now()) - 1
    write(stage, window)
    ended = int(clock.now())
    clock.move(10)
    write(stage, since)
    clock.move(30)
    stage.follow()
    before = {number: live(stage.table, number) for number in ITEMS}
    reverted = int(clock.now())
    clock.move(5)
    with tempfile.TemporaryDirectory() as folder:
        around = Around(stage.table, clock, Path(folder))
        report = reverting.revert(stage.vault(), Request(ChangeWindow(begun, ended)), around, Writing(), lambda _: True)
        assert (report.file is None) == (report.put + report.updated + report.deleted == 0)
        if again and report.file is not None:
            clock.move(30)
            stage.follow()
            request = Request(ChangeWindow(reverted, int(clock.now())), to_now=True)
            reverting.revert(stage.vault(), request, around, Writing(), lambda _: True)
        elif report.file is not None:
            reverting.undo(Path(report.file), around, Writing(), live=True)
    assert {number: live(stage.table, number) for number in ITEMS} == before


def test_the_model_knows_a_merge() -> None:
    one = {"a": {"N": "1"}}
    assert merged(one, {"a": {"N": "2"}}, {"a": {"N": "2"}, "b": {"N": "3"}}, Merge.ATTRIBUTES, overwrite=False) == {
        "a": {"N": "1"},
        "b": {"N": "3"},
    }
    assert list(itertools.pairwise([1, 2])) == [(1, 2)]
    assert msgspec.json.encode(one) == b'{"a":{"N":"1"}}'
