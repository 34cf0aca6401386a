"""The command `backstream web` itself: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backstream.apps.cli.main import call
from backstream.apps.web import asgi
from backstream.errors import Refused, UsageError
from backstream.stores.directory import DirectoryStore
from kit.clock import ManualClock
from kit.scene import COMMAND
from kit.stage import Stage


@pytest.fixture
def url(tmp_path: Path) -> str:
    folder = tmp_path / "vault"
    folder.mkdir()
    clock = ManualClock(1_790_000_000.0)
    Stage(clock, store=DirectoryStore(folder, clock))
    return folder.as_uri()


def test_it_prints_its_address_serves_and_ends_cleanly(url: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    with subprocess.Popen(
        [COMMAND, "web", "--vault", url], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            parts = urlsplit(server.stdout.readline().strip())
            assert (parts.scheme, parts.hostname) == ("http", "127.0.0.1")
            connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=240)
            connection.request("GET", f"{parts.path}?{parts.query}")
            opened = connection.getresponse()
            opened.read()
            connection.request("GET", "/", headers={"Cookie": opened.headers["Set-Cookie"].partition(";")[0]})
            assert b'href="/t/flights"' in connection.getresponse().read()
            connection.close()
            server.send_signal(signal.SIGINT)
            assert server.wait(240) == 130
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--host", "0.0.0.0"], 4, "it needs --auth"),  # noqa: S104 - refused
        (["--auth", "basic:users"], 4, "passwords would be sent in the clear"),
        (["--auth", "header:X-User"], 2, "nothing says whose X-User is believed"),
        (["--auth", "nonsense"], 2, "not a way to know who asks"),
        (["--auth", "header:X-User", "--from-proxy", "nonsense"], 2, "not an address"),
        (["--tls-cert", "cert.pem"], 2, "--tls-cert and --tls-key belong together"),
    ],
)
def test_what_it_refuses(url: str, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["web", "--vault", url, *words]) == code
    assert said in capsys.readouterr().err


def test_any_asgi_server_needs_somebody_who_says_who_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTREAM_VAULT", url)
    with pytest.raises(Refused, match="anybody could read"):
        asgi.create()
    monkeypatch.setenv("BACKSTREAM_WEB_AUTH", "header:X-User")
    monkeypatch.setenv("BACKSTREAM_WEB_PROXIES", "127.0.0.1")
    with pytest.raises(UsageError, match="by which browsers reach it"):
        asgi.create()
    monkeypatch.setenv("BACKSTREAM_WEB_HOSTS", "history.example.com")
    assert callable(asgi.create())
