"""Groups on the vault's screen, the report of one drill, and that a fault is never taken for an empty answer."""

from __future__ import annotations

import re
from html import unescape

import msgspec
import pytest

from backstream.apps.library import Vault
from backstream.apps.web.access.settings import WebSettings
from backstream.apps.web.group_lines import drill_words, newest_common
from backstream.errors import MissingBucket
from backstream.model import moment
from backstream.operations.changes import Changes
from backstream.operations.setup.init import InitOptions, init
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.drills import Held
from kit import images
from kit.bad_night import Night
from kit.drills import FAILED, NASTY, PASSED
from kit.served import served


@pytest.fixture
def night() -> Night:
    return Night(Layout.LOG)


def cards(body: str) -> list[tuple[str, str]]:
    """Each card of the vault's screen: its heading, and all of its words."""
    found = re.findall(r'<section class="card[^>]*>(.*?)</section>', body, re.DOTALL)
    words = [" ".join(unescape(re.sub(r"<[^>]+>", " ", each)).split()) for each in found]
    return [(each.split()[0], each) for each in words]


def test_groups_come_first_and_the_worst_of_them_before_all_others(night: Night) -> None:
    hotels = MemoryTable("hotels", night.clock, images.SCHEMA)
    hotels.enable_stream()
    init(night.stage.store, hotels, InitOptions())
    at = int(night.clock.now()) - 20
    passed = msgspec.structs.replace(PASSED, at=moment.iso(at), began=moment.iso(at))
    night.stage.vault().drills.keep("d1", at, msgspec.json.encode(passed))
    held = Vault(night.config())
    held.define_group("alone", ["flights"])
    held.define_group("travel", ["flights", "hotels"])
    night.stage.store.put("_backstream/~groups/broken.json", b"{")
    night.stage.store.put("_backstream/~groups/x@y.json", b"{}")
    with served(night.config()) as server:
        page = server.visit().get("/")
    found = cards(page.body)
    assert [name for name, _ in found] == ["broken", "x@y", "travel", "alone", "hotels", "flights"]
    words = dict(found)
    assert "cannot be read" in words["broken"]
    assert "not a group's name" in words["x@y"]
    assert "there is no second at which all of its tables can be restored exactly" in words["travel"]
    assert "hotels: no restore of the whole table is exact yet" in words["travel"]
    assert "Lag, the greatest unknown" in words["travel"]
    assert "Last drill never in 1 table" in words["travel"]
    window = night.stage.vault().window(night.clock.now())
    assert f"Exact restores of all {window.ranges[-1]}" in words["alone"]
    assert f"Last drill passed, all at {moment.iso(at)}" in words["alone"]
    assert "backstream status --group travel" in page.words


@pytest.mark.parametrize(
    ("ranges", "common"),
    [
        ([], ("", "")),
        ([[("1", "5")]], ("1", "5")),
        ([[("1", "5"), ("7", "9")], [("2", "8")]], ("7", "8")),
        ([[("1", "5")], [("5", "9")]], ("5", "5")),
        ([[("1", "5")], [("6", "9")]], ("", "")),
        ([[("1", "9")], []], ("", "")),
        ([[("1", "9")], [("2", "8")], [("3", "4"), ("6", "7")]], ("6", "7")),
    ],
)
def test_the_newest_period_of_all_tables(ranges: list[list[tuple[str, str]]], common: tuple[str, str]) -> None:
    assert newest_common(ranges) == common


def test_only_drills_at_one_second_are_a_drill_of_the_group() -> None:
    one = Held(
        "1", "2026-11-23T04:00:00Z", "2026-11-23T03:00:00Z", passed=True, rows=1, differences=0, rpo_seconds=1, rto_seconds=1
    )
    other = msgspec.structs.replace(one, at="2026-11-22T03:00:00Z", began="2026-11-22T04:00:00Z")
    failed = msgspec.structs.replace(one, passed=False)
    assert drill_words([None, None]) == "never"
    assert drill_words([one, None]) == "never in 1 table"
    assert drill_words([one, failed, None]) == "FAILED in 1 table"
    assert drill_words([one, one]) == f"passed, all at {one.at}"
    assert drill_words([one, other]) == f"passed, but not at one second; the oldest {other.began}"


def test_a_drill_has_a_page_with_its_whole_report_and_the_trend(night: Night) -> None:
    drills, now = night.stage.vault().drills, night.clock.now()
    drills.keep("good", now - 20, msgspec.json.encode(msgspec.structs.replace(PASSED, id="good")))
    drills.keep("bad", now - 10, msgspec.json.encode(msgspec.structs.replace(FAILED, id="bad")))
    drills.keep("torn", now - 5, b"{")
    with served(night.config()) as server:
        visit = server.visit()
        listed = visit.get("/t/flights/drills").body
        assert [f'href="/t/flights/drills/{each}"' in listed for each in ("good", "bad", "torn")] == [True] * 3
        good = visit.get("/t/flights/drills/good")
        assert "a drill, ✓ passed" in good.words
        assert "1,000 rows of the live table: 990 as restored, 10 changed since, 0 that should not differ" in good.words
        assert "assumed-role/drills/nightly" in good.words
        assert good.body.count("<svg") == 2
        bad = visit.get("/t/flights/drills/bad")
        assert "a drill, ✕ FAILED" in bad.words
        assert f"Why it has not passed not in the restored table: {NASTY}" in bad.words
        assert "<script>alert" not in bad.body
        assert '+ added v "x"' in bad.words
        torn = visit.get("/t/flights/drills/torn")
        assert "the record of this drill cannot be read" in torn.words
        assert "Only this summary of the drill's record can be read." in torn.words
        assert visit.get("/t/flights/drills/nosuch").status == 404
        assert visit.get("/t/flights/drills/..%2fbad").status == 404
    with served(night.config(), WebSettings(hidden=frozenset({"v"}))) as server:
        hidden = server.visit().get("/t/flights/drills/bad")
        assert hidden.status == 200
        assert "the details are withheld here" in hidden.words
        assert "+ added" not in hidden.words
        assert "a foreign object" not in hidden.words


def test_a_vault_that_goes_away_is_no_list_without_changes(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise MissingBucket("the bucket is gone")

    with served(night.config()) as server:
        visit = server.visit()
        filters = {"csrf": visit.get("/t/flights").csrf, "where": "v = 4711"}
        sent = visit.post("/t/flights/choose", filters).headers["location"].replace("/t/flights?", "/t/flights/changes?")
        assert "No change of this window matches" in visit.get(sent).words
        monkeypatch.setattr(Changes, "known", gone)
        assert (visit.get(sent).status, "the bucket is gone" in visit.get(sent).words) == (404, True)
