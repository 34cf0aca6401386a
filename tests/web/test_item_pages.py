"""The pages of an item with many versions: by their links, with what is gone from the bucket, and nothing hidden."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

from backstream.apps.web.access.settings import WebSettings
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.served import Answer, StageConfig, served
from kit.stage import Stage

KEY = '{"zone":"z","number":1}'
ITEM = f"/t/flights/item?{urlencode({'key': KEY})}"
MANY = 30


def many() -> Stage:
    stage = Stage(ManualClock(1_790_000_000.0), layout=Layout.ROWS, shards=1)
    for _ in range(MANY):
        stage.put([1])
        stage.clock.sleep(1)
    stage.follow()
    return stage


def numbers(page: Answer) -> list[int]:
    return [int(each) for each in re.findall(r'<th scope="col" data-version="(\d+)"', page.body)]


def link(page: Answer, name: str) -> str:
    found = re.search(rf'<a class="button" href="([^"]+)">{name}</a>', page.body)
    return "" if found is None else unescape(found[1])


def test_the_links_lead_through_all_versions_though_others_arrive() -> None:
    stage = many()
    with served(StageConfig(stage.store, stage.clock, {"flights": stage.table}), WebSettings(private=True)) as server:
        visit = server.visit()
        first = visit.follow(visit.post("/t/flights/item", {"csrf": visit.get("/t/flights").csrf, "key": KEY}))
        stage.put([1])
        stage.follow()
        assert (numbers(first), link(first, "Newer versions")) == (list(range(19, 31)), "")
        typed = visit.get(link(first, "Show DynamoDB JSON"))
        assert numbers(typed) == numbers(first), "the same versions, though there is a newer one"
        assert numbers(visit.get(link(typed, "Newer versions"))) == list(range(20, 32))
        second = visit.get(link(typed, "Older versions"))
        assert numbers(second) == list(range(7, 19))
        assert "Show plain JSON" in second.words
        assert second.words.count("± changed") == 12, "the first one is compared with the version before the page"
        last = visit.get(link(second, "Older versions"))
        assert (numbers(last), link(last, "Older versions")) == (list(range(1, 7)), "")
        assert numbers(visit.get(link(last, "Newer versions"))) == list(range(7, 19))
        assert all("zone" not in link(page, name) for page in (first, second) for name in ("Older versions", "Newer versions"))


def test_a_version_that_is_gone_is_named_in_its_place_and_nothing_hidden_is_shown() -> None:
    stage = many()
    assert isinstance(stage.store, MemoryStore)
    (name,) = {each.name for each in stage.store.versions("flights/")}
    del stage.store._versions[name][25]
    with served(StageConfig(stage.store, stage.clock, {"flights": stage.table})) as server:
        page = server.visit().get(ITEM)
        assert numbers(page) == list(range(19, 31))
        assert page.words.count("? cannot be read") == 1
        assert "is gone from the bucket" in page.words
        assert page.words.count("± changed") == 11
        assert "± changed 27" in page.words, "compared with the last one that can be read"
        assert "--allow-gap" not in page.words, "`history` names what is gone, and refuses nothing"
        del stage.store._versions[name][6:17]
        assert "the version before it cannot be read" not in server.visit().get(ITEM).words
        del stage.store._versions[name][6]  # twelve before the page are gone now, and the ones before these are not tried
        page = server.visit().get(ITEM)
        assert "the version before it cannot be read" in page.words
        assert "+ added" not in page.words
    with served(StageConfig(stage.store, stage.clock, {"flights": stage.table}), WebSettings(hidden=frozenset({"v"}))) as server:
        page = server.visit().get(ITEM)
        assert numbers(page) == list(range(19, 31))
        assert "is gone from the bucket" not in page.words
        assert "the details are withheld here" in page.words
        assert ">v<" not in page.body
