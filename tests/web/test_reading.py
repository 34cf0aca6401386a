"""What the screens show of a table's history, asked with plain HTTP requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote, unquote, urlencode

import pytest

from backstream.errors import CatalogLost
from backstream.model import moment
from backstream.operations.changes import Changes, SeenChange
from backstream.ports import Put
from backstream.vault.catalog import Layout
from kit import images
from kit.bad_night import Night
from kit.served import Served, Visit, poll, served


@pytest.fixture(scope="module", params=[Layout.LOG, Layout.ROWS])
def night(request: pytest.FixtureRequest) -> Night:
    return Night(request.param)


@pytest.fixture(scope="module")
def server(night: Night) -> Iterator[Served]:
    with served(night.config()) as running:
        yield running


@pytest.fixture(scope="module")
def visit(server: Served) -> Visit:
    return server.visit()


def key_of(number: int) -> str:
    return json.dumps({"zone": {"S": "z"}, "number": {"N": str(number)}}, separators=(",", ":"))


def item_path(number: int) -> str:
    return f"/t/flights/item?{urlencode({'key': key_of(number)})}"


def test_the_vault_names_its_tables_and_their_problems(visit: Visit) -> None:
    page = visit.get("/")
    assert page.status == 200
    assert "flights" in page.words
    assert "no restore was ever tried: there was no drill" in page.words
    assert "20 changes" in page.words


def test_the_timeline_counts_by_the_names_of_objects(visit: Visit, night: Night) -> None:
    page = visit.get("/t/flights")
    assert page.status == 200
    assert "20 changes after" in page.words
    window = visit.get(f"/t/flights?{urlencode(night.window)}")
    assert "7 changes after" in window.words
    rows = re.findall(r'<tr><th scope="row"><a href="([^"]*)">[^<]*</a></th><td class="number">(\d+)</td>', window.body)
    assert sum(int(count) for _, count in rows) == 7
    assert visit.get(unescape(rows[0][0])).status == 200


def test_changes_are_counted_by_event_one_by_one(visit: Visit, night: Night) -> None:
    page = visit.get(f"/t/flights/kinds?{urlencode(night.window)}")
    assert "inserts 1 modifies 5 removes 1" in page.words
    assert "7 items changed" in page.words


def test_changes_are_listed_with_what_they_changed(visit: Visit, night: Night) -> None:
    page = visit.get(f"/t/flights/changes?{urlencode(night.window)}")
    assert page.body.count('class="event') == 7
    assert re.search(r"± changed v 1 → becomes 13", page.words)
    assert "backstream changes flights --from" in page.words


def test_a_catalog_that_is_lost_is_no_page_without_changes(visit: Visit, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: Changes) -> Iterator[SeenChange]:
        raise CatalogLost("the catalog of 'flights' is lost")
        yield

    monkeypatch.setattr(Changes, "known", lost)
    page = visit.get(f"/t/flights/changes?{urlencode(night.window)}")
    assert page.status == 404
    assert "the catalog of 'flights' is lost" in page.words


def test_filters_stand_in_no_address(visit: Visit, night: Night) -> None:
    form = visit.get("/t/flights")
    fields = {"csrf": form.csrf, **night.window, "where": 'v = 13 and zone = "z"', "event": "MODIFY"}
    sent = visit.post("/t/flights/choose", fields)
    assert sent.status == 303
    assert "13" not in sent.headers["location"].partition("sel=")[2][32:]
    assert "zone" not in sent.headers["location"]
    page = visit.follow(sent)
    assert 'value="v = 13 and zone = &#34;z&#34;"' in page.body
    chosen = re.search(r'data-load="(/t/flights/changes[^"]+)"', page.body)
    assert chosen is not None
    listed = visit.get(unescape(chosen[1]))
    assert listed.body.count('class="event') == 1
    assert "number = 0" in listed.words


def test_a_filter_that_is_none_is_refused_with_the_words_of_the_command(visit: Visit) -> None:
    form = visit.get("/t/flights")
    sent = visit.post("/t/flights/choose", {"csrf": form.csrf, "where": "status ="})
    assert sent.status == 400
    assert "not a condition" in sent.words


def test_an_item_shows_its_versions_side_by_side(visit: Visit) -> None:
    page = visit.get(item_path(4))
    assert page.body.count('<th scope="col" data-version=') == 3
    assert page.words.count("± changed") == 2
    assert "<title>flights: an item</title>" in page.body
    typed = visit.get(f"{item_path(4)}&json=dynamodb")
    assert '"v": {"N":"19"}' in unescape(typed.body)


def test_a_deleted_item_is_seen_to_be_deleted(visit: Visit) -> None:
    page = visit.get(item_path(5))
    assert "✕ deleted" in page.words
    assert page.words.count("\u2212 removed") == 3


def test_an_item_is_found_by_a_key_as_people_write_it(visit: Visit) -> None:
    sent = visit.post("/t/flights/item", {"csrf": visit.get("/t/flights").csrf, "key": '{"zone":"z","number":4}'})
    assert visit.follow(sent).body.count('<th scope="col" data-version=') == 3


def test_an_item_that_never_was_is_said_to_be_unknown(visit: Visit) -> None:
    assert "The vault has never seen this item." in visit.get(item_path(999)).words


def test_the_state_at_a_second_is_that_of_the_model(visit: Visit, night: Night) -> None:
    path = f"/t/flights/state?at={quote(moment.iso(night.after))}"
    page = poll(lambda: visit.get(path), lambda each: "in all" in each.words)
    expected = night.stage.expected(night.after)
    assert f"{len(expected)} items in all" in page.words
    shown = re.findall(
        r'<tr><th scope="row"><a href="[^"]*">zone = &#34;z&#34;, number = (\d+)</a></th>\s*<td>(.*?)</td>', page.body
    )
    values = {int(number): re.sub(r"<[^>]+>", " ", cells).split() for number, cells in shown}
    model = {json.loads(key)["number"]["N"]: json.loads(image)["v"]["N"] for key, image in expected.items()}
    assert {str(number): words[1] for number, words in values.items()} == model


def test_a_state_is_read_a_page_at_a_time_and_by_partition() -> None:
    own = Night(Layout.LOG)
    own.stage.put(range(100, 220))
    for number in range(3):
        own.stage.table.write([Put(images.image("other", number))])
    at = quote(moment.iso(int(own.clock.now())))
    own.clock.move(2)
    own.stage.follow()
    own.clock.move(5)
    with served(own.config()) as server:
        visit = server.visit()
        page = poll(lambda: visit.get(f"/t/flights/state?at={at}"), lambda each: "in all" in each.words)
        seen = list[str]()
        while True:
            seen += re.findall(r"<th scope=\"row\"><a[^>]*>([^<]*)</a>", page.body)
            following = re.search(r'href="([^"]*)">Next page', page.body)
            if following is None:
                break
            assert len(seen) % 50 == 0
            page = visit.get(unescape(following[1]))
        assert len(seen) == len(set(seen)) == 12 - 1 + 1 + 120 + 3
        sent = visit.post("/t/flights/state", {"csrf": page.csrf, "at": unquote(at), "partition": "other"})
        assert "other" not in sent.headers["location"]
        found = re.findall(r"<th scope=\"row\"><a[^>]*>([^<]*)</a>", visit.follow(sent).body)
        assert len(found) == 3


def test_changes_come_a_page_at_a_time_each_once() -> None:
    own = Night(Layout.LOG)
    own.stage.put([number % 40 + 200 for number in range(130)])
    own.clock.move(2)
    own.stage.follow()
    own.clock.move(5)
    with served(own.config()) as server:
        visit = server.visit()
        page, seen, sizes = visit.get("/t/flights/changes"), list[str](), list[int]()
        while True:
            found = re.findall(
                r'<span class="event[^"]*">\w+</span>\s*<a href="[^"]*">([^<]*)</a>.*?<ins>([^<]*)</ins>', page.body, re.DOTALL
            )
            seen += ["".join(each) for each in found]
            sizes.append(page.body.count('class="event'))
            following = re.search(r'href="([^"]*)">Next changes', page.body)
            if following is None:
                break
            page = visit.get(unescape(following[1]))
        assert sizes == [50, 50, 50]
        assert sum(sizes) == 20 + 130


def test_a_moment_without_an_offset_or_in_the_future_is_refused(visit: Visit) -> None:
    assert visit.get("/t/flights/state?at=2026-11-23T04:15:00").status == 400
    assert visit.get("/t/flights/state?at=2090-01-01T00:00:00Z").status == 403
    assert visit.get("/t/flights?from=2026-11-23T04:15:00Z&to=2026-11-22T04:15:00Z").status == 400


def test_a_table_that_the_vault_does_not_know_is_not_found(visit: Visit) -> None:
    for path in ("", "/changes", "/kinds", "/state", "/drills", "/item?key={}"):
        assert visit.get(f"/t/nobody{path}").status == 404, path
