"""Whatever several writers did before the window, in it, since, and meanwhile: a revert leaves what the model of the merge leaves.

The model is on dicts. Items are of a few numbers; each write names its writer in the attribute `by`. The vault has either layout.
While the revert runs others write, requests fail before or after they were carried out, and the process is killed and gone on with.
All changes are selected, or those that a condition, an actor or a file of sequence numbers names. A plan that was saved is carried
out later, after others have written.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backstream.errors import NotFound, PartlyDone, Unavailable
from backstream.model.changes.merge import Merge
from backstream.model.values import wire
from backstream.operations import revert as reverting
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext, ChangeWindow, Number
from backstream.operations.revert import Around, OnConflict, Plan, PlanRow, Reverted, RevertRequest, Writing
from backstream.operations.revert.applying import path_for
from backstream.operations.revert.plan_file import image_in
from backstream.ports import Delete, Put, Write
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
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

    def __init__(self, before: Mapping[int, Item], window: Sequence[Write_], picked: str, named: Sequence[bool]) -> None:
        self.steps: dict[int, list[tuple[Item, Item]]] = {number: [] for number in ITEMS}
        self.chosen: dict[int, list[bool]] = {number: [] for number in ITEMS}
        state = dict(before)
        naming = itertools.cycle(named)
        for number, item in window:
            if state[number] != item:
                step = state[number], item
                self.steps[number].append(step)
                self.chosen[number].append(is_picked(step, picked, named=next(naming)))
                state[number] = item

    def selected(self) -> list[int]:
        return [number for number in ITEMS if any(self.chosen[number])]


def is_picked(step: tuple[Item, Item], picked: str, *, named: bool) -> bool:
    if picked == "where":
        return any(each is not None and each["by"]["S"] == "deploy" for each in step)
    if picked == "actor":  # the item after the change names it; of a delete nobody is known
        return step[1] is not None and step[1]["by"]["S"] == "deploy"
    return picked == "all" or named


def criteria(stage: Stage, span: ChangeWindow, history: History, picked: str) -> ChangeCriteria:
    """The selection, as the command line has it."""
    if picked == "where":
        return ChangeCriteria(where='by = "deploy"')
    if picked == "actor":
        return ChangeCriteria(actor="deploy")
    if picked == "all":
        return ChangeCriteria()
    chosen = {key(number): iter(each) for number, each in history.chosen.items()}
    every = list(Changes(stage.vault(), span, ChangeCriteria(), ChangesContext(stage.clock)).records())
    numbers = [Number(each.sequence or "", bytes(each.key)) for each in every if next(chosen[bytes(each.key)])]
    assert not any(list(rest) for rest in chosen.values())
    return ChangeCriteria(numbers=numbers)


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
        self.writers: list[tuple[bytes, str]] = []
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
                self.writers.append((name, "we"))
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
        self.writers.append((key(number), "somebody"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


WRITING = Writing(patience=300.0, expect_deletes=len(ITEMS))


def run(begin: Callable[[], Reverted], around: Around, rough: Rough) -> Reverted | None:
    """A revert, gone on with as often as it is killed; None where it stops at a conflict."""
    folder, writing = around.folder, WRITING
    while True:
        journals = [each for each in folder.iterdir() if "plan" not in each.name]
        try:
            if not journals:
                return begin()
            assert journals == [path_for(journals[0].stem.rpartition("-")[2], folder)]
            return reverting.go_on(journals[0], around, writing)
        except PartlyDone:
            return None
        except KeyboardInterrupt:
            rough.dead = False


happenings = st.sampled_from(["meddle", "meddle", "meddle", "meddle", "fail", "lose", "die", "die after"])
turns = st.lists(happenings, max_size=6).map(lambda every: dict(enumerate(every, 1)))


class Night:
    """A history of three times: before the window, in it, and since. The vault has all of it."""

    def __init__(
        self, layout: Layout, first: list[Write_], window: list[Write_], since: list[Write_], picked: str, named: Sequence[bool]
    ) -> None:
        clock = ManualClock()
        self.stage = stage = Stage(clock, layout=layout, shards=2)
        self.clock = clock
        if picked == "actor":
            with_actor = functools.partial(msgspec.structs.replace, actor_attribute="by")
            catalogs.change(stage.store, stage.vault().catalog.table, with_actor)
        write(stage, first)
        self.before = {number: live(stage.table, number) for number in ITEMS}
        self.history = History(self.before, window, picked, named)
        clock.move(10)
        begun = int(clock.now()) - 1
        write(stage, window)
        self.span = ChangeWindow(begun, int(clock.now()))
        clock.move(10)
        update(stage, since)
        clock.move(30)
        stage.follow()
        self.now = {number: live(stage.table, number) for number in ITEMS}


def update(stage: Stage, every: Sequence[Write_]) -> None:
    """Others change single attributes."""
    for number, news in every:
        write(stage, [(number, {**(live(stage.table, number) or {}), **(news or {})})])


night = {
    "layout": st.sampled_from(Layout),
    "first": writes,
    "window": writes,
    "since": updates,
    "picked": st.sampled_from(["all", "all", "where", "actor", "numbers"]),
    "named": st.lists(st.booleans(), min_size=1, max_size=5),
    "by": st.sampled_from(Merge),
    "on_conflict": st.sampled_from(OnConflict),
    "turns": turns,
    "meddling": updates,
}


def revert_leaves_what_the_model_leaves(
    layout: Layout,
    first: list[Write_],
    window: list[Write_],
    since: list[Write_],
    picked: str,
    named: list[bool],
    by: Merge,
    on_conflict: OnConflict,
    turns: dict[int, str],
    meddling: list[Write_],
) -> None:
    made = Night(layout, first, window, since, picked, named)
    history, stage, rough = made.history, made.stage, Rough(made.stage.table, turns, meddling)
    request = RevertRequest(made.span, criteria(stage, made.span, history, picked), by, on_conflict)
    with tempfile.TemporaryDirectory() as folder:
        around = Around(rough, stage.clock, Path(folder))
        try:
            report = run(lambda: reverting.revert(stage.vault(), request, around, WRITING, lambda _: True), around, rough)
        except NotFound:
            assert not history.selected()
            assert not rough.made
            return
    check(history, made.now, rough, report, by, on_conflict, stage.table)


def plan_is_carried_out_exactly(
    layout: Layout,
    first: list[Write_],
    window: list[Write_],
    since: list[Write_],
    picked: str,
    named: list[bool],
    by: Merge,
    on_conflict: OnConflict,
    turns: dict[int, str],
    meddling: list[Write_],
    between: list[Write_],
) -> None:
    """What somebody changes after the plan was made is left and named; all else becomes what the plan says."""
    made = Night(layout, first, window, since, picked, named)
    history, stage, rough = made.history, made.stage, Rough(made.stage.table, turns, meddling)
    request = RevertRequest(made.span, criteria(stage, made.span, history, picked), by, on_conflict)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as elsewhere:
        around, path = Around(rough, stage.clock, Path(folder)), Path(elsewhere) / "night.ndjson"
        try:
            plan = reverting.plan(stage.vault(), request, around, path)
        except NotFound:
            assert not history.selected()
            return
        update(stage, between)
        now = {number: live(stage.table, number) for number in ITEMS}
        rows = {int(wire.decode(bytes(row.key))["number"]["N"]): row for row in plan.rows()}
        report = run(lambda: reverting.apply(path, around, WRITING), around, rough)
        assert Plan(path).digest == plan.digest
    check_plan(history, made.now, now, rows, rough, report, on_conflict, by, stage.table)


def check_plan(
    history: History,
    planned: Mapping[int, Item],
    now: Mapping[int, Item],
    rows: Mapping[int, PlanRow],
    rough: Rough,
    report: Reverted | None,
    on_conflict: OnConflict,
    by: Merge,
    table: MemoryTable,
) -> None:
    overwrite = on_conflict is OnConflict.OVERWRITE
    numbers = {key(number): number for number in ITEMS}
    for number, row in rows.items():
        outcome = backwards(history.steps[number], history.chosen[number], planned[number], by, overwrite=overwrite)
        assert fields(image_in(row.live)) == planned[number]
        assert not row.is_written or isinstance(outcome, str) or fields(image_in(row.after)) == outcome
    for name, was, became in rough.made:
        number = numbers[name]
        row, added = rows[number], rough.added.get(number, set())
        assert row.is_written
        after = fields(image_in(row.after))
        assert was == planned[number] or without(was, added) == without(planned[number], added)
        assert became == after or without(became, added) == without(after, added)
    check_once(rough)
    if report is None:
        assert on_conflict is OnConflict.STOP
        assert not rough.made
        return
    conflicting = {numbers[bytes(each)] for each in report.conflicting}
    for number in ITEMS:
        if number in rough.meddled:
            continue
        row_ = rows.get(number)
        if row_ is None or not row_.is_written:
            assert live(table, number) == now[number]
        elif now[number] == planned[number]:
            stopped = on_conflict is OnConflict.STOP and (report.conflicts or report.failed)
            assert live(table, number) == fields(image_in(row_.after)) or (stopped and live(table, number) == now[number])
        else:
            assert live(table, number) == now[number]
            assert (number in conflicting) == (now[number] != fields(image_in(row_.after)))


def check_once(rough: Rough) -> None:
    """Nothing is written twice, unless somebody else has written it between: back to what it was, which nothing can tell apart."""
    last: dict[bytes, str] = {}
    for name, who in rough.writers:
        assert (last.get(name), who) != ("we", "we")
        last[name] = who


def row(by: str, **numbers: int) -> Item:
    return {**{name: {"N": str(value)} for name, value in numbers.items()}, "by": {"S": by}}


QUIET: dict[str, Any] = {
    "layout": Layout.LOG,
    "first": [(0, row("shop", a=0, b=0)), (1, row("shop", a=0))],
    "window": [(0, row("deploy", a=1, b=0)), (2, row("deploy", a=1))],
    "since": [],
    "picked": "all",
    "named": [True],
    "by": Merge.ATTRIBUTES,
    "on_conflict": OnConflict.SKIP,
    "turns": {},
    "meddling": [],
}
# A few random nights may hold none of these: others change the same attribute since, change an item that the window created,
# or change an item in the moment in which it is written.
ALWAYS = (
    {**QUIET, "since": [(0, {"a": {"N": "2"}})]},
    {**QUIET, "since": [(2, {"b": {"N": "2"}})]},
    {**QUIET, "turns": {1: "meddle", 2: "meddle"}, "meddling": [(0, {"a": {"N": "2"}}), (0, {"b": {"N": "2"}})]},
)


def randomly(examples: int, **more: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    chosen = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))

    def made(test: Callable[..., None]) -> Callable[..., None]:
        for each in ALWAYS:
            test = example(**each, **{name: [] for name in more})(test)
        return chosen(given(**night, **more)(test))

    return made


@randomly(30)
def test_a_revert_leaves_what_the_model_leaves(**drawn: Any) -> None:
    revert_leaves_what_the_model_leaves(**drawn)


@randomly(20, between=updates)
def test_a_plan_is_carried_out_exactly(**drawn: Any) -> None:
    plan_is_carried_out_exactly(**drawn)


@pytest.mark.soak
@randomly(600)
def test_many_reverts_leave_what_the_model_leaves(**drawn: Any) -> None:
    revert_leaves_what_the_model_leaves(**drawn)


@pytest.mark.soak
@randomly(400, between=updates)
def test_many_plans_are_carried_out_exactly(**drawn: Any) -> None:
    plan_is_carried_out_exactly(**drawn)


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
    check_once(rough)
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
@given(
    layout=st.sampled_from(Layout),
    first=writes,
    window=writes,
    since=writes,
    again=st.booleans(),
    by=st.sampled_from(Merge),
    on_conflict=st.sampled_from([OnConflict.SKIP, OnConflict.OVERWRITE]),
)
def test_a_revert_of_a_revert_gives_the_state_before_it(
    layout: Layout,
    first: list[Write_],
    window: list[Write_],
    since: list[Write_],
    *,
    again: bool,
    by: Merge,
    on_conflict: OnConflict,
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
        report = reverting.revert(
            stage.vault(),
            RevertRequest(ChangeWindow(begun, ended), merge=by, on_conflict=on_conflict),
            around,
            WRITING,
            lambda _: True,
        )
        assert (report.file is None) == (report.put + report.updated + report.deleted == 0)
        if again and report.file is not None:
            clock.move(30)
            stage.follow()
            request = RevertRequest(ChangeWindow(reverted, int(clock.now())), to_now=True)
            reverting.revert(stage.vault(), request, around, WRITING, lambda _: True)
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
