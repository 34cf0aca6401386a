"""`revert` of single changes that a file names, and plans that contradict themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.verbs.changes import asked_of
from backstream.errors import NotFound, NothingMatches, Refused, UsageError
from backstream.model.values import wire
from backstream.operations import revert as reverting
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext
from backstream.operations.changes.gathered import Gathered
from backstream.operations.changes.run import NetRecord
from backstream.operations.changes.selection import Number, numbers_in
from backstream.operations.revert import Writing
from backstream.vault.catalog import Layout
from kit.images import SCHEMA, key
from kit.shop import BAD, GOOD, Shop, number


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(request.param, tmp_path)


def sequence_of(shop: Shop, item: int) -> str:
    """Of the newest change of an item."""
    return shop.stage.vault().history(wire.key_of(SCHEMA, key("z", item)))[-1].sequence


def test_only_the_changes_that_are_named(shop: Shop) -> None:
    report = shop.revert(asked=ChangeCriteria(numbers=[Number(sequence_of(shop, 1)), Number(sequence_of(shop, 9))]))
    assert (report.updated, report.deleted, report.put) == (1, 1, 0)
    assert shop.prices() == {"1": "5", "2": "0", "4": "5"}


def test_a_named_change_that_is_not_in_the_window_is_said_and_nothing_is_written(shop: Shop) -> None:
    """It would stay as it is, and the revert would look complete."""
    numbers = [Number(sequence_of(shop, 1)), Number(sequence_of(shop, 4)), Number("7" * 25)]
    with pytest.raises(NotFound, match=r"^2 changes of --changes not found in flights") as error:
        shop.revert(asked=ChangeCriteria(numbers=numbers))
    assert "7" * 25 in error.value.message
    assert sequence_of(shop, 4) in error.value.message
    assert shop.prices() == BAD
    assert not list(shop.folder.iterdir())
    narrowed = ChangeCriteria(numbers=numbers, keys=[wire.key_of(SCHEMA, key("z", 1))])
    assert shop.revert(asked=narrowed).updated == 1


def test_a_line_of_net_that_sums_up_several_changes_names_none(tmp_path: Path) -> None:
    path = tmp_path / "net"
    line = {"sequence": "1" * 24, "key": json.loads(key("z", 1)), "changes": 1}
    path.write_text(json.dumps(line))
    assert numbers_in(path, SCHEMA, "flights") == [Number("1" * 24, wire.key_of(SCHEMA, key("z", 1)))]
    path.write_text(json.dumps({**line, "changes": 3}))
    with pytest.raises(UsageError, match="line 1 is of `changes --net`"):
        numbers_in(path, SCHEMA, "flights")


def test_an_undo_names_the_items_that_somebody_has_changed_since(shop: Shop) -> None:
    journal = Path(shop.revert().file or "")
    shop.put(1, price=number(8))
    foreseen = reverting.undo(journal, shop.around(), Writing(), live=False)
    assert (foreseen.write_units, foreseen.put, foreseen.deleted, foreseen.conflicts) == (3, 2, 1, 1)
    undone = reverting.undo(journal, shop.around(), Writing(), live=True)
    assert (undone.conflicts, undone.failed) == (1, 0)
    assert [json.loads(bytes(each))["number"]["N"] for each in undone.conflicting] == ["1"]
    assert shop.prices() == {**BAD, "1": "8"}


def test_one_name_is_no_list_of_names(tmp_path: Path) -> None:
    """It would be one of letters: `attributes="ab"` would select what changed `a`."""
    vault = Shop(Layout.LOG, tmp_path).stage.vault()
    words: dict[str, Any]
    for words in ({"keys": '{"zone":"z","number":1}'}, {"events": "INSERT"}, {"attributes": "price"}):
        with pytest.raises(UsageError, match="are a list"):
            asked_of(vault, **words)
    assert asked_of(vault, attributes=["price"]).attributes == ["price"]


# --- a plan that was sealed anew, and says something else than its images ---------------------------------------------------------


def other_action(line: bytes) -> bytes:
    return line.replace(b'"action":"update"', b'"action":"put"')


def other_key(line: bytes) -> bytes:
    return line.replace(b'"key":{"zone":{"S":"z"},"number":{"N":"2"}}', b'"key":{"zone":{"S":"z"},"number":{"N":"4"}}')


def fewer_deletes(line: bytes) -> bytes:
    return line.replace(b'"deleted":1', b'"deleted":0')


def other_verdict(line: bytes) -> bytes:
    return line.replace(b'"action":"delete","verdict":"write"', b'"action":"delete","verdict":"conflict"')


def no_item(line: bytes) -> bytes:
    return line.replace(b'"after":{"price"', b'"after":{"cost":5,"price"')


@pytest.mark.parametrize("change", [other_action, other_key, fewer_deletes, other_verdict, no_item])
def test_a_plan_that_contradicts_itself_is_refused_before_anything_is_written(shop: Shop, change: Callable[[bytes], bytes]) -> None:
    plan = shop.plan(shop.folder / "plan")
    *lines, _ = plan.path.read_bytes().splitlines(keepends=True)
    body = b"".join(map(change, lines))
    assert body != b"".join(lines)
    plan.path.write_bytes(body + json.dumps({"sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n")
    with pytest.raises(Refused, match="nothing was touched"):
        reverting.apply(plan.path, shop.around(), Writing())
    assert shop.prices() == BAD


def test_a_plan_that_was_not_touched_is_carried_out(shop: Shop) -> None:
    plan = shop.plan(shop.folder / "plan")
    assert reverting.apply(plan.path, shop.around(), Writing()).failed == 0
    assert shop.prices() == GOOD


def often(shop: Shop, times: int) -> list[str]:
    """An item changes so often within the window; the sequence numbers of these changes."""
    for each in range(times):
        shop.put(1, price=number(100 + each), **{f"a{each}": number(each)})
    shop.ended = int(shop.clock.now())
    shop.clock.move(50)
    shop.stage.follow()
    return [each.sequence for each in shop.stage.vault().history(wire.key_of(SCHEMA, key("z", 1)))[-times:]]


def test_a_plan_holds_the_changes_that_it_takes_back_and_the_last_one(shop: Shop, tmp_path: Path) -> None:
    changes = often(shop, 300)
    chosen = [Number(changes[100]), Number(changes[150])]
    (row,) = shop.plan(tmp_path / "plan", asked=ChangeCriteria(numbers=chosen)).rows()
    assert [each.chosen for each in row.undoing] == [False, True, True, False]
    (tmp_path / "whole").mkdir()
    (whole,) = (each for each in shop.plan(tmp_path / "whole" / "plan").rows() if b'"1"' in bytes(each.key))
    assert len(whole.undoing) == 1


def test_more_changes_of_an_item_than_a_plan_holds_are_not_taken_back_one_by_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = often(shop, 40)
    before = shop.prices()
    monkeypatch.setattr(Gathered.__init__, "__defaults__", (10_000,))
    report = shop.revert(asked=ChangeCriteria(numbers=[Number(each) for each in changes[:-1]]))
    assert (report.failed, report.updated) == (1, 0)
    assert report.failures[0].why.startswith("39 changes of it are selected one by one, more than a plan holds")
    assert shop.prices() == before
    (net,) = look(shop, ChangeCriteria(numbers=[Number(each) for each in changes[:-1]]))
    assert net.changes == 39
    assert shop.revert(asked=ChangeCriteria(keys=[wire.key_of(SCHEMA, key("z", 1))])).updated == 1
    assert shop.prices()["1"] == "5"


def look(shop: Shop, asked: ChangeCriteria) -> list[NetRecord]:
    window = shop.request().span
    return list(Changes(shop.stage.vault(), window, asked, ChangesContext(shop.clock)).net())


def test_a_change_whose_old_state_is_not_known_may_match_and_is_told(tmp_path: Path) -> None:
    shop = Shop(Layout.ROWS, tmp_path, late=True)
    asked = ChangeCriteria(where="price = 5 or number = 9")
    report = shop.revert(asked=asked)
    assert (report.updated, report.deleted, report.failed) == (0, 1, 0)
    assert report.warnings == ["2 changes did not match by one of the item's two states: the vault does not hold the other one"]
    with pytest.raises(NothingMatches) as error:
        shop.revert(asked=ChangeCriteria(where="price = 5 and number = 1"))
    assert "2 changes did not match" in error.value.hint
