"""Several tables restored to one moment: all of them checked first, written together, resumed and undone by one command."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from backstream.model import moment
from backstream.model.tables.creation import on_demand
from backstream.ports import Put
from backstream.vault.gaps.gap import Gap
from kit.images import SCHEMA, image
from kit.ledger import TABLES, Shop, orders_without_ledger
from kit.proxy import FaultProxy, answer
from kit.scene import Scene, same
from kit.stage import wait_for

DENIED = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "not today"})


@pytest.fixture
def shop(scene: Scene, table_name: str) -> Shop:
    made = Shop(scene, table_name)
    assert scene.call("group", "shop", *made.names).code == 0
    return made


def all_same(some: dict[str, dict[bytes, bytes]], others: dict[str, dict[bytes, bytes]]) -> bool:
    return all(same(some[name], others[name]) for name in others)


def tables(scene: Scene, shop: Shop) -> list[str]:
    """This test's own tables: others share the server."""
    pages = scene.aws.client("dynamodb").get_paginator("list_tables").paginate()
    return [name for name in pages.search("TableNames[]") if shop.name in name]


def files(scene: Scene) -> list[str]:
    return sorted(each.name for each in scene.folder.iterdir())


def test_a_group_goes_to_a_quiet_second_in_mid_traffic(scene: Scene, shop: Shop) -> None:
    """No order is without its row in the ledger, although at many seconds a transaction is cut."""
    seconds = range(shop.began, shop.last + 1)
    cut = [each for each in seconds if orders_without_ledger(shop.at(each)[shop.orders], shop.at(each)[shop.ledger])]
    assert len(cut) > 3
    for number, at in enumerate((cut[0], cut[len(cut) // 2])):
        check_settled(scene, shop, at, f"-before{number}")


def check_settled(scene: Scene, shop: Shop, at: int, suffix: str) -> None:
    """A restore of the group to that second, in the middle of a transaction, goes to a quiet one before it."""
    ran = scene.call("restore", "--group", "shop", "--at", str(at), "--settle", f"--suffix={suffix}", "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    settled = moment.parse_iso_micros(report["at"]) // 1_000_000
    assert (settled < at, report["asked"]) == (True, moment.iso(at))
    assert f"{moment.iso(at)} is not quiet" in ran.err
    assert report["as_of"] == [f"{name}{suffix}" for name in shop.names]
    then = shop.live(suffix)
    assert all_same(then, shop.at(settled))
    assert not orders_without_ledger(then[shop.orders], then[shop.ledger])
    assert [each["table"] for each in report["tables"]] == shop.names
    assert report["put"] == sum(map(len, then.values()))
    assert (report["left"], report["undo"], files(scene)) == (None, None, [])


def test_a_group_goes_back_in_place_after_a_kill_and_all_of_it_is_taken_back(scene: Scene, shop: Shop) -> None:
    before, at = shop.live(), shop.last + 1
    words = ("restore", "--group", "shop", "--at", str(at), "--in-place", "--yes")
    process = scene.start(*words, "--max-write-units", "10")

    def some_are_back() -> bool:
        return process.poll() is not None or not all_same(shop.live(), before)

    wait_for(some_are_back)
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, said
    assert not all_same(shop.live(), shop.at(at)), "the kill came while it wrote"
    (file,) = (each for each in files(scene) if each.startswith("backstream-group-"))
    assert f"resume it with: backstream restore --resume {scene.folder / file}" in said

    kept = scene.folder / "kept"  # the files lie beside each other, wherever that is
    kept.mkdir()
    for each in scene.folder.glob("*.ndjson"):
        each.rename(kept / each.name)
    head, *marks = (json.loads(line) for line in (kept / file).read_text().splitlines())
    begun = next(each["begun"] for each in marks if "begun" in each and {"done": each["begun"]} not in marks)
    own = next(kept / f"backstream-restore-{each['restore']}.ndjson" for each in head["tasks"] if each["table"] == begun)
    ruined, hidden = shop.live(), own.with_suffix(".away")
    own.rename(hidden)
    refused = scene.call("restore", "--resume", f"kept/{file}")
    assert (refused.code, f"{begun} has begun, and its own file is gone" in refused.err) == (2, True), refused.err
    assert all_same(shop.live(), ruined)
    hidden.rename(own)

    file = f"kept/{file}"
    resumed = scene.call("restore", "--resume", file, "--json")
    assert resumed.code == 0, resumed.err
    assert all_same(shop.live(), shop.at(at))
    report = resumed.json()
    assert (report["as_of"], report["not_as_of"], report["left"]) == (shop.names, [], None)
    again = scene.call("restore", "--resume", file)
    assert (again.code, "nothing is left to resume" in again.err) == (2, True)

    asked = scene.call(*report["undo"].split()[1:])
    assert (asked.code, "not confirmed: Take the restore" in asked.err, "--yes" in asked.err) == (4, True, True)
    assert all_same(shop.live(), shop.at(at))
    undone = scene.call(*report["undo"].split()[1:], "--yes", "--json")
    assert undone.code == 0, undone.err
    assert all_same(shop.live(), before)
    assert [each["table"] for each in undone.json()["tables"]] == shop.names


def test_a_table_that_refuses_keeps_all_from_being_touched(scene: Scene, shop: Shop) -> None:
    ledger = shop.feeds[shop.ledger]
    ledger.vault.gaps.record(Gap("lost by a test", shop.began + 3, shop.began + 5, ledger.label))
    before, at = shop.live(), shop.last + 1
    for words in (["--in-place", "--yes"], ["--suffix=-before"], ["--suffix=-before", "--on-failure", "go-on"]):
        ran = scene.call("restore", "--group", "shop", "--at", str(at), *words)
        assert (ran.code, ran.out) == (4, ""), ran.err
        assert f"nothing was touched: 1 of 3 tables cannot be restored to {moment.iso(at)}: {shop.ledger}:" in ran.err
    assert all_same(shop.live(), before)
    assert not [name for name in tables(scene, shop) if name.endswith("-before")]
    assert files(scene) == []


@pytest.mark.soak
def test_fifty_moments_of_transactions_as_they_are_written(scene: Scene, table_name: str) -> None:
    """Real transactions, captured by one tail. At each of fifty moments all tables have the rows of the same transactions.

    The tables go back and forth in place: new tables and their settings are another test's subject.
    """
    names = [f"{table_name}-{each}" for each in TABLES]
    for name in names:
        scene.create(name)
    assert scene.call("init", *names, "--enable-stream").code == 0
    assert scene.call("group", "shop", *names).code == 0
    began, ended = transactions(scene, names, seconds=60)
    assert scene.call("tail", "--group", "shop", "--until-caught-up").code == 0
    chance, seen = random.Random(50), set[int]()
    words = ("--in-place", "--yes", "--settle", "--expect-deletes", "10000", "--json")
    for at in chance.choices(range(began + 5, ended - 3), k=50):
        ran = scene.call("restore", "--group", "shop", "--at", str(at), *words)
        assert ran.code == 0, ran.err
        orders, ledger, stock = (scene.items(name) for name in names)
        assert not orders_without_ledger(orders, ledger)
        assert orders.keys() == stock.keys()
        seen.add(len(orders))
    assert len(seen) > 5, "the moments differ"


def transactions(scene: Scene, names: list[str], *, seconds: int) -> tuple[int, int]:
    """Writes transactions over the three tables, in bursts and pauses. Returns the first and the last second."""
    client, chance, began = scene.aws.client("dynamodb"), random.Random(1), time.time()
    number = 0
    while time.time() < began + seconds:
        for _ in range(chance.randrange(1, 6)):
            number += 1
            row = {"zone": {"S": "order"}, "number": {"N": str(number)}}
            client.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": row}} for name in names])
        time.sleep(chance.choice((0.05, 0.3, 2.5)))
    return int(began), int(time.time())


@pytest.mark.parametrize("way", ["stop", "go-on"])
def test_if_one_table_fails_the_others_are_finished_or_not(scene: Scene, shop: Shop, dynamodb: FaultProxy, way: str) -> None:
    denied = dynamodb.on(answer(400, DENIED), operation="BatchWriteItem", body=f"{shop.ledger}-before".encode())
    at, one_at_a_time = str(shop.last + 1), {"BACKSTREAM_MEMORY_MB": "64"}
    words = ("restore", *shop.names, "--at", at, "--suffix=-before", "--on-failure", way, "--json")
    ran = scene.call(*words, environment=one_at_a_time)
    assert ran.code == 1, ran.err
    report = ran.json()
    done = [shop.orders] if way == "stop" else [shop.orders, shop.stock]
    assert report["as_of"] == [f"{name}-before" for name in done]
    left = {each["table"]: each["begun"] for each in report["not_as_of"]}
    assert left == ({shop.ledger: True, shop.stock: False} if way == "stop" else {shop.ledger: True})
    assert f"NOT AS OF {report['at']}: {shop.ledger}-before" in ran.err

    dynamodb.remove(denied)
    resumed = scene.call("restore", "--resume", report["left"], "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json()["as_of"] == [f"{name}-before" for name in shop.names]
    assert all_same(shop.live("-before"), shop.at(shop.last + 1))
    assert files(scene) == []


def test_what_is_asked_wrongly_touches_nothing(scene: Scene, shop: Shop) -> None:
    at, group = ["--at", str(shop.last + 1)], ["--group", "shop"]
    (scene.folder / "two-to-one").write_text(f"{shop.orders} x-new\n{shop.ledger} x-new\n{shop.stock} y-new\n")
    (scene.folder / "short").write_text(f'{{"{shop.orders}": "x-new"}}')
    (scene.folder / "one-to-two").write_text(f'{{"{shop.orders}": "x-new", "{shop.ledger}": "y-new", "{shop.orders}": "z-new"}}')
    (scene.folder / "nested").write_text(f'{{"{shop.orders}": {{"x-new": "y-new"}}}}')
    (scene.folder / "strange").write_text(f"{shop.orders}\n")
    (scene.folder / "unknown").write_text("\n".join(f"{name} {name}-new" for name in [*shop.names, "nobody"]))
    scene.live(f"{shop.stock}-there").create(on_demand(SCHEMA))
    scene.write([Put(image("z", 1))], f"{shop.stock}-there")
    before = (shop.live(), tables(scene, shop), files(scene))
    for words, code, said in (
        ([*group, *at], 2, "choose exactly one of --in-place, --suffix, --prefix, --map"),
        ([*group, *at, "--in-place", "--suffix=-x"], 2, "choose exactly one of"),
        ([*group, "--in-place"], 2, "the moment to restore is missing"),
        (at, 2, "no table is named"),
        ([*group, *at, "--map", "two-to-one"], 2, "have one target: 'x-new'"),
        ([*group, *at, "--map", "short"], 2, f"--map names no target for '{shop.ledger}'"),
        ([*group, *at, "--map", "one-to-two"], 2, f"one-to-two names '{shop.orders}' twice"),
        ([*group, *at, "--map", "nested"], 2, "not a map of tables"),
        ([*group, *at, f"--suffix=-{'x' * 250}"], 2, "not a table's name"),
        ([*group, *at, "--map", "strange"], 2, "not a map of tables"),
        ([*group, *at, "--map", "unknown"], 2, "--map names 'nobody'"),
        ([*group, *at, "--map", "missing"], 2, "cannot read missing"),
        ([*group, *at, "--suffix="], 2, "itself, one of the tables"),
        ([*group, *at, "--suffix=/x"], 2, "not a table's name"),
        ([*group, *at, "--suffix=-there"], 4, f"{shop.stock}-there exists and holds items"),
        ([*group, "--at", "2100-01-01T00:00:00Z", "--suffix=-x", "--settle"], 4, "nothing was touched: 3 of 3"),
        ([*group, "--at", "soon", "--suffix=-x"], 2, "soon"),
        ([*group, *at, "--suffix=-x", "--key", "{}"], 2, "not a key of this table"),
        ([*group, *at, "--to", "x-new"], 2, "goes without --to"),
        ([*group, *at, "--suffix=-x", "--expect-deletes", "1"], 2, "only a restore in place deletes rows"),
        ([*group, *at, "--in-place"], 4, "not confirmed: Bring 3 tables"),
        ([shop.orders, "unknown-table", *at, "--suffix=-x"], 1, "does not know the table 'unknown-table'"),
        (["--group", "nobody", *at, "--suffix=-x"], 1, "knows no group 'nobody'"),
        (["--match", "nothing-*", *at, "--suffix=-x"], 1, "no table of the vault matches"),
        (["--resume", "nothing"], 2, "no table is named"),
        ([*group, "--resume", "nothing"], 2, "no restore of several tables: nothing"),
    ):
        ran = scene.call("restore", *words)
        assert (words, ran.code, ran.out) == (words, code, ""), ran.err
        assert said in ran.err, ran.err
    assert (shop.live(), tables(scene, shop), files(scene)) == before


def test_what_looks_at_a_group(scene: Scene, shop: Shop) -> None:
    """`status`, `changes` and `snapshot` of several tables are one document each, in a useful order."""
    stock = shop.feeds[shop.stock]
    stock.vault.gaps.record(Gap("lost by a test", shop.began + 3, shop.began + 5, stock.label))
    lines = scene.call("status", "--group", "shop").out.splitlines()
    assert lines[0].split()[:3] == ["TABLE", "EXACT", "LAG"]
    assert {line.split()[0] for line in lines[1:]} == set(shop.names)
    assert lines[1].startswith(shop.stock), "the worst first"
    (missed, *_) = scene.call("status", "--group", "shop", "--rto", "1h", "--json").json()
    assert (missed["table"], len(missed["gaps"])) == (shop.stock, 1)
    assert scene.call("status", "--group", "shop", "--rto", "1h").code == 3, "no drill was made: the code of the worst"
    assert scene.call("status", shop.orders, "--json").json()["table"] == shop.orders

    window = ("--from", str(shop.began - 1), "--to", str(shop.last), "--allow-gap")
    listed = scene.call("changes", "--group", "shop", *window, "--json").json()
    assert [each["time"] for each in listed] == sorted(each["time"] for each in listed)
    assert {each["table"] for each in listed} == set(shop.names)
    assert len(listed) == 3 * 60
    lines = scene.call("changes", *shop.names, *window, "--ndjson", "--limit", "7").out.splitlines()
    assert [json.loads(line) for line in lines] == listed[:7]
    counts = scene.call("changes", "--group", "shop", *window, "--summary", "--json").json()
    assert [each["table"] for each in counts] == shop.names

    taken = scene.call("snapshot", shop.orders, shop.ledger, "--at", str(shop.last), "--to", "./out", "--json").json()
    assert [(each["table"], each["at"]) for each in taken] == [(name, moment.iso(shop.last)) for name in shop.names[:2]]


def test_a_drill_of_a_group_shows_that_no_transaction_is_cut(scene: Scene, shop: Shop) -> None:
    at = shop.last + 1
    ran = scene.call("drill", "--group", "shop", "--at", str(at), "--patience", "0", "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["passed"], report["consistent"], report["note"]) == (True, True, "")
    assert {(each["table"], each["at"]) for each in report["tables"]} == {(name, moment.iso(at)) for name in shop.names}
    cut = next(each for each in range(shop.began, shop.last) if quiet_not(shop, each))
    ran = scene.call("drill", "--group", "shop", "--at", str(cut), "--patience", "0", "--json")
    assert (ran.code, ran.json()["passed"], ran.json()["consistent"]) == (0, True, False)
    assert f"{moment.iso(cut)} is not quiet" in ran.json()["note"]
    assert not [name for name in tables(scene, shop) if name not in shop.names], "the scratch tables are gone"


def quiet_not(shop: Shop, second: int) -> bool:
    """True if some table changed in the second after this one."""
    return shop.at(second) != shop.at(second + 1)
