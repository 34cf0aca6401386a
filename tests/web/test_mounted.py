"""The screens below a path: another application has mounted them, or a server says that it serves them there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from backstream.apps.web.access.guard import Guard
from backstream.apps.web.server import uvicorn_config
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.bad_night import Night
from kit.clock import ManualClock
from kit.served import Answer, Served, Visit, poll, served
from kit.stage import Stage

BELOW = "/tools/the past"  # a blank, so that it has to be quoted
MOST = 40  # pages that are followed from one
QUOTED = "/tools/the%20past"
LINK = re.compile(r'(?:href|data-load)="([^"]*)"')
ADDRESS = re.compile(r'(?:href|src|action|data-load)="([^"]*)"')


@pytest.fixture(scope="module")
def night() -> Night:
    return Night(Layout.LOG)


@pytest.fixture(scope="module")
def mounted(night: Night) -> Iterator[Served]:
    """A server of one's own, with the screens below a path of it."""

    def below(app: Guard) -> uvicorn.Config:
        config = uvicorn_config(app)
        config.app = Starlette(routes=[Mount(BELOW, app=app)])
        return config

    patch = pytest.MonkeyPatch()
    patch.setattr("kit.served.uvicorn_config", below)
    with patch.context(), served(night.config()) as running:
        patch.undo()
        yield running


def addresses(page: Answer, pattern: re.Pattern[str] = ADDRESS) -> set[str]:
    return {unescape(each) for each in pattern.findall(page.body)} - {"#main"}


def test_every_address_of_every_screen_lies_below_the_path(mounted: Served, night: Night) -> None:
    came = mounted.stranger().get(f"{QUOTED}/?token={mounted.known.token}")
    assert (came.status, came.headers["refresh"]) == (200, f"0; url={QUOTED}/")
    visit = Visit(mounted.port, cookie=came.headers["set-cookie"].partition(";")[0])
    first = visit.get(f"{QUOTED}/t/flights")
    for path, fields in (
        ("/t/flights/choose", {**night.window, "event": "MODIFY"}),
        ("/t/flights/item", {"key": '{"zone":"z","number":4}'}),
        ("/t/flights/state", {"at": night.window["to"]}),
        ("/t/flights/plan", night.window),
    ):
        sent = visit.post(QUOTED + path, {"csrf": first.csrf, **fields})
        assert sent.headers["location"].startswith(f"{QUOTED}/"), path
        page = poll(partial(visit.follow, sent), lambda each: "comes back by itself" not in each.words)
        assert page.status == 200, page.words
        _crawl(visit, page)
    assert visit.get(QUOTED).status == 307, "the other application adds the stroke"
    assert visit.get("/t/flights").status == 404, "there is nothing beside it"
    assert mounted.stranger().get(f"{QUOTED}/t/flights").status == 401


def _crawl(visit: Visit, begin: Answer) -> None:
    """Follow every link of a page, and every link of the pages that come, up to a number."""
    pages, seen = [begin], set[str]()
    while pages and len(seen) < MOST:
        page = pages.pop(0)
        assert all(each.startswith(f"{QUOTED}/") for each in addresses(page)), addresses(page)
        for each in sorted(addresses(page, LINK) - seen):
            seen.add(each)
            pages.append(visit.get(each))
            assert pages[-1].status == 200, (each, pages[-1].words)
    assert len(seen) > 10


@contextmanager
def by_server(*words: str, environment: dict[str, str]) -> Iterator[int]:
    """An ASGI server as a process, with the application that the environment describes. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    command = [sys.executable, "-m", *(word.replace("PORT", str(port)) for word in words)]
    with subprocess.Popen(command, env={**inherited, **environment}) as server:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            server.terminate()


FACTORY = "backstream.apps.web.asgi:create"


@pytest.mark.parametrize(
    ("words", "below"),
    [
        (("uvicorn", "--factory", FACTORY, "--port", "PORT", "--no-access-log"), ""),
        (("uvicorn", "--factory", FACTORY, "--port", "PORT", "--no-access-log", "--root-path", "/stage"), "/stage"),
        (("hypercorn", f"{FACTORY}()", "--bind", "127.0.0.1:PORT", "--root-path", "/stage"), "/stage"),
    ],
    ids=["uvicorn", "uvicorn below a path", "hypercorn below a path"],
)
def test_any_asgi_server_serves_it_to_those_who_give_a_password(words: tuple[str, ...], below: str, tmp_path: Path) -> None:
    """As behind a Lambda function URL: the Lambda Web Adapter asks the server with the URL's own host."""
    folder, users, clock = tmp_path / "vault", tmp_path / "users", ManualClock(1_790_000_000.0)
    folder.mkdir()
    Stage(clock, store=DirectoryStore(folder, clock))
    users.touch(mode=0o600)
    users.write_text("alice:correct horse\n")
    host = "abcdefgh.lambda-url.eu-central-1.on.aws"
    environment = {
        "BACKSTREAM_VAULT": folder.as_uri(),
        "BACKSTREAM_WEB_AUTH": f"basic:{users}",
        "BACKSTREAM_WEB_HOSTS": host,
        "BACKSTREAM_WEB_SECRET": "0123456789abcdef" * 2,
    }
    with by_server(*words, environment=environment) as port:
        stranger = Visit(port, host=host)
        refused = stranger.get("/")
        assert (refused.status, refused.headers["www-authenticate"][:5]) == (401, "Basic")
        assert "flights" not in refused.body
        visit = Visit(port, host=host, headers={"Authorization": "Basic " + b64encode(b"alice:correct horse").decode()})
        page = visit.get("/t/flights")
        assert page.status == 200, page.words
        assert all(each.startswith(f"{below}/") for each in addresses(page) if each), addresses(page)
        chosen = visit.post("/t/flights/choose", {"csrf": page.csrf, "event": "REMOVE"}, Origin=f"https://{host}")
        assert (chosen.status, chosen.headers["location"].partition("?")[0]) == (303, f"{below}/t/flights")
        assert visit.post("/t/flights/choose", {"csrf": page.csrf}, Origin="https://evil.example").status == 403
        assert Visit(port, host="evil.example", headers=visit.headers).get("/").status == 421
        assert "read-only" in visit.post("/runs/left", {"csrf": page.csrf, "table": "flights", "confirm": "flights"}).words
        assert visit.get(f"/t/flights/item?{urlencode({'key': '{}'})}").status == 400
