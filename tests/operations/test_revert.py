"""`revert`: what it refuses, what it leaves alone, and how it goes on, in both layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.errors import GapInTheWay, NotFound, OutsideWindow, PartlyDone, Refused, UsageError
from backstream.model.values import wire
from backstream.operations import revert as reverting
from backstream.operations.changes import ChangeCriteria
from backstream.operations.revert import OnConflict, PlanRow, Writing
from backstream.operations.revert.fitting import Fitting
from backstream.operations.revert.planning import make_plan
from backstream.ports import TableFacts, Write
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit.images import SCHEMA, image, key
from kit.losing import lose
from kit.shop import BAD, GOOD, AnotherTable, Shop, number


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(request.param, tmp_path)


def test_it_brings_back_exactly_what_the_window_changed(shop: Shop) -> None:
    report = shop.revert()
    assert (report.put, report.updated, report.deleted, report.unchanged) == (1, 2, 1, 0)
    assert (report.conflicts, report.failed, report.dry_run) == (0, 0, False)
    assert shop.prices() == GOOD
    assert [each.name for each in shop.folder.iterdir()] == [Path(report.file or "").name]


def test_a_second_time_finds_nothing_to_do_and_leaves_no_file(shop: Shop) -> None:
    first = shop.revert()
    again = shop.revert()
    assert (again.put, again.updated, again.deleted, again.unchanged, again.file) == (0, 0, 0, 4, None)
    assert len(list(shop.folder.iterdir())) == 1
    assert first.undo is not None


def test_a_dry_run_shows_every_row_and_writes_nothing(shop: Shop) -> None:
    rows: list[PlanRow] = []
    report = reverting.dry_run(shop.stage.vault(), shop.request(), shop.around(), Writing(), rows.append)
    assert sorted(row.action for row in rows) == ["delete", "put", "update", "update"]
    assert report.dry_run
    assert report.write_units == 4
    assert shop.prices() == BAD
    assert not list(shop.folder.iterdir())


def test_later_changes_of_others_stay(shop: Shop) -> None:
    shop.put(1, price=number(0), buyer={"S": "ann"})
    shop.revert()
    assert shop.prices() == GOOD
    found = shop.stage.table.fetch([key("z", 1)])[0]
    assert wire.attribute(found, "buyer") == {"S": "ann"}


def test_conflicts_are_named_and_left(shop: Shop) -> None:
    shop.put(1, price=number(7))
    shop.put(3, price=number(8))
    shop.put(9, price=number(9))
    shop.delete(2)
    report = shop.revert()
    assert (report.conflicts, report.failed, report.put + report.updated + report.deleted) == (3, 0, 0)
    assert sorted(json.loads(bytes(each))["number"]["N"] for each in report.conflicting) == ["1", "3", "9"]
    assert [json.loads(bytes(each))["number"]["N"] for each in report.gone] == ["2"]
    assert "price" in report.failures[0].why
    assert shop.prices() == {"1": "7", "3": "8", "4": "5", "9": "9"}


def test_it_stops_at_a_conflict_before_anything_is_written(shop: Shop) -> None:
    shop.put(1, price=number(7))
    with pytest.raises(PartlyDone, match=r"^1 item is in conflict"):
        shop.revert(on_conflict=OnConflict.STOP)
    assert shop.prices() == {**BAD, "1": "7"}
    assert not list(shop.folder.iterdir())  # a plan holds items: it does not stay behind


def test_it_overwrites_where_it_is_told_to(shop: Shop) -> None:
    shop.put(1, price=number(7), buyer={"S": "ann"})
    assert shop.revert(on_conflict=OnConflict.OVERWRITE).conflicts == 0
    assert shop.prices() == GOOD


# --- what is refused --------------------------------------------------------------------------------------------------------------


def untouched(shop: Shop, words: Mapping[str, Any], error: type[Exception], said: str) -> None:
    before = shop.prices()
    with pytest.raises(error, match=said):
        shop.revert(**words)
    assert shop.prices() == before
    assert not list(shop.folder.iterdir())


def test_a_window_across_a_gap_is_refused(shop: Shop) -> None:
    shop.stage.vault().gaps.record(Gap(reason="lost", since=shop.begun, until=shop.ended, stream=shop.stage.vault().catalog.stream))
    untouched(shop, {}, GapInTheWay, "changes may be missing")
    assert shop.revert(allow_gap=True).updated == 2


def test_a_window_beyond_what_is_proven_is_refused_unless_it_ends_now(shop: Shop) -> None:
    shop.clock.move(60)
    late = int(shop.clock.now())
    untouched(shop, {"until": late}, OutsideWindow, "beyond what is proven")
    report = shop.revert(until=late, to_now=True)
    assert "is sure to hold everything up to" in report.warnings[0]
    assert shop.prices() == GOOD


def test_nothing_that_is_proven_is_no_window_even_if_it_ends_now(tmp_path: Path) -> None:
    shop = Shop(Layout.LOG, tmp_path)
    shop.begun = int(shop.clock.now()) + 10
    shop.clock.move(60)
    untouched(shop, {"until": int(shop.clock.now()), "to_now": True}, OutsideWindow, "beyond what is proven")


def test_a_selection_that_matches_nothing_is_said(shop: Shop) -> None:
    untouched(shop, {"asked": ChangeCriteria(where="prise = 0")}, NotFound, "no change of flights")


def test_another_live_table_is_refused(shop: Shop) -> None:
    with pytest.raises(Refused, match="is not the vault's"):
        shop.revert(AnotherTable(shop.stage.table))
    assert shop.prices() == BAD


# --- what is not known ------------------------------------------------------------------------------------------------------------


def test_an_item_whose_image_is_gone_is_left_and_named(tmp_path: Path) -> None:
    shop = Shop(Layout.ROWS, tmp_path)
    history = shop.stage.vault().history(wire.key_of(SCHEMA, key("z", 1)))
    assert history[0].place is not None
    lose(shop.stage.store, history[0].place.name, history[0].place.version)
    report = shop.revert()
    assert (report.failed, report.updated, report.put, report.deleted) == (1, 1, 1, 1)
    assert shop.prices() == {**GOOD, "1": "0"}


def test_an_item_that_an_index_would_refuse_is_named() -> None:
    description = {
        "AttributeDefinitions": [{"AttributeName": "of", "AttributeType": "S"}],
        "GlobalSecondaryIndexes": [{"IndexName": "by-of", "KeySchema": [{"AttributeName": "of", "KeyType": "HASH"}]}],
    }
    facts = TableFacts(
        "t", "", "", SCHEMA, "ACTIVE", None, stream_enabled=False, stream_view=None, description=json.dumps(description).encode()
    )
    fitting = Fitting(facts)
    assert fitting.unfit(image("z", 1, of={"S": "a"})) == ""
    assert fitting.unfit(image("z", 1)) == ""
    assert "by-of" in fitting.unfit(image("z", 1, of={"N": "1"}))
    assert "by-of" in fitting.unfit(image("z", 1, of={"S": ""}))
    assert "400 KB" in fitting.unfit(image("z", 1, text={"S": "x" * 420_000}))


class Expiring:
    """The table; its items expire by `until`."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def settings(self) -> Any:
        return msgspec.structs.replace(self._table.settings(), time_to_live="until")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_rows_whose_time_to_live_has_passed_are_counted(shop: Shop) -> None:
    now = int(shop.clock.now())
    for row, lives in ((6, 20), (7, 9_999), (8, 20)):
        shop.put(row, price=number(5), until=number(now + lives))
    shop.clock.move(10)
    shop.begun = int(shop.clock.now()) - 1
    for row in (6, 7):
        shop.delete(row)
    shop.put(8, price=number(0), until=number(now + lives))
    shop.ended = int(shop.clock.now())
    shop.clock.move(50)
    shop.stage.follow()
    report = shop.revert(Expiring(shop.stage.table))
    assert (report.put, report.updated, report.expired, report.failed) == (2, 1, 2, 0)


# --- going on, and back -----------------------------------------------------------------------------------------------------------


class Dying:
    """The table; the process dies at the n-th write."""

    def __init__(self, table: Any, turn: int) -> None:
        self._table, self._left = table, turn

    def _turn(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise KeyboardInterrupt

    def write_if(self, write: Write, before: bytes | None) -> bool:
        self._turn()
        return bool(self._table.write_if(write, before))

    def change_if(self, after: bytes, before: bytes) -> bool:
        self._turn()
        return bool(self._table.change_if(after, before))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


@pytest.mark.parametrize("turn", [1, 2, 4])
def test_it_goes_on_where_it_was_killed_and_is_undone_as_a_whole(shop: Shop, turn: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        shop.revert(Dying(shop.stage.table, turn))
    journal = next(each for each in shop.folder.iterdir() if "plan" not in each.name)
    shop.put(4, price=number(6))
    report = reverting.go_on(journal, shop.around(), Writing())
    assert (report.put, report.updated, report.deleted, report.failed) == (1, 2, 1, 0)
    assert shop.prices() == {**GOOD, "4": "6"}
    with pytest.raises(UsageError, match="nothing is left"):
        reverting.go_on(journal, shop.around(), Writing())
    undone = reverting.undo(journal, shop.around(), Writing(), live=True)
    assert (undone.put, undone.deleted, undone.failed) == (3, 1, 0)
    assert shop.prices() == {**BAD, "4": "6"}
    with pytest.raises(UsageError, match="taken back"):
        reverting.go_on(journal, shop.around(), Writing())


def test_it_does_not_go_on_in_a_table_that_was_created_anew(shop: Shop) -> None:
    with pytest.raises(KeyboardInterrupt):
        shop.revert(Dying(shop.stage.table, 2))
    journal = next(each for each in shop.folder.iterdir() if "plan" not in each.name)
    before, another = shop.prices(), shop.around(AnotherTable(shop.stage.table))
    with pytest.raises(Refused, match="is not the one that this revert began to write to"):
        reverting.go_on(journal, another, Writing())
    assert shop.prices() == before
    reverting.go_on(journal, another, Writing(), into_another=True)
    assert shop.prices() == GOOD


def test_conflicts_that_the_plan_knew_are_nothing_to_go_on_with(shop: Shop) -> None:
    """Only writing them anew could help, and a resume never does: it has nothing else than the plan."""
    shop.put(1, price=number(7))
    report = shop.revert()
    assert (report.conflicts, report.updated, report.resume) == (1, 1, None)
    assert [each.name for each in shop.folder.iterdir()] == [Path(report.file or "").name]
    with pytest.raises(UsageError, match="nothing is left"):
        reverting.go_on(Path(report.file or ""), shop.around(), Writing())
    assert reverting.undo(Path(report.file or ""), shop.around(), Writing(), live=True).failed == 0
    assert shop.prices() == {**BAD, "1": "7"}


# --- plans ------------------------------------------------------------------------------------------------------------------------


def test_a_plan_is_applied_as_it_is_and_refuses_what_changed(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    made = shop.plan(path)
    assert made.counts.written == 4
    shop.put(1, price=number(0), buyer={"S": "ann"})
    report = reverting.apply(path, shop.around(), Writing())
    assert (report.updated, report.put, report.deleted, report.conflicts) == (1, 1, 1, 1)
    assert "since the plan was made" in report.failures[0].why
    assert shop.prices() == {**GOOD, "1": "0"}
    with pytest.raises(UsageError, match="has been begun"):
        reverting.apply(path, shop.around(), Writing())


def cut(lines: Sequence[bytes]) -> bytes:
    return b"".join(lines[:-1])


def without_a_row(lines: Sequence[bytes]) -> bytes:
    return b"".join([lines[0], *lines[2:]])


def with_a_row(lines: Sequence[bytes]) -> bytes:
    return b"".join([*lines[:2], lines[1], *lines[2:]])


@pytest.mark.parametrize("change", [cut, without_a_row, with_a_row])
def test_a_plan_that_was_altered_is_refused(tmp_path: Path, change: Any) -> None:
    shop = Shop(Layout.LOG, tmp_path)
    path = tmp_path / "plan"
    shop.plan(path)
    path.write_bytes(change(path.read_bytes().splitlines(keepends=True)))
    with pytest.raises(Refused, match="altered"):
        reverting.apply(path, shop.around(), Writing())
    assert shop.prices() == BAD


def test_a_plan_does_not_overwrite_a_file(tmp_path: Path) -> None:
    shop = Shop(Layout.LOG, tmp_path)
    path = tmp_path / "plan"
    path.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        make_plan(shop.stage.vault(), shop.request(), shop.around(), path, "x", max_units=None, show=lambda _: None)
    assert path.read_text() == "mine"


# --- most of a table --------------------------------------------------------------------------------------------------------------


def test_most_of_a_table_is_deleted_only_by_who_says_how_many(shop: Shop) -> None:
    shop.clock.move(60)
    for each in (1, 2, 3, 4):
        shop.delete(each)
    shop.clock.move(60)
    shop.stage.follow()
    untouched(shop, {}, Refused, r"this would delete 1 row, more than half of the rows of flights; nothing was touched")
    foreseen = reverting.dry_run(shop.stage.vault(), shop.request(), shop.around(), Writing())
    assert foreseen.needs_expect_deletes == 1
    plan = shop.plan(shop.folder / "plan")
    with pytest.raises(Refused, match="more than the 0 that are expected"):
        reverting.apply(plan.path, shop.around(), Writing(expect_deletes=0))
    with pytest.raises(Refused, match="more than half"):
        reverting.apply(plan.path, shop.around(), Writing())
    assert shop.prices() == {"9": "0"}
    report = reverting.apply(plan.path, shop.around(), Writing(expect_deletes=1))
    assert (report.deleted, shop.prices().get("9")) == (1, None)


def test_rows_that_are_named_by_their_keys_need_no_number(shop: Shop) -> None:
    for each in (1, 2, 4):
        shop.delete(each)
    nine = wire.key_of(SCHEMA, key("z", 9))
    assert shop.revert(asked=ChangeCriteria(keys=[nine])).deleted == 1


def test_a_plan_that_was_carried_out_says_how_to_take_it_back(shop: Shop) -> None:
    plan = shop.plan(shop.folder / "plan")
    reverting.apply(plan.path, shop.around(), Writing())
    with pytest.raises(UsageError, match="this plan has been carried out") as error:
        reverting.apply(plan.path, shop.around(), Writing())
    assert "--undo" in error.value.hint
    (journal,) = shop.folder.glob("backstream-revert-*")
    reverting.undo(journal, shop.around(), Writing(), live=True)
    with pytest.raises(UsageError, match="carried out and taken back"):
        reverting.apply(plan.path, shop.around(), Writing())
    assert shop.prices() == BAD
