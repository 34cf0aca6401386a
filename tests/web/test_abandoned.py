"""A reader who goes away ends the work for their screen: it asks the store for nothing more."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import cast
from urllib.parse import quote

import msgspec
import pytest

from backstream.apps.web.background.jobs import SECONDS_UNASKED, STOPPED
from backstream.apps.web.background.stopping import Abandoned, StopToken
from backstream.apps.web.screens import state
from backstream.model import moment
from backstream.ports import ObjectStore
from backstream.vault.catalog import Layout
from kit.bad_night import Night
from kit.drills import PASSED
from kit.served import PATIENCE, StageConfig, poll, served

SCREENS = (
    "/",
    "/t/flights",
    "/t/flights/changes",
    "/t/flights/kinds",
    "/t/flights/item?key=%7B%22zone%22%3A%22z%22%2C%22number%22%3A4%7D",
    "/t/flights/state",
    "/t/flights/plan",
    "/t/flights/drills",
    "/t/flights/drills/d1",
)


class Gate:
    """Stands before the store. Once it is shut, each request waits until it is opened again. `passed`: how many came to it.

    `thread`: it is open to threads whose names begin otherwise.
    """

    def __init__(self, thread: str = "") -> None:
        self._thread = thread
        self.shut = False
        self.passed = 0
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        if self.shut and threading.current_thread().name.startswith(self._thread):
            self.passed += 1
            self.entered.set()
            assert self.opened.wait(PATIENCE)


class GatedStore:
    """A store behind a gate."""

    def __init__(self, store: ObjectStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def __getattr__(self, name: str) -> object:
        found = getattr(self._store, name)

        def gated(*words: object, **more: object) -> object:
            self._gate()
            return found(*words, **more)

        return gated if callable(found) else found


class Told:
    """`to_end`: some work was told to end; `ended`: some work has ended because of that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.to_end, self.ended = threading.Event(), threading.Event()
        was_set, was_checked = StopToken.set, StopToken.check

        def setting(token: StopToken) -> None:
            was_set(token)
            self.to_end.set()

        def checking(token: StopToken) -> None:
            try:
                was_checked(token)
            except Abandoned:
                self.ended.set()
                raise

        monkeypatch.setattr(StopToken, "set", setting)
        monkeypatch.setattr(StopToken, "check", checking)


@pytest.fixture(scope="module")
def night() -> Night:
    found = Night(Layout.ROWS)
    found.stage.vault().drills.keep("d1", found.clock.now(), msgspec.json.encode(PASSED))
    return found


def behind(gate: Gate, night: Night) -> StageConfig:
    """The night's parts, with a gate before its store."""
    store = cast("ObjectStore", GatedStore(night.stage.store, gate))
    return StageConfig(store, night.clock, {"flights": night.stage.table})


@pytest.mark.parametrize("path", SCREENS)
def test_a_screen_asks_for_nothing_more_once_its_reader_has_gone(path: str, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with served(behind(gate, night)) as server:
        visit = server.visit()
        told = Told(monkeypatch)
        gate.shut = True
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {visit.cookie}\r\n\r\n"
            connection.sendall(head.encode())
            assert gate.entered.wait(PATIENCE)
        assert told.to_end.wait(PATIENCE)
        came = gate.passed
        gate.opened.set()
        assert told.ended.wait(PATIENCE)
        assert gate.passed == came
        gate.shut = False
        assert visit.get(path).status == 200, "the next reader is served"


def test_a_state_that_nobody_asks_for_any_more_is_left_and_can_be_asked_for_again(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "SOON", 0.01)
    gate = Gate(thread="job")
    path = f"/t/flights/state?at={quote(moment.iso(night.after))}"
    with served(behind(gate, night)) as server:
        visit = server.visit()
        gate.shut = True
        for _ in range(3):
            assert "comes back by itself" in visit.get(path).words  # each look keeps it at work
            assert gate.entered.wait(PATIENCE)
            night.clock.move(SECONDS_UNASKED - 1)
        (job,) = server.application.site.jobs.of_kind("state")
        night.clock.move(2)
        came = gate.passed
        gate.opened.set()
        assert job.finished.wait(PATIENCE)
        assert (job.status, gate.passed) == (STOPPED, came)
        gate.shut = False
        page = poll(lambda: visit.get(path), lambda each: "in all" in each.words)
        assert f"{len(night.stage.expected(night.after))} items in all" in page.words
