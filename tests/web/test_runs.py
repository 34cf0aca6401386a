"""Runs that somebody stops in the browser, and what is left of them; and a restore into a new table, from the form to its rows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.web.access.settings import WebSettings
from backstream.model import moment
from backstream.model.values import wire
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit import images
from kit.bad_night import Night
from kit.served import Answer, StageConfig, Visit, poll, served

ALLOWED = WebSettings(allow_restore=True)
LONG = 60.0  # seconds after which a test that hangs ends


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def scanned(table: MemoryTable) -> Mapping[bytes, bytes]:
    """All items of the table, by their keys: an independent look."""
    return {wire.key_of(images.SCHEMA, image): image for page in table.scan(0, 1) for image in page}


class Halting:
    """Stands in for one of a table's ways to write: it does the first writes, and then waits until it is told to go on."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self._write = write
        self.begun, self.on = threading.Event(), threading.Event()

    def __call__(self, *words: Any) -> Any:
        done = self._write(*words)
        self.begun.set()
        assert self.on.wait(LONG)
        return done


def ended(visit: Visit, sent: Answer) -> Answer:
    """The screen of a run that has ended."""
    assert sent.status == 303, sent.words
    return poll(lambda: visit.get(sent.headers["location"]), lambda each: not re.search(r"<strong>running", each.body))


def left_fields(page: Answer) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.body.partition('action="/runs/left"')[2]))


def stopped(visit: Visit, sent: Answer, halting: Halting) -> Answer:
    """The screen of a run that was stopped by its button after its first writes."""
    assert halting.begun.wait(LONG)
    running = visit.get(sent.headers["location"])
    assert "The rest can be resumed" in running.words
    button = re.search(r'action="(/runs/[^"]*/stop)"', running.body)
    assert button is not None
    assert visit.post(button[1], {"csrf": running.csrf}).status == 303
    halting.on.set()
    return ended(visit, sent)


@pytest.fixture
def night() -> Night:
    """The bad minute also ruins a thousand rows, so that a run takes many steps."""
    night = Night(Layout.LOG)
    night.stage.put(range(100, 1_100))
    night.clock.move(10)
    night.stage.follow()
    night.clock.move(60)
    night.before = int(night.clock.now())
    night.clock.move(1)
    night.stage.put(range(100, 1_100))
    night.after = int(night.clock.now())
    night.clock.move(30)
    night.stage.follow()
    night.clock.move(5)
    return night


def test_a_revert_that_is_stopped_is_resumed_from_its_screen(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    halting = Halting(night.stage.table.change_if)
    monkeypatch.setattr(night.stage.table, "change_if", halting)
    with served(night.config(), ALLOWED) as server:
        visit = server.visit()
        made = visit.post("/t/flights/plan", {"csrf": visit.get("/t/flights/plan").csrf, **night.window})
        where = made.headers["location"]
        plan = poll(lambda: visit.get(where), lambda each: "Working" not in each.words)
        page = stopped(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}), halting)
        assert "stopped" in page.words
        assert "can be resumed" in page.words
        assert scanned(night.stage.table) != night.stage.expected(night.before)
        resumed = ended(visit, visit.post("/runs/left", {**left_fields(page), "confirm": "flights", "what": "resume"}))
        assert "done" in resumed.words
        assert scanned(night.stage.table) == night.stage.expected(night.before)
        assert "can be resumed" not in visit.get("/runs").words


def test_a_restore_into_a_new_table_is_carried_out_stopped_and_resumed(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = MemoryTable("copy", night.clock)
    halting = Halting(copy.write)
    monkeypatch.setattr(copy, "write", halting)
    before = scanned(night.stage.table)
    with served(StageConfig(night.stage.store, night.clock, {"flights": night.stage.table, "copy": copy}), ALLOWED) as server:
        visit = server.visit()
        form = visit.get("/t/flights/plan")
        made = visit.post("/t/flights/restore", {"csrf": form.csrf, "at": moment.iso(night.before), "new": "copy"})
        where = made.headers["location"]
        plan = poll(lambda: visit.get(where), lambda each: "Working" not in each.words)
        assert "Type copy to confirm" in plan.words
        assert visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "flights"}).status == 403
        page = stopped(visit, visit.post(f"{where}/run", {"csrf": plan.csrf, "confirm": "copy"}), halting)
        assert "stopped" in page.words
        fields = left_fields(visit.get("/runs"))  # another visitor finds it there, too
        assert fields["target"] == "copy"
        forged = {**fields, "target": "flights", "confirm": "flights", "what": "resume"}
        assert "is not of a run that writes to flights" in visit.post("/runs/left", forged).words
        assert visit.post("/runs/left", {**fields, "confirm": "flights", "what": "resume"}).status == 403
        resumed = ended(visit, visit.post("/runs/left", {**fields, "confirm": "copy", "what": "resume"}))
        assert "done" in resumed.words, resumed.words
        assert scanned(copy) == night.stage.expected(night.before)
        assert scanned(night.stage.table) == before
        assert "No run has left anything there" in visit.get("/runs").words
