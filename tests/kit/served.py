"""The screens of `backstream web`, served for real on loopback out of a stage in this process, and a plain client of them."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

import msgspec
import uvicorn

from backstream.apps.config import Config
from backstream.apps.web.access.sessions import Secrets
from backstream.apps.web.access.settings import WebSettings, hosts_of
from backstream.apps.web.application import Application
from backstream.apps.web.server import uvicorn_config
from backstream.ports import Clock, ObjectStore, Table

PATIENCE = 240.0


class StageConfig(Config):
    """The parts of a stage, in the place of a vault's URL and of AWS."""

    def __init__(self, store: ObjectStore, clock: Clock, tables: Mapping[str, Table]) -> None:
        super().__init__("file:///stage", clock=clock)
        vars(self)["store"] = store
        self._tables = tables

    def table(self, name: str) -> Table:
        """One of the stage's."""
        return self._tables[name]


@dataclass(frozen=True)
class Answer:
    """What the server said. `headers`: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def words(self) -> str:
        """What a person reads on the page."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.body)).split())

    @property
    def csrf(self) -> str:
        """The token of its first form."""
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.body)
        assert found is not None, self.body
        return found[1]


@dataclass
class Visit:
    """A client. `cookie`: what it sends; `host`: the name by which it thinks that it asks."""

    port: int
    cookie: str = ""
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        """Read a screen."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: Mapping[str, str] | list[tuple[str, str]], **headers: str) -> Answer:
        """Send a form."""
        body = urlencode(fields).encode()
        return self._ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **headers})

    def follow(self, answer: Answer) -> Answer:
        """Go where the answer to a form sends the browser."""
        assert answer.status == 303, (answer.status, answer.words)
        return self.get(answer.headers["location"])

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        sent = {"Host": self.host or f"127.0.0.1:{self.port}", **self.headers, **headers}
        if self.cookie:
            sent["Cookie"] = self.cookie
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, sent)
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read().decode())


class Served:
    """A server that runs as long as a `with` block does. `visit`: a client that has come in."""

    def __init__(self, application: Application, known: Secrets, port: int) -> None:
        self.application = application
        self.known = known
        self.port = port

    @property
    def url(self) -> str:
        """As the command prints it."""
        return f"http://127.0.0.1:{self.port}/?token={self.known.token}"

    def stranger(self) -> Visit:
        """A client that has no cookie."""
        return Visit(self.port)

    def visit(self) -> Visit:
        """A client that has opened the printed URL."""
        opened = self.stranger().get(f"/?token={self.known.token}")
        assert opened.status == 200, opened.words
        return Visit(self.port, cookie=opened.headers["set-cookie"].partition(";")[0])


@contextmanager
def served(config: Config, settings: WebSettings | None = None) -> Iterator[Served]:
    """Serve these parts on a port of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        known = Secrets()
        hosts = hosts_of("127.0.0.1", port, ())
        given = msgspec.structs.replace(settings or WebSettings(), hosts=hosts)
        application = Application(config, given, known, f"backstream-{port}")
        server = uvicorn.Server(uvicorn_config(application.asgi))
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        try:
            yield Served(application, known, port)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            application.site.close()
            assert not thread.is_alive()


def poll(ask: Callable[[], Answer], until: Callable[[Answer], bool]) -> Answer:
    """Ask again until a condition holds; fail after many times."""
    for _ in range(2_000):
        answer = ask()
        if until(answer):
            return answer
        threading.Event().wait(0.01)
    raise AssertionError("it did not come true")
