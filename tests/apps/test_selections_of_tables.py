"""Selections of tables: one command over several, groups that are kept and versioned, and every way to ask wrongly."""

from __future__ import annotations

import json
import time

import pytest

from backstream.apps.aws_retain import RetainEvent
from backstream.apps.aws_witness import WitnessEvent
from backstream.apps.config import Config
from backstream.clock import SystemClock
from backstream.errors import UnknownTags
from backstream.ports import Put
from backstream.stores.directory import DirectoryStore
from backstream.vault import groups
from kit.feed import Feed
from kit.images import image
from kit.scene import Scene, next_second
from kit.signing import key_files

FOUR = ("shop-orders", "shop-ledger", "shop-stock", "users")


@pytest.fixture
def shop(scene: Scene, table_name: str) -> tuple[Scene, list[str]]:
    """A vault that knows four tables, three of them of one application. Their names are this test's own."""
    names = [f"{table_name}-{each}" for each in FOUR]
    for name in names:
        scene.create(name)
        scene.live(name).write([Put(image("row", 1))])
    ran = scene.call("init", *names, "--enable-stream", "--json")
    assert [each["catalog"]["table"] for each in ran.json()] == names, ran.err
    return scene, names


def test_tables_are_selected_in_every_way(shop: tuple[Scene, list[str]], table_name: str) -> None:
    scene, names = shop
    orders, ledger, stock, users = names

    def compacted(*words: str) -> list[str]:
        ran = scene.call("compact", *words, "--json")
        assert ran.code == 0, ran.err
        return [each["table"] for each in ran.json()]

    assert compacted(users, orders, users) == [users, orders]
    assert compacted("--all") == sorted(names)
    assert compacted("--match", f"{table_name}-shop-*") == sorted([orders, ledger, stock])
    assert compacted("--match", "*-users", "--match", "*-ledger") == sorted([users, ledger])
    assert scene.call("group", "shop", orders, ledger).code == 0
    assert compacted("--group", "shop") == [orders, ledger]
    assert scene.call("compact", orders, "--json").json()["table"] == orders  # of one named table: the report itself, as ever
    assert "--- " in scene.call("compact", "--group", "shop").out


def test_every_command_takes_a_group_and_prints_one_document(shop: tuple[Scene, list[str]]) -> None:
    scene, (orders, ledger, *_) = shop
    assert scene.call("group", "two", ledger, orders).code == 0
    began, changed = str(int(time.time()) - 600), [ledger, orders]
    for name in changed:
        scene.live(name).write([Put(image("row", 2))])
    for words in (["init"], ["backfill"], ["tail", "--until-caught-up"], ["witness"], ["verify"], ["check"], ["compact"]):
        ran = scene.call(*words, "--group", "two", "--json")
        told = [each["catalog"] if words == ["init"] else each for each in ran.json()]
        assert (words, ran.code, [each["table"] for each in told]) == (words, 0, changed), ran.err
    then = next_second()
    assert scene.call("witness", "--group", "two").code == 0
    at = ["--at", str(then)]
    for words, code in (
        (["status"], 0),
        (["snapshot", *at, "--to", "./out"], 0),
        (["drill", *at, "--patience", "0"], 0),
        (["restore", *at, "--suffix=-new", "--dry-run"], 0),
        (["changes", "--from", began, "--allow-gap"], 0),
        (["revert", "--from", str(then - 1), "--to", str(then), "--allow-gap", "--dry-run"], 0),
    ):
        ran = scene.call(*words, "--group", "two", "--json")
        found = ran.json()
        tables = {each["table"] for each in (found if isinstance(found, list) else found["tables"])}
        assert (words, ran.code, tables) == (words, code, set(changed)), ran.err
    ran = scene.call("doctor", "--group", "two", "--json")
    assert {orders, ledger} <= {each["of"] for each in ran.json()["checks"]}, ran.err
    ran = scene.call("template", "cloudformation", "--group", "two", "--json")
    assert (ran.code, [f"stream of {each}:" in ran.out for each in changed]) == (0, [True, True])


def test_a_group_can_be_read_as_it_was(shop: tuple[Scene, list[str]]) -> None:
    scene, (orders, ledger, stock, _) = shop
    scene.call("group", "shop", orders, ledger)
    first = int(time.time())
    while int(time.time()) == first:
        time.sleep(0.05)
    assert scene.call("group", "shop", orders, ledger, stock).code == 0
    assert scene.call("group", "shop", "--json").json()["tables"] == [orders, ledger, stock]
    assert scene.call("group", "shop", "--at", str(first), "--json").json()["tables"] == [orders, ledger]
    assert [len(each["tables"]) for each in scene.call("group", "shop", "--versions", "--json").json()] == [3, 2]
    then = scene.call("compact", "--group", f"shop@{first}", "--json").json()
    assert [each["table"] for each in then] == [orders, ledger]
    assert f"shop  {orders} {ledger} {stock}" in scene.call("group").out
    before = scene.call("group", "shop", "--at", str(first - 3600))
    assert (before.code, "there was no group" in before.err) == (1, True)


def test_a_removed_group_is_history(shop: tuple[Scene, list[str]]) -> None:
    """What was restored as a group can be looked up after it: nothing of the vault is gone, and the name is free again."""
    scene, (orders, ledger, stock, _) = shop
    for tables in ([orders, ledger], [orders, stock]):
        assert scene.call("group", "shop", *tables).code == 0
        last = int(time.time())
        while int(time.time()) == last:
            time.sleep(0.05)
    ran = scene.call("group", "shop", "--remove")
    assert (ran.code, ran.out.split()[-1]) == (0, "removed"), ran.err
    assert scene.call("group", "--json").json() == []
    for words in (["group", "shop"], ["group", "shop", "--remove"], ["compact", "--group", "shop"]):
        gone = scene.call(*words)
        assert (gone.code, gone.out, "the group 'shop' was removed at" in gone.err) == (1, "", True), gone.err
    assert scene.call("group", "shop", "--at", str(last), "--json").json()["tables"] == [orders, stock]
    assert [each["table"] for each in scene.call("compact", "--group", f"shop@{last}", "--json").json()] == [orders, stock]
    told = scene.call("group", "shop", "--versions", "--json").json()
    assert [(each["removed"], each["tables"]) for each in told] == [
        (True, []),
        (False, [orders, stock]),
        (False, [orders, ledger]),
    ]
    assert scene.call("group", "shop", ledger).code == 0
    assert scene.call("group", "shop", "--json").json()["tables"] == [ledger]
    assert scene.call("group", "shop", "--versions").out.splitlines()[1].split()[-1] == "removed"


def test_tags_select_tables_of_the_vault_and_of_the_account(shop: tuple[Scene, list[str]], table_name: str) -> None:
    scene, (orders, ledger, stock, users) = shop
    client = scene.aws.client("dynamodb")
    for name in (orders, ledger):
        arn = scene.live(name).facts().arn
        client.tag_resource(ResourceArn=arn, Tags=[{"Key": "app", "Value": table_name}])
    unseen = scene.call("compact", "--tag", f"app={table_name}")
    assert (unseen.code, "as the vault has last seen its tags" in unseen.err) == (1, True)
    ran = scene.call("init", "--tag", f"app={table_name}", "--json")  # `init` asks the account, and keeps the tags
    assert [each["catalog"]["table"] for each in ran.json()] == sorted([orders, ledger]), ran.err
    assert scene.call("group", "tagged", "--tag", f"app={table_name}").code == 0
    ran = scene.call("compact", "--group", "tagged", "--json")
    assert [each["table"] for each in ran.json()] == sorted([orders, ledger])
    assert users not in ran.out
    joins = f"{users}-joins"  # it carries the tag, and the vault does not know it yet
    scene.create(joins)
    client.tag_resource(ResourceArn=scene.live(joins).facts().arn, Tags=[{"Key": "app", "Value": table_name}])
    ran = scene.call("init", "--group", "tagged", "--enable-stream", "--json")
    assert [each["catalog"]["table"] for each in ran.json()] == sorted([orders, ledger, joins]), ran.err
    assert stock not in ran.out


WRONG: list[tuple[list[str], int, str]] = [
    (["compact"], 2, "TABLE"),
    (["compact", "ORDERS", "--all"], 2, "names and --all exclude each other"),
    (["compact", "--all", "--group", "shop"], 2, "exclude each other"),
    (["compact", "--match", "shp-*"], 1, "no table of the vault matches 'shp-*'"),
    (["compact", "--tag", "app"], 2, "not a tag: 'app'"),
    (["compact", "--tag", "app=a", "--tag", "app=b"], 2, "twice"),
    (["compact", "--group", "nobody"], 1, "knows no group 'nobody'"),
    (["compact", "--group", "no/body"], 2, "not a group's name"),
    (["compact", "--group", "shop@soon"], 2, "soon"),
    (["compact", "ORDERS", "unknown-table"], 1, "does not know the table 'unknown-table'"),
    (["group", "new", "ORDERS", "unknown-table"], 1, "does not know the table 'unknown-table' of the group 'new'"),
    (["group", "new", "--tag", "app=nothing"], 1, "no table of the vault is tagged app=nothing"),
    (["group", "new", "ORDERS", "--tag", "app=shop"], 2, "a group needs tables"),
    (["group", "n/w", "ORDERS"], 2, "not a group's name"),
    (["group", "new", "ORDERS", "--at", "now"], 2, "--at and --versions show a group"),
    (["group", "shop", "ORDERS", "--remove"], 2, "--remove goes with a group's name alone"),
    (["group", "shop", "--remove", "--versions"], 2, "--remove goes with a group's name alone"),
    (["group", "--remove"], 2, "no group is named"),
    (["group", "nobody", "--remove"], 1, "knows no group 'nobody'"),
]


def test_what_selects_nothing_touches_nothing(shop: tuple[Scene, list[str]]) -> None:
    scene, names = shop
    scene.call("group", "shop", *names[:2])
    before = [each.name for each in scene.store().versions("")]
    for words, code, said in WRONG:
        ran = scene.call(*(names[0] if word == "ORDERS" else word for word in words))
        assert (words, ran.code, ran.out) == (words, code, ""), ran.err
        assert said in ran.err
        error = json.loads(scene.call(*(names[0] if word == "ORDERS" else word for word in words), "--json").err.splitlines()[-1])
        assert error["error"]["exit_code"] == code
    assert [each.name for each in scene.store().versions("")] == before


def test_init_of_several_touches_nothing_if_one_of_them_does_not_exist(scene: Scene, table_name: str) -> None:
    scene.create(table_name)
    (scene.url, before), new = (f"s3://{table_name}-new/backups", scene.url), f"{table_name}-new"
    for words in (["--create-bucket"], []):
        ran = scene.call("init", table_name, f"{table_name}-typo", "--enable-stream", *words)
        assert (ran.code, ran.out, f"{table_name}-typo" in ran.err) == (1, "", True), ran.err
        assert new not in [each["Name"] for each in scene.aws.client("s3").list_buckets()["Buckets"]]
        scene.url = before
    assert not [*scene.store().versions("")]
    assert not scene.live(table_name).facts().stream_enabled


def test_a_table_that_cannot_be_read_is_in_the_documents_of_status_and_check(scene: Scene) -> None:
    """Who reads the JSON alone must not take a table that gave no report for one that is not there."""
    (scene.folder / "vault").mkdir()
    scene.url, clock = f"file://{scene.folder}/vault", SystemClock()
    store = DirectoryStore(scene.folder / "vault", clock)
    for name in ("orders", "ledger", "stock"):
        feed = Feed(store, name, began=int(clock.now()) - 60)
        feed.put(int(clock.now()) - 50, image("row", 1))
        feed.deliver()
    public = key_files(scene.folder)[1]
    unsigned = scene.call("check", "--all", "--json", "--verify-key", str(public))
    assert unsigned.code == 4
    assert [(each["table"], each["error"]["kind"]) for each in unsigned.json()] == [
        (name, "NotSigned") for name in ("ledger", "orders", "stock")
    ]
    store.put("_backstream/orders/catalog.json", b"{")
    for words in (["--all"], ["stock", "orders", "ledger"], []):
        ran = scene.call("status", *words, "--json")
        assert ran.code == 1
        first, *others = ran.json()
        assert (first["table"], first["error"]["kind"]) == ("orders", "Damaged"), "the worst first"
        assert sorted(each["table"] for each in others) == ["ledger", "stock"]


def test_one_broken_catalog_ends_no_capture_of_tables_by_tag(scene: Scene, table_name: str) -> None:
    """Whether the broken one has the tag is not known. Who captures or proves tries it; who restores is told."""
    (scene.folder / "vault").mkdir()
    scene.url, clock = f"file://{scene.folder}/vault", SystemClock()
    store = DirectoryStore(scene.folder / "vault", clock)
    orders, users = f"{table_name}-orders", f"{table_name}-users"
    for name in (orders, users):
        feed = Feed(store, name, began=int(clock.now()) - 60)
        feed._table.tags = {"app": "shop"} if name == orders else {}
        feed.keep_as()
    store.put(f"_backstream/{users}/catalog.json", b"{")
    groups.save(store, "shop", [], {"app": "shop"}, clock.now())
    for selection in (["--tag", "app=shop"], ["--group", "shop"]):
        for command in (["tail", "--until-caught-up"], ["witness"]):
            ran = scene.call(*command, *selection, "--json")
            kinds = {each["table"]: each["error"]["kind"] for each in ran.json()}
            assert (ran.code, kinds) == (1, {orders: "MissingTable", users: "Damaged"}), ran.err
        ran = scene.call("restore", *selection, "--at", "now", "--in-place", "--yes")
        assert (ran.code, f"the tags of {users} are not known" in ran.err) == (1, True), ran.err
    config = Config(scene.url)
    assert WitnessEvent(group="shop").names(config, unknown_too=True) == [orders, users]
    with pytest.raises(UnknownTags):
        RetainEvent(group="shop").names(config)


def test_a_table_that_fails_hides_no_other(shop: tuple[Scene, list[str]]) -> None:
    scene, (orders, ledger, *_) = shop
    scene.live(orders).delete()
    ran = scene.call("verify", orders, ledger, "--json", "--patience", "0")
    assert ran.code == max(1, 3)  # the first one is gone; the row of the second was never captured
    broken, found = ran.json()
    assert (broken["table"], broken["error"]["kind"]) == (orders, "MissingTable")
    assert found["extra"] + found["missing"] == 1
