"""Several tables reverted together: planned before any is written, resumed and undone by one command."""

from __future__ import annotations

import json
import signal

import pytest

from backstream.model.values import wire
from backstream.ports import Put
from kit.images import SCHEMA, image, key
from kit.ledger import Shop
from kit.proxy import FaultProxy, answer
from kit.scene import Scene, same
from kit.stage import wait_for

DENIED = '{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not today"}'


@pytest.fixture
def shop(scene: Scene, table_name: str) -> Shop:
    made = Shop(scene, table_name, transactions=20)
    assert scene.call("group", "shop", *made.names).code == 0
    return made


def window(shop: Shop) -> tuple[str, ...]:
    return ("--group", "shop", "--from", str(shop.last + 30), "--to", str(shop.last + 90))


def all_same(some: dict[str, dict[bytes, bytes]], others: dict[str, dict[bytes, bytes]]) -> bool:
    return all(same(some[name], others[name]) for name in others)


def test_a_window_is_undone_in_all_tables_or_in_those_that_did_not_fail(scene: Scene, shop: Shop, dynamodb: FaultProxy) -> None:
    ruined, good = shop.live(), shop.at(shop.last + 1)
    foreseen = scene.call("revert", *window(shop), "--dry-run", "--json").json()
    assert (foreseen["dry_run"], foreseen["deleted"], foreseen["reverted"]) == (True, 9, [])
    assert all_same(shop.live(), ruined)
    assert not list(scene.folder.iterdir())

    refused = dynamodb.on(answer(400, DENIED), operation="PutItem", body=shop.ledger.encode())
    ran = scene.call("revert", *window(shop), "--yes")
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert f"nothing was touched: 1 of 3 tables cannot be reverted: {shop.ledger}:" in ran.err
    assert all_same(shop.live(), ruined)
    assert not list(scene.folder.iterdir())
    dynamodb.remove(refused)

    # Rows of one table are put back by requests that fail from the second on: the first one asked whether one may write.
    broken = dynamodb.on(answer(400, DENIED), operation="PutItem", body=shop.ledger.encode(), when=lambda count: count > 1)
    ran = scene.call("revert", *window(shop), "--yes", "--on-failure", "go-on", "--json")
    assert ran.code == 1, ran.err
    report = ran.json()
    assert (report["reverted"], [each["table"] for each in report["not_reverted"]]) == ([shop.orders, shop.stock], [shop.ledger])
    dynamodb.remove(broken)
    resumed = scene.call("revert", "--resume", report["left"], "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json()["reverted"] == shop.names
    assert all_same(shop.live(), good)

    undone = scene.call(*resumed.json()["undo"].split()[1:], "--yes", "--json")
    assert undone.code == 0, undone.err
    assert all_same(shop.live(), ruined)


def test_a_kill_in_the_middle_is_resumed_and_all_of_it_is_taken_back(scene: Scene, shop: Shop) -> None:
    ruined, good = shop.live(), shop.at(shop.last + 1)
    process = scene.start("revert", *window(shop), "--yes", "--max-write-units", "5")
    wait_for(lambda: process.poll() is not None or not all_same(shop.live(), ruined))
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, said
    assert not all_same(shop.live(), good), "the kill came while it wrote"
    (made,) = scene.folder.glob("backstream-group-*.ndjson")
    assert (
        f"resume it with: backstream revert --resume {made}; or take back what it has done with: backstream revert --undo" in said
    )

    kept = scene.folder / "kept"  # the files lie beside each other, wherever that is
    kept.mkdir()
    for each in scene.folder.glob("*.ndjson"):
        each.rename(kept / each.name)
    file = kept / made.name
    head, *marks = (json.loads(line) for line in file.read_text().splitlines())
    begun = next(each["begun"] for each in marks if "begun" in each)
    own = next(kept / f"backstream-revert-{each['revert']}.ndjson" for each in head["tasks"] if each["table"] == begun)
    half, hidden = shop.live(), own.with_suffix(".away")
    own.rename(hidden)
    refused = scene.call("revert", "--resume", str(file), "--on-failure", "stop", "--json")
    assert (refused.code, f"{begun} has begun, and its own file is gone" in refused.err) == (1, True), refused.err
    assert same(shop.live()[begun], half[begun])
    hidden.rename(own)

    resumed = scene.call("revert", "--resume", str(file), "--json")
    assert resumed.code == 0, resumed.err
    assert all_same(shop.live(), good)
    report = resumed.json()
    assert (report["reverted"], report["not_reverted"], report["left"]) == (shop.names, [], None)
    again = scene.call("revert", "--resume", str(file))
    assert (again.code, "nothing is left to resume" in again.err) == (2, True), again.err
    undone = scene.call(*report["undo"].split()[1:], "--yes", "--json", "--max-write-units", "200")
    assert undone.code == 0, undone.err
    assert all_same(shop.live(), ruined)
    assert [each["table"] for each in undone.json()["tables"]] == shop.names


def test_what_is_selected_in_one_table_only_is_no_failure(scene: Scene, shop: Shop) -> None:
    scene.write([Put(image("order", 10_000, mine={"BOOL": True}))], shop.orders)  # somebody works on it since
    ran = scene.call("revert", *window(shop), "--where", "total < 1000", "--event", "REMOVE", "--yes", "--json")
    assert ran.code == 0, ran.err
    put = {each["table"]: each["put"] for each in ran.json()["tables"]}
    assert (put[shop.orders], put[shop.ledger], put.get(shop.stock, 0)) == (10, 10, 0)
    stopped = scene.call("revert", *window(shop), "--on-conflict", "stop", "--yes")
    assert (stopped.code, "nothing was touched: 1 of 3 tables" in stopped.err) == (1, True), stopped.err
    skipped = scene.call("revert", *window(shop), "--yes", "--json")
    assert (skipped.code, skipped.json()["conflicts"]) == (1, 1), skipped.err
    assert [each["table"] for each in skipped.json()["not_reverted"]] == [shop.orders]
    mine = {wire.key_of(SCHEMA, key("order", 10_000))}
    assert shop.live()[shop.orders].keys() - mine == shop.at(shop.last + 1)[shop.orders].keys()
    for words, code, said in (
        (["--group", "shop"], 2, "the window of the changes is missing"),
        (["--group", "shop", "--from", "1h ago", "--key", "{}"], 2, "nothing was touched: 3 of 3 tables cannot be reverted"),
        (["--group", "shop", "--from", "1h ago", "--plan", "x"], 2, "goes without --plan"),
        (["--from", "1h ago"], 2, "no table is named"),
        (["--group", "nobody", "--from", "1h ago"], 1, "knows no group"),
        (["--group", "shop", "--resume", "nothing"], 2, "no revert of several tables"),
        ([*window(shop)], 4, "not confirmed: Undo these changes of"),
    ):
        ran = scene.call("revert", *words)
        assert (words, ran.code, ran.out) == (words, code, ""), ran.err
        assert said in ran.err
