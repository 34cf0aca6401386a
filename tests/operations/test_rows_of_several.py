"""Rows of several tables: a tenant of a whole application, keys and conditions, in `restore`, `revert` and `changes`."""

from __future__ import annotations

import json
import time

import pytest

from backstream.model import moment
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.ports import Put
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.scene import Ran, Scene, same

TABLES = ("customers", "orders", "prices")
MINE, OTHER = {"tenant": {"S": "t42"}}, {"tenant": {"S": "t7"}}


class Application:
    """Tables of tenants. `good`: the second before all rows were ruined; no price is of the tenant t42, and none has number 1."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.good = int(time.time()) - 3_600
        self.names = [f"{name}-{each}" for each in TABLES]
        self.customers, self.orders, self.prices = self.names
        self.feeds = {each: self._feed(each) for each in self.names}
        for each in self.names:
            numbers = range(10, 14) if each == self.prices else range(4)
            rows = [(number, OTHER if each == self.prices or number % 2 else MINE) for number in numbers]
            self._put(each, self.good, [image("row", number, total={"N": "1"}, **tenant) for number, tenant in rows])
            self._put(each, self.good + 60, [image("row", number, total={"N": "-1"}, **tenant) for number, tenant in rows])
        for feed in self.feeds.values():
            feed.deliver()
            feed.reached(int(time.time()))
        self.ruined = self.live()
        assert scene.call("group", "shop", *self.names).code == 0

    def _feed(self, name: str) -> Feed:
        live = self.scene.live(name)
        live.create(on_demand(SCHEMA))
        region, account = live.facts().arn.split(":")[3:5]
        owner = (account, region, live.facts().table_id)
        return Feed(self.scene.store(), name, began=self.good - 600, owner=owner, tenant_attribute="tenant")

    def _put(self, name: str, second: int, rows: list[bytes]) -> None:
        self.feeds[name].put(second, *rows)
        self.scene.write(map(Put, rows), name)

    def live(self) -> dict[str, dict[bytes, bytes]]:
        return {name: self.scene.items(name) for name in self.names}

    def back(self) -> dict[str, set[str]]:
        """The numbers of the rows that are as of `good`."""
        return {
            name: {json.loads(item)["number"]["N"] for item in rows.values() if json.loads(item)["total"]["N"] == "1"}
            for name, rows in self.live().items()
        }

    def is_ruined(self) -> bool:
        return all(same(rows, self.ruined[name]) for name, rows in self.live().items())

    def ruin(self) -> None:
        for name, rows in self.ruined.items():
            self.scene.write(map(Put, rows.values()), name)

    def undo(self, ran: Ran, *words: str) -> None:
        undone = self.scene.call(*ran.json()["undo"].split()[1:], "--yes", *words, "--json")
        assert undone.code == 0, undone.err
        assert self.is_ruined()


@pytest.fixture
def shop(scene: Scene, table_name: str) -> Application:
    return Application(scene, table_name)


def test_a_tenant_goes_back_in_all_tables_that_have_it(scene: Scene, shop: Application) -> None:
    words = ("restore", "--group", "shop", "--at", str(shop.good), "--in-place", "--yes", "--json")
    planned = scene.call(*words, "--tenant", "t42", "--dry-run").json()
    assert (planned["put"], planned["rows"], planned["nothing"]) == (4, ["--tenant 't42'"], [shop.prices])
    assert shop.is_ruined()
    ran = scene.call(*words, "--tenant", "t42")
    assert ran.code == 0, ran.err
    assert f"note: {shop.prices} has none of these rows" in ran.err
    report = ran.json()
    assert {each["table"]: each["put"] for each in report["tables"]} == {shop.customers: 2, shop.orders: 2}
    assert (report["as_of"], report["not_as_of"], report["deleted"]) == ([shop.customers, shop.orders], [], 0)
    assert shop.back() == {shop.customers: {"0", "2"}, shop.orders: {"0", "2"}, shop.prices: set()}
    shop.undo(ran, "--max-write-units", "100")

    beside = scene.call(*words[:5], "--suffix=-t42", "--tenant", "t42", "--json")
    assert (beside.code, beside.json()["as_of"]) == (0, [f"{shop.customers}-t42", f"{shop.orders}-t42"]), beside.err
    assert len(scene.items(f"{shop.orders}-t42")) == 2

    before = sorted(scene.folder.iterdir())
    none = scene.call(*words, "--tenant", "t43")
    assert (none.code, none.out) == (1, "")
    assert f"nothing is selected in any of 3 tables: no row of {shop.customers}" in none.err
    assert "t42" in none.err, "the nearest names"
    assert shop.is_ruined()
    assert sorted(scene.folder.iterdir()) == before


def test_a_table_without_tenants_keeps_all_from_being_touched(scene: Scene, shop: Application) -> None:
    """Nobody knows which of its rows are the tenant's: to leave it out without a word would claim that it has none."""
    scene.create(scene.table)
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    ran = scene.call("restore", *shop.names, scene.table, "--at", str(shop.good), "--tenant", "t42", "--in-place", "--yes")
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert f"nothing was touched: 1 of 4 tables cannot be restored to {moment.iso(shop.good)}: {scene.table}: " in ran.err
    assert "is not split by tenant" in ran.err
    assert shop.is_ruined()


def test_rows_by_key_condition_partition_or_time(scene: Scene, shop: Application) -> None:
    words = ("restore", "--group", "shop", "--at", str(shop.good), "--in-place", "--yes", "--json")
    first, price = key("row", 1).decode(), key("row", 11).decode()
    (scene.folder / "keys").write_text(f"{first}\n{price}\n")
    window = ("--changed-between", str(shop.good + 59), str(shop.good + 60))
    cases: list[tuple[tuple[str, ...], tuple[set[str], ...]]] = [
        (("--key", first), ({"1"}, {"1"}, set())),
        (("--keys", "keys"), ({"1"}, {"1"}, {"11"})),
        (("--where", "total = 1 and number > 2"), ({"3"}, {"3"}, {"10", "11", "12", "13"})),
        (("--partition", "row", "--tenant", "t7"), ({"1", "3"}, {"1", "3"}, {"10", "11", "12", "13"})),
        ((*window, "--key", price), (set(), set(), {"11"})),
    ]
    for more, back in cases:
        ran = scene.call(*words, *more)
        assert (more, ran.code) == (more, 0), ran.err
        assert (more, tuple(shop.back().values())) == (more, back)
        assert not ran.json()["failed"]
        shop.ruin()
    before = sorted(each.name for each in scene.folder.iterdir())
    for more, code, said in (
        (("--key", key("row", 99).decode()), 1, "nothing is selected in any of 3 tables"),
        (("--key", key("row", 99).decode(), "--key", first), 1, "no table has ever held a row of"),
        (("--key", '{"id":"x"}'), 2, "nothing was touched: 3 of 3 tables cannot be restored"),
        (("--where", "total ="), 2, "nothing was touched: 3 of 3 tables cannot be restored"),
        (("--partition", "none"), 1, "nothing is selected in any of 3 tables"),
        (("--changed-between", str(shop.good + 100), str(shop.good + 101)), 1, "nothing is selected in any of 3 tables"),
        (("--keys", "missing"), 2, "cannot read missing"),
    ):
        ran = scene.call(*words, *more)
        assert (more, ran.code, ran.out) == (more, code, ""), ran.err
        assert said in ran.err
    assert shop.is_ruined()
    assert sorted(each.name for each in scene.folder.iterdir()) == before


def test_a_run_goes_on_with_the_same_rows(scene: Scene, shop: Application) -> None:
    """A row that somebody changes while it runs is left; what is resumed is the selection, and no other row."""
    words = ("restore", "--group", "shop", "--at", str(shop.good), "--in-place", "--yes", "--tenant", "t42", "--json")
    file = scene.folder / "backstream-group-kept.ndjson"
    scene.call(*words)
    (made,) = scene.folder.glob("backstream-group-*.ndjson")
    head = json.loads(made.read_text().splitlines()[0])
    assert head["rows"]["tenant"] == "t42"
    file.write_text(json.dumps(head) + "\n")  # as a kill right after its first line leaves it
    for each in scene.folder.glob("backstream-restore-*"):
        each.unlink()
    shop.ruin()
    resumed = scene.call("restore", "--resume", str(file), "--json")
    assert resumed.code == 0, resumed.err
    assert shop.back() == {shop.customers: {"0", "2"}, shop.orders: {"0", "2"}, shop.prices: set()}
    again = scene.call("restore", "--resume", str(file), "--tenant", "t42")
    assert (again.code, "go without --tenant" in again.err) == (2, True), again.err


def test_a_tenant_s_changes_are_listed_and_reverted_in_all_tables(scene: Scene, shop: Application) -> None:
    window = ("--group", "shop", "--from", str(shop.good), "--to", str(shop.good + 60))
    listed = scene.call("changes", *window, "--tenant", "t42", "--ndjson")
    assert listed.code == 0, listed.err
    lines = [json.loads(line) for line in listed.out.splitlines()]
    assert [each["table"] for each in lines].count(shop.orders) == 2
    assert len(lines) == 4
    assert f"note: no change of {shop.prices}" in listed.err
    net = scene.call("changes", *window, "--tenant", "t42", "--net", "--json").json()
    assert {each["table"] for each in net} == {shop.customers, shop.orders}
    counts = scene.call("changes", *window, "--tenant", "t42", "--summary", "--json").json()
    assert [(each["table"], each["changes"]) for each in counts] == [(shop.customers, 2), (shop.orders, 2)]
    for more in (("--json",), ("--summary", "--json"), ("--net", "--ndjson"), ()):
        none = scene.call("changes", *window, "--tenant", "t43", *more)
        assert (none.code, none.out) == (1, ""), none.err
        assert "nothing is selected in any of 3 tables: no change of" in none.err

    ran = scene.call("revert", *window, "--tenant", "t42", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert shop.back() == {shop.customers: {"0", "2"}, shop.orders: {"0", "2"}, shop.prices: set()}
    shop.undo(ran, "--max-write-units", "100")

    (scene.folder / "bad").write_text(listed.out)  # what was listed is what is undone, in the tables that it names
    ran = scene.call("revert", *window, "--changes", "bad", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert {each["table"]: each["updated"] for each in ran.json()["tables"]} == {shop.customers: 2, shop.orders: 2}
    shop.undo(ran)
    ran = scene.call("revert", shop.orders, *window[2:], "--changes", "bad", "--yes", "--json")
    assert (ran.code, ran.json()["updated"]) == (0, 2), ran.err
    assert shop.back()[shop.customers] == set()
    scene.call(*ran.json()["undo"].split()[1:], "--yes")
    ran = scene.call("revert", *window, "--keys", "bad", "--key", key("row", 11).decode(), "--yes", "--json")
    assert ran.code == 0, ran.err
    assert shop.back() == {shop.customers: {"0", "2"}, shop.orders: {"0", "2"}, shop.prices: {"11"}}
    shop.undo(ran)
    for more, code, said in (
        (("--tenant", "t43"), 1, "nothing is selected in any of 3 tables"),
        (("--key", '{"id":"x"}'), 2, "nothing was touched: 3 of 3 tables cannot be reverted"),
        (("--changes", "missing"), 2, "cannot read missing"),
    ):
        ran = scene.call("revert", *window, *more, "--yes")
        assert (more, ran.code, ran.out) == (more, code, ""), ran.err
        assert said in ran.err
    assert shop.is_ruined()
    assert wire.key_of(SCHEMA, key("row", 1)) in shop.ruined[shop.orders]
