"""`backstream web --auth`, as a process of its own: behind a proxy's header, and with passwords over TLS."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import trustme

from backstream.stores.directory import DirectoryStore
from kit.clock import ManualClock
from kit.scene import COMMAND
from kit.stage import Stage

PATIENCE = 240
CHALLENGE = 'Basic realm="backstream", charset="UTF-8"'
NAME = "history.example.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("vault")
    clock = ManualClock(1_790_000_000.0)
    Stage(clock, store=DirectoryStore(folder, clock)).put([1])
    return folder.as_uri()


@contextmanager
def running(url: str, *words: str) -> Iterator[int]:
    """The command, until it is stopped. Yields its port, which it prints without a token."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    command = [COMMAND, "web", "--vault", url, "--name", NAME, *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            parts = urlsplit(server.stdout.readline().strip())
            assert (parts.hostname, parts.path, parts.query) == ("127.0.0.1", "/", "")
            yield parts.port or 0
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 130
        finally:
            server.kill()


def asked(
    connection: http.client.HTTPConnection, path: str = "/", fields: dict[str, str] | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """The status, the headers and the body of an answer to a request for the server's name."""
    with closing(connection):
        body = None if fields is None else urlencode(fields)
        sent = {
            "Host": NAME,
            **({} if fields is None else FORM),
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        connection.request("GET" if fields is None else "POST", path, body, sent)
        found = connection.getresponse()
        return found.status, found.headers, found.read().decode()


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def test_behind_a_proxy_its_header_says_who_asks_and_no_one_elses(url: str) -> None:
    with running(url, "--auth", "header:X-Forwarded-User", "--from-proxy", "127.0.0.2") as port:

        def proxy() -> http.client.HTTPConnection:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=("127.0.0.2", 0))

        def client() -> http.client.HTTPConnection:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

        assert asked(proxy())[0] == 401, "nobody is named"
        assert asked(proxy(), X_Forwarded_User="")[0] == 401
        status, headers, refused = asked(client(), X_Forwarded_User="alice")
        assert (status, "set-cookie" in headers, "flights" in refused) == (401, False, False), "it does not come from the proxy"
        assert asked(client(), X_Forwarded_User="alice", X_Forwarded_For="127.0.0.2", Forwarded="for=127.0.0.2")[0] == 401
        assert asked(client(), "/?token=" + "0" * 64)[0] == 401
        status, _, page = asked(proxy(), "/t/flights", X_Forwarded_User="alice")
        assert (status, "flights" in page) == (200, True)
        sent = {"csrf": csrf_of(page)}
        assert asked(proxy(), "/t/flights/choose", sent, X_Forwarded_User="bob")[0] == 403, "the form is alice's"
        assert asked(proxy(), "/t/flights/choose", sent, X_Forwarded_User="alice")[0] == 303
        assert asked(proxy(), "/t/flights/choose", sent, X_Forwarded_User="alice", Origin="https://evil.example")[0] == 403
        assert asked(proxy(), X_Forwarded_User="alice", Host="evil.example")[0] == 421


def test_names_and_passwords_are_asked_for_over_tls_alone(url: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", NAME)
    cert, key, users = (tmp_path / each for each in ("cert.pem", "key.pem", "users"))
    cert.write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    users.touch(mode=0o600)
    users.write_text("alice:correct horse\nzoë:pass:word\n")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with running(url, "--auth", f"basic:{users}", "--tls-cert", str(cert), "--tls-key", str(key)) as port:

        def tls() -> http.client.HTTPSConnection:
            return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trusting)

        def basic(pair: str) -> str:
            return f"Basic {base64.b64encode(pair.encode()).decode()}"

        status, headers, refused = asked(tls())
        assert (status, headers["WWW-Authenticate"], "flights" in refused) == (401, CHALLENGE, False)
        for wrong in ("alice:wrong", "alice:", "bob:correct horse", "alice", ":", "alice:correct horse\n"):
            assert asked(tls(), Authorization=basic(wrong))[0] == 401, wrong
        for right in ("alice:correct horse", "zoë:pass:word"):
            status, headers, page = asked(tls(), "/t/flights", Authorization=basic(right))
            assert (status, "flights" in page) == (200, True), right
            assert "set-cookie" not in headers
        assert asked(tls(), "/t/flights/choose", {"csrf": csrf_of(page)}, Authorization=basic("alice:correct horse"))[0] == 403
        assert asked(tls(), Authorization=basic("alice:correct horse"), Host="evil.example")[0] == 421
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            asked(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE), Authorization=basic("alice:correct horse"))
