"""Unknown is not absent: an in-place restore deletes and reverts only what the vault proves, and names what it leaves alone.

The stage is in memory; `test_unknown_rows_command.py` has the same through the command line.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.errors import Failed, NotFound, Refused
from backstream.model.tables.settings import TableSettings
from backstream.model.values import wire
from backstream.operations import restore as restoring
from backstream.operations.bulk.journal import Journal
from backstream.operations.migrate import MigrationContext, MigrationRequest
from backstream.operations.restore import Again, InPlace, NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.undo import undo_restore
from backstream.ports import Delete, Put, TableFacts, Write
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.images import image, key
from kit.lived import all_changes, deliver
from kit.one_at_a_time import OneAtATime
from kit.stage import Stage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    """Four rows that the vault knows, proven up to now."""
    stage = Stage(clock, layout=request.param, shards=1, store=MemoryStore(clock))
    stage.put(range(4))
    clock.move(100)
    stage.follow()
    return stage


def around(stage: Stage, folder: Path, table: object = None) -> RestoreContext:
    chosen: Any = table or stage.table
    return RestoreContext(lambda _: chosen, stage.clock, folder)


def run(stage: Stage, folder: Path, at: float, table: object = None, **words: Any) -> Restored:
    return restore(stage.vault(), RestoreRequest(at=int(at), target=InPlace(), **words), around(stage, folder, table))


def live(table: MemoryTable) -> dict[bytes, bytes]:
    return {wire.key_of(images.SCHEMA, found): found for page in table.scan() for found in page}


def canonical(number: int) -> bytes:
    return wire.key_of(images.SCHEMA, key("z", number))


# --- beyond the proven second -----------------------------------------------------------------------------------------------------


def test_beyond_the_proven_second_nothing_is_deleted_or_reverted_that_was_not_heard_of(
    stage: Stage, clock: ManualClock, tmp_path: Path
) -> None:
    """A new row, a changed one and a deleted one: the vault has heard of none of them yet, and all of it was so at the moment."""
    stage.put([7, 1])
    stage.delete([2])
    clock.move(100)
    at, before = clock.now() - 1, live(stage.table)
    dry = run(stage, tmp_path, at, dry_run=True)
    done = run(stage, tmp_path, at)
    for report in (dry, done):
        assert (report.put, report.deleted, report.failed, report.spared) == (0, 0, 3, 3)
        assert {each.what for each in report.sparing} == {canonical(each).decode() for each in (7, 1, 2)}
        assert all("left alone" in each.why and "sure to hold everything up to" in each.why for each in report.failures)
        assert any("3 live rows are left alone" in each for each in report.warnings)
    assert live(stage.table) == before
    assert done.left is not None
    stage.follow()
    again = restoring.resume(stage.vault(), Path(done.left), around(stage, tmp_path), Again())
    assert (again.failed, again.put, again.deleted, live(stage.table)) == (0, 0, 0, before), "now it is known to have been so"
    assert run(stage, tmp_path, at).unchanged == len(before)


def test_rows_by_key_are_spared_too(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    stage.put([7, 1])
    clock.move(100)
    before = live(stage.table)
    report = run(stage, tmp_path, clock.now() - 1, keys=[canonical(7), canonical(1), canonical(0)])
    assert (report.put, report.deleted, report.unchanged, report.failed, report.spared) == (0, 0, 1, 2, 2)
    assert live(stage.table) == before


def test_a_change_after_the_moment_that_was_heard_of_is_undone(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    """Changes came out of order from a function that proves nothing: row 1 is known to have changed since, row 2 is not."""
    clock.move(100)
    at = clock.now()
    clock.move(100)
    stage.put([1, 2, 7])
    heard = [each for each in all_changes(stage) if b'"1"' in each.keys and each.seconds > at]
    deliver(stage, heard)
    report = run(stage, tmp_path, at)
    assert (report.put, report.deleted, report.failed) == (1, 0, 2)
    assert {each.what for each in report.failures} == {canonical(2).decode(), canonical(7).decode()}
    assert live(stage.table)[canonical(1)] == stage.expected(int(at))[canonical(1)]


def test_those_who_know_may_delete_what_is_unknown(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    stage.put([7])
    clock.move(100)
    report = run(stage, tmp_path, clock.now() - 1, delete_unknown=True)
    assert (report.deleted, report.failed, report.spared) == (1, 0, 0)
    assert canonical(7) not in live(stage.table)


# --- what shows that a row existed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delete_unknown", [False, True])
@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("event", ["MODIFY", "REMOVE"])
def test_a_row_whose_next_change_says_that_it_existed_is_not_deleted(
    stage: Stage, clock: ManualClock, tmp_path: Path, event: str, *, keys: bool, delete_unknown: bool
) -> None:
    """Its insert never came, and the window claims the moment all the same: the next change proves that a change is missing."""
    stage.put([7])
    clock.move(50)
    at = clock.now()
    clock.move(50)
    if event == "REMOVE":
        stage.delete([7])
    stage.put([7])
    found = [each for each in all_changes(stage) if b'"7"' in each.keys]
    deliver(stage, found[1:])
    stage.vault().log.write_mark(stage.vault().catalog.stream, int(clock.now()), writer="liar")
    words: dict[str, Any] = {"keys": [canonical(7)]} if keys else {}
    report = run(stage, tmp_path, at, delete_unknown=delete_unknown, **words)
    assert (report.deleted, report.failed, report.spared) == (0, 1, 1)
    assert f"is a {event}" in report.failures[0].why
    assert "it existed at" in report.failures[0].why
    assert canonical(7) in live(stage.table)


# --- another table ----------------------------------------------------------------------------------------------------------------


class Elsewhere:
    """A table of the same name that is another one."""

    def __init__(self, table: MemoryTable, **facts: str) -> None:
        self._table = table
        self._facts = facts

    def facts(self) -> TableFacts:
        return msgspec.structs.replace(self._table.facts(), **self._facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


OTHERS = {
    "account": {"arn": "arn:aws:dynamodb:us-east-1:111111111111:table/flights"},
    "region": {"arn": "arn:aws:dynamodb:eu-west-1:000000000000:table/flights"},
    "table id": {"table_id": "00000000-0000-4000-8000-000000000001"},
}


@pytest.mark.parametrize("differs", OTHERS)
def test_another_table_is_refused(stage: Stage, clock: ManualClock, tmp_path: Path, differs: str) -> None:
    at = clock.now() - 50
    stage.put([1])
    clock.move(10)
    stage.follow()
    other, before = Elsewhere(stage.table, **OTHERS[differs]), live(stage.table)
    for words in ({}, {"dry_run": True}, {"keys": [canonical(1)]}, {"allow_gap": True}):
        with pytest.raises(Refused, match=f"(?s)not the vault's: {differs}.*--into-another") as refused:
            run(stage, tmp_path, at, other, **words)
        assert refused.value.exit_code == 4
    assert (live(stage.table), list(tmp_path.iterdir())) == (before, [])
    assert run(stage, tmp_path, at, other, into_another=True).put == 1


class Dying(OneAtATime):
    """Its process dies at the first write."""

    def __init__(self, table: MemoryTable, turn: int = 1) -> None:
        self._table = table
        self._left = turn

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        self._turn()
        return self._table.write(writes, took)

    def write_if(self, write: Write, before: bytes | None) -> bool:
        self._turn()
        return self._table.write_if(write, before)

    def _turn(self) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def resume(stage: Stage, folder: Path, table: object, **words: Any) -> Restored:
    (path,) = folder.glob("backstream-restore-*")
    return restoring.resume(stage.vault(), path, around(stage, folder, table), Again(**words))


@pytest.mark.parametrize("differs", OTHERS)
def test_a_restore_is_not_resumed_into_another_table(stage: Stage, clock: ManualClock, tmp_path: Path, differs: str) -> None:
    at = clock.now() - 50
    stage.put([1])
    clock.move(10)
    stage.follow()
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, at, Dying(stage.table))
    with pytest.raises(Refused, match=f"began to write to: {differs}"):
        resume(stage, tmp_path, Elsewhere(stage.table, **OTHERS[differs]))
    assert resume(stage, tmp_path, stage.table).put == 1


# --- a new table that was left half full ------------------------------------------------------------------------------------------


def half_full(stage: Stage, folder: Path) -> MemoryTable:
    """A new table: the restore into it died before its second batch, and others have created a row there and changed one."""
    target = MemoryTable("new", stage.clock)
    with pytest.raises(KeyboardInterrupt):
        restore(
            stage.vault(),
            RestoreRequest(at=int(stage.clock.now()) - 50, target=NewTable("new")),
            around(stage, folder, Dying(target)),
        )
    target.write([Put(image("z", 1, theirs={"S": "changed"})), Put(image("theirs", 1))])
    return target


def test_rows_of_others_in_a_new_table_are_conflicts(stage: Stage, tmp_path: Path) -> None:
    target = half_full(stage, tmp_path)
    theirs = live(target)
    report = resume(stage, tmp_path, target)
    assert (report.put, report.deleted, report.failed, report.conflicts) == (3, 0, 2, 2)
    assert live(target) == {**stage.expected(), **theirs}
    with pytest.raises(Refused, match="somebody changed"):
        resume(stage, tmp_path, target)
    forced = resume(stage, tmp_path, target, force=True)
    assert (forced.put, forced.deleted, forced.failed, forced.spared) == (1, 0, 0, 1), "not even then is a row of others deleted"
    assert live(target) == {**stage.expected(), wire.key_of(images.SCHEMA, image("theirs", 1)): image("theirs", 1)}


# --- most of a table --------------------------------------------------------------------------------------------------------------


def test_most_of_a_table_is_deleted_only_where_the_number_is_expected(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    at = clock.now() - 50
    stage.put(range(10, 16))
    clock.move(10)
    stage.follow()
    before = live(stage.table)
    with pytest.raises(Refused, match="delete 6 of the 10 rows") as refused:
        run(stage, tmp_path, at)
    assert (refused.value.exit_code, "--expect-deletes 6" in refused.value.hint) == (4, True)
    with pytest.raises(Refused, match="more than the 5"):
        run(stage, tmp_path, at, expect_deletes=5)
    assert (live(stage.table), list(tmp_path.iterdir())) == (before, [])
    dry = run(stage, tmp_path, at, dry_run=True)
    assert (dry.deleted, dry.needs_expect_deletes) == (6, 6)
    done = run(stage, tmp_path, at, expect_deletes=6)
    assert (done.deleted, done.failed, live(stage.table)) == (6, 0, stage.expected(int(at)))


def test_half_of_a_table_needs_no_number_and_an_empty_state_always_does(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    at = clock.now() - 50
    stage.put(range(10, 14))
    clock.move(10)
    stage.follow()
    with pytest.raises(Refused, match="expected"):
        run(stage, tmp_path, at, expect_deletes=3)
    done = run(stage, tmp_path, at)
    assert (done.deleted, done.needs_expect_deletes) == (4, None)


def test_an_empty_state_needs_the_number(clock: ManualClock, tmp_path: Path) -> None:
    stage = Stage(clock, shards=1, store=MemoryStore(clock))
    clock.move(10)
    at = clock.now()
    clock.move(10)
    stage.put([1])
    clock.move(10)
    stage.follow()
    with pytest.raises(Refused, match="delete 1 of the 1 row of flights; the vault holds no row"):
        run(stage, tmp_path, at)
    with pytest.raises(Refused, match="the vault holds no row"):
        run(stage, tmp_path, at, where="v exists")
    assert run(stage, tmp_path, at, dry_run=True).needs_expect_deletes == 1
    assert run(stage, tmp_path, at, keys=[canonical(1)]).deleted == 1, "a row that was named is no surprise"


# --- a selection that matches nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"where": 'statuss = "paid"'}, "No row has an attribute 'statuss'. The nearest attributes: 'status'."),
        ({"where": 'address.ctiy = "B"'}, "The nearest attributes: 'address.city'"),
        ({"where": 'status = "gone"'}, "where 'status = \"gone\"'"),
        ({"partition": "y"}, "The nearest values of zone: 'z'."),
        ({"keys": [key("y", 1)]}, "ever held"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_selection_that_matches_nothing_is_an_error(
    stage: Stage, clock: ManualClock, tmp_path: Path, words: dict[str, Any], said: str, *, dry_run: bool
) -> None:
    rows = [image("z", 5, status={"S": "paid"}, address={"M": {"city": {"S": "B"}}})]
    stage.table.write(list(map(Put, rows)))
    clock.move(10)
    stage.follow()
    words = dict(words)
    keys = [wire.key_of(images.SCHEMA, each) for each in words.pop("keys", [])]
    at = clock.now() - 1
    for target in (InPlace(), NewTable("new")):
        request = RestoreRequest(at=int(at), target=target, keys=keys, dry_run=dry_run, **words)
        with pytest.raises(NotFound) as error:
            restore(stage.vault(), request, RestoreContext(table_of(stage), clock, tmp_path))
        assert said in str(error.value)
        assert (error.value.exit_code, list(tmp_path.iterdir())) == (1, [])


def table_of(stage: Stage) -> Callable[[str], MemoryTable]:
    new = MemoryTable("new", stage.clock)
    return lambda name: stage.table if name == stage.table.name else new


def test_of_many_keys_each_that_was_never_seen_is_named(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    at = clock.now() - 50
    stage.put([1])
    clock.move(10)
    stage.follow()
    report = run(stage, tmp_path, at, keys=[canonical(1), canonical(99)])
    assert (report.put, report.failed, [each.what for each in report.failures]) == (1, 1, [canonical(99).decode()])


# --- time to live -----------------------------------------------------------------------------------------------------------------


class Expiring:
    """A table with time to live."""

    def __init__(self, table: MemoryTable) -> None:
        self._table = table

    def settings(self) -> TableSettings:
        return msgspec.structs.replace(self._table.settings(), time_to_live="until")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_rows_that_have_expired_since_are_counted_before_and_after(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    soon, long = int(clock.now()) + 60, int(clock.now()) + 10_000
    rows = [image("t", number, until={"N": str(until)}) for number, until in enumerate([soon, soon, long, 5])]
    stage.table.write(list(map(Put, rows)))
    clock.move(30)
    stage.follow()
    at = clock.now() - 1
    stage.table.write([Delete(key("t", number)) for number in range(4)])
    clock.move(100)
    stage.follow()
    table = Expiring(stage.table)
    for report in (run(stage, tmp_path, at, table, dry_run=True), run(stage, tmp_path, at, table)):
        assert (report.put, report.expired, report.failed) == (4, 2, 0)
        assert any("2 rows whose time to live has passed" in each for each in report.warnings)


# --- taken back -------------------------------------------------------------------------------------------------------------------


def undo(stage: Stage, folder: Path, report: Restored, table: object = None, *, live: bool = True, **words: Any) -> Restored:
    assert report.undo is not None
    path = Path(report.undo.split()[-1])
    chosen: Any = table or stage.table
    return undo_restore(path, MigrationRequest(live=live), MigrationContext(chosen, stage.clock, folder, **words))


@pytest.mark.parametrize("force", [False, True])
def test_the_undo_brings_back_rows_that_the_vault_has_never_seen(
    stage: Stage, clock: ManualClock, tmp_path: Path, *, force: bool
) -> None:
    """The stream is off: nobody but the restore's own file knows the rows that it deletes."""
    at = clock.now()
    clock.move(10)
    stage.follow()
    stage.table.disable_stream()
    stage.put([7, 1])
    stage.delete([2])
    before = live(stage.table)
    report = run(stage, tmp_path, at, force=force)
    assert (report.deleted, report.put, report.failed) == (1, 2, 0)
    (path,) = tmp_path.glob("backstream-undo-*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    dry = undo(stage, tmp_path, report, live=False)
    assert (dry.put, dry.deleted, dry.dry_run) == (2, 1, True)
    assert live(stage.table) != before
    done = undo(stage, tmp_path, report)
    assert (done.put, done.deleted, done.failed, live(stage.table)) == (2, 1, 0, before)


def test_the_undo_leaves_to_others_what_they_have_changed_since(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    at = clock.now() - 50
    stage.put([7, 1])
    clock.move(10)
    stage.follow()
    before = live(stage.table)
    report = run(stage, tmp_path, at)
    theirs = image("z", 1, theirs={"S": "newer"})
    stage.table.write([Put(theirs)])
    undone = undo(stage, tmp_path, report)
    assert (undone.put, undone.failed, undone.conflicts) == (1, 1, 1)
    assert live(stage.table) == {**before, canonical(1): theirs}


def test_the_undo_is_refused_in_another_table(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    at = clock.now() - 50
    stage.put([1])
    clock.move(10)
    stage.follow()
    report = run(stage, tmp_path, at)
    other = Elsewhere(stage.table, **OTHERS["account"])
    with pytest.raises(Refused, match="wrote to: account"):
        undo(stage, tmp_path, report, other)
    assert undo(stage, tmp_path, report, other, into_another=True).put == 1


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_the_undo_of_an_interrupted_and_resumed_restore_takes_all_of_it_back(
    stage: Stage, clock: ManualClock, tmp_path: Path, turn: int
) -> None:
    at = clock.now() - 50
    stage.put([7, 8, 1])
    stage.delete([2])
    clock.move(10)
    stage.follow()
    before = live(stage.table)
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, at, Dying(stage.table, turn))
    (path,) = tmp_path.glob("backstream-undo-*")
    report = resume(stage, tmp_path, stage.table)
    assert report.failed == 0
    assert live(stage.table) == stage.expected(int(at))
    undone = undo_restore(path, MigrationRequest(live=True), MigrationContext(stage.table, clock, tmp_path))
    assert (undone.failed, live(stage.table)) == (0, before)


def test_what_cannot_be_kept_is_not_written(
    stage: Stage, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the first image on."""
    at = clock.now() - 50
    stage.put([1])
    clock.move(10)
    stage.follow()
    before = live(stage.table)

    def full(*_: object) -> list[int]:
        raise Failed("what is done cannot be kept: No space left on device")

    monkeypatch.setattr(Journal, "intend", full)
    report = run(stage, tmp_path, at)
    assert (report.put, report.failed) == (0, 1)
    assert "No space" in report.failures[0].why
    assert live(stage.table) == before
