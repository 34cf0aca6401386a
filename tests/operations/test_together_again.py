"""A run over several tables goes on: what was taken back stays so, and what it may do beyond that is said at the resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.operations.together import group_file
from backstream.operations.together.group_file import GroupFile
from backstream.operations.together.restoring import GroupRestoreHead, TableTask
from backstream.ports import Put
from kit.images import image
from kit.ledger import Shop
from kit.proxy import FaultProxy, answer
from kit.scene import Scene, same

DENIED = '{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not today"}'
ONE_AT_A_TIME = {"BACKSTREAM_MEMORY_MB": "64"}


@pytest.fixture
def shop(scene: Scene, table_name: str) -> Shop:
    made = Shop(scene, table_name, transactions=10)
    assert scene.call("group", "shop", *made.names).code == 0
    return made


def all_same(some: dict[str, dict[bytes, bytes]], others: dict[str, dict[bytes, bytes]]) -> bool:
    return all(same(some[name], others[name]) for name in others)


@pytest.mark.parametrize("verb", ["restore", "revert"])
def test_a_run_that_was_taken_back_is_over(scene: Scene, shop: Shop, dynamodb: FaultProxy, verb: str) -> None:
    """Some of its tables were done: a report must not say so of them any more."""
    ruined, done, left = shop.live(), "as_of", "not_as_of"
    words = ["--at", str(shop.last + 1), "--in-place"]
    if verb == "revert":
        words, done, left = ["--from", str(shop.last + 30), "--to", str(shop.last + 90)], "reverted", "not_reverted"
    # The first request asks whether one may write, and each later one is denied.
    denied = dynamodb.on(answer(400, DENIED), operation="PutItem", body=shop.ledger.encode(), when=lambda count: count > 1)
    ran = scene.call(verb, "--group", "shop", *words, "--yes", "--json", environment=ONE_AT_A_TIME)
    report = ran.json()
    assert (ran.code, report[done]) == (1, [shop.orders]), ran.err
    assert [each["table"] for each in report[left]] == [shop.ledger, shop.stock]
    dynamodb.remove(denied)

    undone = scene.call(verb, "--undo", report["left"], "--yes")
    assert undone.code == 0, undone.err
    assert all_same(shop.live(), ruined)
    resumed = scene.call(verb, "--resume", report["left"], "--json")
    assert (resumed.code, resumed.out) == (2, ""), resumed.err
    assert f"was taken back: {shop.orders}" in resumed.err
    assert all_same(shop.live(), ruined)


def test_a_run_goes_on_with_what_it_is_allowed_by_then(scene: Scene, shop: Shop, dynamodb: FaultProxy) -> None:
    """A table that was not begun has got many rows since: to delete most of it needs the number, as ever."""
    denied = dynamodb.on(answer(400, DENIED), operation="PutItem", body=shop.ledger.encode(), when=lambda count: count > 1)
    words = ("--group", "shop", "--at", str(shop.last + 1), "--in-place", "--yes", "--json")
    left = scene.call("restore", *words, environment=ONE_AT_A_TIME).json()["left"]
    dynamodb.remove(denied)
    scene.write([Put(image("new", number)) for number in range(50)], shop.stock)
    before = shop.live()
    refused = scene.call("restore", "--resume", left)
    assert (refused.code, "--expect-deletes 53" in refused.err) == (4, True), refused.err
    less = scene.call("restore", "--resume", left, "--expect-deletes", "0")
    assert (less.code, "nothing was touched" in less.err) == (4, True), less.err
    assert all_same(shop.live(), before)
    ran = scene.call("restore", "--resume", left, "--expect-deletes", "53", "--json")
    assert (ran.code, ran.json()["as_of"]) == (0, shop.names), ran.err
    assert all_same(shop.live(), shop.at(shop.last + 1))


# --- the run's file ---------------------------------------------------------------------------------------------------------------


def begun(folder: Path) -> GroupFile[GroupRestoreHead]:
    tasks = [TableTask("orders", "orders", "1"), TableTask("ledger", "ledger", "2")]
    head = GroupRestoreHead(run="r", words=[], at=1, asked=1, in_place=True, tasks=tasks)
    return GroupFile.begin(group_file.path_for("r", folder), head)


def test_what_another_process_has_just_done_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between this one's looking at the file and its having it."""
    first, hold = begun(tmp_path), group_file._hold

    def held(*words: object) -> None:
        first.begins("orders")
        first.finished("orders")
        first.close()
        hold(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(group_file, "_hold", held)
    second = GroupFile.reopen(first.path, GroupRestoreHead)
    assert (second.begun, second.done) == ({"orders"}, {"orders"})
    second.close()
    assert group_file.load(first.path, GroupRestoreHead)[1].done == {"orders"}, "nothing of it is cut off"
