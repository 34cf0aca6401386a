"""From a plan to the rows that it brings back, and back again; and that nothing of it happens where it is not allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from backstream.apps.web import plans
from backstream.apps.web.access.settings import WebSettings
from backstream.model import moment
from backstream.model.values import wire
from backstream.operations.revert.plan_file import Plan
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit import images
from kit.bad_night import Night
from kit.served import Answer, Visit, poll, served

ALLOWED = WebSettings(allow_restore=True)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def night() -> Night:
    return Night(Layout.LOG)


def scanned(table: MemoryTable) -> Mapping[bytes, bytes]:
    """All items of the table, by their keys: an independent look."""
    return {wire.key_of(images.SCHEMA, image): image for page in table.scan(0, 1) for image in page}


def planned(visit: Visit, night: Night, **more: str) -> tuple[str, Answer]:
    """The address and the screen of a plan to take the bad minute back."""
    form = visit.get("/t/flights/plan")
    sent = visit.post("/t/flights/plan", {"csrf": form.csrf, **night.window, **more})
    where = sent.headers["location"]
    return where, poll(lambda: visit.get(where), lambda each: "Working" not in each.words)


def done(visit: Visit, sent: Answer) -> Answer:
    """The screen of a run that has ended."""
    assert sent.status == 303, sent.words
    where = sent.headers["location"]
    return poll(lambda: visit.get(where), lambda each: not re.search(r"<strong>running", each.body))


def test_the_bad_minute_is_taken_back_and_what_others_did_since_stays(night: Night) -> None:
    before = night.stage.expected(night.before)
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        assert "Brought back 1 Reset 4 Deleted 1 Already right 0 Conflicts, left alone 1" in plan.words
        assert re.search(r"reset zone = \"z\", number = 0 the window changed it ± changed v 13 → becomes 1 ", plan.words)
        ran = done(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}))
        assert "done" in ran.words
        expected = {**before, wire.key_of(images.SCHEMA, images.key("z", 4)): images.image("z", 4, v={"N": "19"})}
        assert scanned(night.stage.table) == expected
        undone = done(visit, visit.post("/runs/left", {**_fields(ran), "confirm": "flights", "what": "undo"}))
        assert "done" in undone.words
        assert scanned(night.stage.table) == night.stage.expected()


def _fields(page: Answer) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.body.partition('action="/runs/left"')[2]))


def test_chosen_rows_go_back_to_a_second(night: Night) -> None:
    keys = '{"zone":"z","number":4}\n{"zone":"z","number":5}'
    before = night.stage.expected(night.before)
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        where, plan = planned(visit, night, to="now", key=keys)
        assert "Brought back 1 Reset 1 Deleted 0" in plan.words
        done(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}))
        chosen = [wire.key_of(images.SCHEMA, images.key("z", number)) for number in (4, 5)]
        now = scanned(night.stage.table)
        assert {key: now.get(key) for key in chosen} == {key: before[key] for key in chosen}
        assert {key: image for key, image in now.items() if key not in chosen} == {
            key: image for key, image in night.stage.expected().items() if key not in chosen
        }


def test_the_file_of_a_plan_is_the_one_that_the_command_applies(night: Night, tmp_path: Path) -> None:
    with served(night.config()) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        assert "backstream revert flights --apply flights-plan.ndjson" in plan.words
        (tmp_path / "plan").write_text(visit.get(f"{where}/file").body)
    saved = Plan(tmp_path / "plan")
    assert [each.action for each in saved.rows()].count("update") == 4
    assert saved.counts.written == 6


@pytest.mark.parametrize(
    ("settings", "confirm", "words"),
    [
        (WebSettings(), "flights", "this server is read-only"),
        (ALLOWED, "", "the name that was typed is not the table's"),
        (ALLOWED, "Flights", "the name that was typed is not the table's"),
        (ALLOWED, "flights ", "the name that was typed is not the table's"),
    ],
)
def test_nothing_is_written_unless_it_is_allowed_and_confirmed(
    night: Night, tmp_path: Path, settings: WebSettings, confirm: str, words: str
) -> None:
    now = scanned(night.stage.table)
    with served(night.config(), settings) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        csrf = visit.get("/t/flights").csrf
        assert ("This server is read-only" in plan.words) is not settings.allow_restore
        for path in (f"{where}/run", "/runs/left"):
            fields = {"csrf": csrf, "confirm": confirm, "table": "flights", "kind": "revert", "id": "0" * 16, "what": "undo"}
            answer = visit.post(path, fields)
            assert answer.status == 403
            assert words in answer.words
        assert not server.application.site.jobs.of_kind("run")
    assert scanned(night.stage.table) == now
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_has_been_carried_out_is_not_carried_out_again(night: Night) -> None:
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        done(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}))
        again = done(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}))
        assert "this plan has been" in again.words


def test_what_a_run_left_is_found_again_by_another_server(night: Night) -> None:
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        done(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}))
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        page = visit.get("/runs")
        assert "flights , revert" in page.words
        assert "6 rows written" in page.words
        undone = done(visit, visit.post("/runs/left", {**_fields(page), "confirm": "flights", "what": "undo"}))
        assert "done" in undone.words
        assert "taken back" in visit.get("/runs").words
    assert scanned(night.stage.table) == night.stage.expected()


def test_a_restore_into_a_new_table_is_seen_first(night: Night) -> None:
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        page = visit.get("/t/flights/plan")
        same = visit.post("/t/flights/restore", {"csrf": page.csrf, "at": str(night.before), "new": "flights"})
        shown = poll(lambda: visit.get(same.headers["location"]), lambda each: "Working" not in each.words)
        assert shown.status == 400
        assert "that is the table itself" in shown.words


def test_hidden_attributes_are_in_no_plan_and_no_file(night: Night) -> None:
    with served(night.config(), WebSettings(hidden=frozenset({"v"}))) as server:
        visit = server.visit()
        where, plan = planned(visit, night)
        assert "Reset 4" in plan.words
        assert not re.search(r"<b>v</b>", plan.body)
        refused = visit.get(f"{where}/file")
        assert refused.status == 403
        assert json.dumps({"N": "13"}) not in refused.body
        assert "13" not in re.sub(
            r"20\d\d-[\dT:Z-]+|[0-9a-f]{16,}", "", plan.body.partition('id="rows"')[2].partition("</section>")[0]
        )


def test_many_rows_are_shown_a_page_at_a_time(night: Night) -> None:
    night.stage.put(range(300, 400))
    until = int(night.clock.now())
    night.clock.move(30)
    night.stage.follow()
    night.clock.move(5)
    with served(night.config()) as server:
        visit = server.visit()
        where, page = planned(visit, night, to=str(until))
        seen = list[str]()
        while True:
            found = re.findall(r'<p class="head"><span[^>]*>[^<]*</span>\s*<a href="[^"]*">([^<]*)</a>', page.body)
            assert len(found) <= 40
            seen += found
            following = re.search(r'href="([^"]*)">Next rows', page.body)
            if following is None:
                break
            page = visit.get(following[1])
        assert len(seen) == len(set(seen)) == 107
        assert visit.get(f"{where}?first=100000").status == 400


def test_a_version_and_a_state_lead_to_a_plan_that_goes_back_to_them(night: Night) -> None:
    """Item 4 was written in the bad minute, and once more after it: going back to its first version takes both back."""
    with served(night.config()) as server:
        visit = server.visit()
        item = visit.get("/t/flights/item?" + urlencode({"key": '{"zone":"z","number":4}'}))
        links = re.findall(r'href="([^"]*)">Plan to go back to this version', item.body)
        assert len(links) == 2, "three versions; there is nothing to go back to the newest for"
        made = [_planned(visit, unescape(link)) for link in links]
        values = [re.findall(r"± changed v (\d+) → becomes (\d+)", each.words) for each in made]
        assert values == [[("19", "17")], [("19", "5")]]
        at = f"/t/flights/state?at={quote(moment.iso(night.before))}"
        state = poll(lambda: visit.get(at), lambda each: "in all" in each.words)
        (link,) = re.findall(r'href="([^"]*)">Plan to go back to this second', state.body)
        plan = _planned(visit, unescape(link))
        assert "Brought back 1 Reset 5 Deleted 1" in plan.words


def _planned(visit: Visit, address: str) -> Answer:
    """The plan that a filled form makes, sent as it is."""
    form = visit.get(address)
    fields = {name: unescape(value) for name, value in re.findall(r'name="(from|to)" value="([^"]*)"', form.body)}
    key = re.search(r'<textarea[^>]*name="key"[^>]*>\n?([^<]*)</textarea>', form.body)
    assert key is not None
    sent = visit.post("/t/flights/plan", {"csrf": form.csrf, **fields, "key": unescape(key[1])})
    return poll(lambda: visit.follow(sent), lambda each: "Row by row" in each.words)


def test_a_defect_of_a_plan_is_not_told_as_a_plan_that_is_forgotten(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("4111-1111")

    monkeypatch.setattr(plans, "plan", broken)
    with served(night.config()) as server:
        visit = server.visit()
        sent = visit.post("/t/flights/plan", {"csrf": visit.get("/t/flights").csrf, **night.window})
        page = poll(lambda: visit.follow(sent), lambda each: "comes back by itself" not in each.words)
        assert (page.status, "KeyError, a defect of Backstream" in page.words, "4111" in page.body) == (502, True, False)


def test_a_plan_or_run_that_never_was_is_not_found(night: Night) -> None:
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        for path in ("/plans/x", "/plans/x/file", "/runs/x"):
            assert visit.get(path).status == 404
        csrf = visit.get("/t/flights").csrf
        for fields in ({"id": "../../etc/passwd"}, {"kind": "x"}, {"what": "x"}, {"table": "../x"}):
            given = {
                "csrf": csrf,
                "confirm": "flights",
                "table": "flights",
                "kind": "revert",
                "id": "0" * 16,
                "what": "undo",
                **fields,
            }
            assert visit.post("/runs/left", given).status in (400, 403, 404)
