"""Who is let in, and what never gets out: each attack of the issue is refused, and nothing leaks."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from backstream.apps.web.access import guard, slow_clients
from backstream.apps.web.access.sessions import ByHeader, ByPassword
from backstream.apps.web.access.settings import WebSettings, check_listening, is_loopback
from backstream.errors import Refused, UsageError
from backstream.ports import Put
from kit import images
from kit.clock import ManualClock
from kit.served import Answer, Served, StageConfig, Visit, served
from kit.stage import Stage

SECRET = "4111-1111-1111-1111"  # noqa: S105 - what must not be seen
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202e"
PATHS = (
    "/",
    "/t/flights",
    "/t/flights/changes",
    "/t/flights/kinds",
    "/t/flights/state",
    "/t/flights/drills",
    "/t/flights/item?key={}",
)


def stage_with_secrets() -> Stage:
    """Items whose keys, names and values are markup; one attribute is secret, and it changes."""
    clock = ManualClock(1_790_000_000.0)
    stage = Stage(clock)
    for round_ in range(2):
        for zone in (EVIL, "../../etc/passwd", "%2e%2e%2f%00", "a"):
            fields = {EVIL: {"S": EVIL}, "payment": {"S": f"{SECRET} {round_}"}, "v": {"N": str(round_)}}
            stage.table.write([Put(images.image(zone, 1, **fields))])
        clock.move(5)
    stage.follow()
    clock.move(5)
    return stage


@pytest.fixture(scope="module")
def stage() -> Stage:
    return stage_with_secrets()


def config_of(stage: Stage) -> StageConfig:
    assert isinstance(stage.clock, ManualClock)
    return StageConfig(stage.store, stage.clock, {"flights": stage.table})


@pytest.fixture(scope="module")
def server(stage: Stage) -> Iterator[Served]:
    with served(config_of(stage)) as running:
        yield running


def key_path(zone: str) -> str:
    key = json.dumps({"zone": {"S": zone}, "number": {"N": "1"}})
    return f"/t/flights/item?{urlencode({'key': key})}"


def assert_tells_nothing(answer: Answer) -> None:
    """Neither tables nor items nor the vault's name are in it."""
    for each in (SECRET, "flights", "file:///", "zone"):
        assert each not in answer.body


# --- who is let in ---


@pytest.mark.parametrize("path", [*PATHS, "/?token=", f"/?token={'0' * 64}", "/?token=%ff"])
def test_without_the_token_nothing_is_shown(server: Served, path: str) -> None:
    answer = server.stranger().get(path)
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert_tells_nothing(answer)


@pytest.mark.parametrize("cookie", ["", "x", "x.y", f"x.{'0' * 64}", "\xff"])
def test_a_cookie_that_was_made_up_lets_nobody_in(server: Served, cookie: str) -> None:
    answer = Visit(server.port, cookie=f"backstream-{server.port}={cookie}").get("/t/flights")
    assert answer.status == 401
    assert_tells_nothing(answer)


def test_the_token_becomes_a_cookie_that_no_script_reads_and_no_other_site_sends(server: Served) -> None:
    opened = server.stranger().get(f"/?token={server.known.token}")
    assert opened.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert server.known.token not in opened.body
    assert server.known.token not in opened.headers["set-cookie"]


HOSTS = ("evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", "127.0.0.1:80@evil", "")


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_refused_so_that_no_name_can_be_bound_to_this_address(server: Served, host: str) -> None:
    visit = server.visit()
    visit.host = host or " "
    answer = visit.get("/")
    assert answer.status in (400, 421)
    assert_tells_nothing(answer)


def test_every_answer_carries_the_headers(server: Served) -> None:
    visit = server.visit()
    for answer in (visit.get("/"), visit.get("/nowhere"), server.stranger().get("/"), visit.get("/static/app.js")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


# --- forms of other sites ---


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"csrf": "0" * 64}, {}),
        ({"csrf": "right"}, {"Origin": "https://evil.example"}),
        ({"csrf": "right"}, {"Origin": "null"}),
        ({"csrf": "right"}, {"Origin": "null", "Sec-Fetch-Site": "same-site"}),
        ({"csrf": "right"}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": "right"}, {"Content-Type": "text/plain"}),
        ({"csrf": "right"}, {"Content-Type": "application/json"}),
    ],
)
def test_a_form_of_another_site_does_nothing(server: Served, fields: dict[str, str], headers: dict[str, str]) -> None:
    visit = server.visit()
    csrf = visit.get("/t/flights").csrf
    sent = {name: csrf if value == "right" else value for name, value in fields.items()}
    for path in ("/t/flights/choose", "/t/flights/item", "/t/flights/state"):
        answer = visit.post(path, {**sent, "key": "{}"}, **headers)
        assert answer.status == 403
        assert "location" not in answer.headers


def test_a_form_of_a_page_without_a_referrer_is_ours(server: Served) -> None:
    visit = server.visit()
    sent = visit.post(
        "/t/flights/choose", {"csrf": visit.get("/t/flights").csrf}, Origin="null", **{"Sec-Fetch-Site": "same-origin"}
    )
    assert sent.status == 303


def test_a_form_token_of_somebody_else_is_refused(server: Served) -> None:
    csrf = server.visit().get("/t/flights").csrf
    assert server.visit().post("/t/flights/choose", {"csrf": csrf}).status == 403


def test_a_form_cannot_be_sent_with_get(server: Served) -> None:
    visit = server.visit()
    assert visit.get(f"/t/flights/choose?{urlencode({'csrf': visit.get('/t/flights').csrf})}").status == 405


# --- markup and names ---


@pytest.mark.parametrize("path", [*PATHS[:-1], "/t/flights/changes?part=1", "/t/flights/kinds?part=1", key_path(EVIL)])
def test_markup_in_keys_names_and_values_is_text(server: Served, path: str) -> None:
    body = server.visit().get(path).body
    assert "<script>" not in body
    assert "<img" not in body
    assert "\u202e" not in body
    assert "onerror=alert(2)&gt;" in body or "alert" not in body
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", re.sub(r">[^<]*<|\"[^\"]*\"", "", body))


def test_markup_in_what_is_asked_is_text(server: Served) -> None:
    visit = server.visit()
    for path in (
        f"/t/flights?from={quote(EVIL)}",
        f"/t/{quote(EVIL, safe='')}",
        f"/t/flights/item?key={quote(EVIL)}",
        f"/t/flights/state?at={quote(EVIL)}",
        f"/t/flights?sel={quote(EVIL)}",
    ):
        answer = visit.get(path)
        assert answer.status in (400, 404), path
        assert "<script>alert" not in answer.body
        assert "\u202e" not in answer.body


@pytest.mark.parametrize(
    "name", ["..", "../..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "%ff", "a%2fb", "\\..\\", "flights%00", "%2F"]
)
@pytest.mark.parametrize("below", ["/t/{}", "/t/{}/item?key=%7B%7D", "/t/{}/state", "/static/{}"])
def test_names_that_climb_lead_nowhere(server: Served, name: str, below: str) -> None:
    answer = server.visit().get(below.format(name))
    assert answer.status in (400, 404)
    assert "root:" not in answer.body
    assert "Traceback" not in answer.body


@pytest.mark.parametrize("zone", ["../../etc/passwd", "%2e%2e%2f%00"])
def test_keys_that_look_like_paths_are_keys(server: Served, zone: str) -> None:
    answer = server.visit().get(key_path(zone))
    assert answer.status == 200
    assert "2 versions" in answer.words


# --- too much, too slow ---


def raw(port: int, sent: bytes) -> bytes:
    """What the server answers to these bytes, until it closes the connection."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=240)) as connection:
        connection.sendall(sent)
        parts = list[bytes]()
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_body_of_50_mb_is_refused_before_it_is_read(server: Served) -> None:
    visit = server.visit()
    head = f"POST /t/flights/choose HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {visit.cookie}\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    assert b" 413 " in raw(server.port, f"{head}{form}Content-Length: 52428800\r\n\r\n".encode()).splitlines()[0]


def test_a_body_without_a_length_is_read_no_further_than_a_form_goes(server: Served) -> None:
    visit = server.visit()
    head = (
        f"POST /t/flights/choose HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {visit.cookie}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    assert b" 413 " in raw(server.port, head.encode() + chunk * 3).splitlines()[0]


def test_a_client_that_sends_no_request_is_put_off(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as impatient:
        impatient.setattr(slow_clients, "HEAD_SECONDS", 0.2)
        connecting = socket.create_connection(("127.0.0.1", server.port), timeout=240)
        with closing(connecting) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x")
            assert connection.recv(1) == b""
    assert server.visit().get("/").status == 200


def test_a_client_that_sends_no_body_is_put_off(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    visit = server.visit()
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    head = f"POST /t/flights/choose HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {visit.cookie}\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ncsrf="
    assert b" 408 " in raw(server.port, f"{head}{form}".encode()).splitlines()[0]


# --- what is hidden ---


@pytest.mark.parametrize("settings", [WebSettings(hidden=frozenset({"payment"})), WebSettings(masked=frozenset({"payment"}))])
def test_hidden_and_masked_attributes_never_leave_the_server(stage: Stage, settings: WebSettings) -> None:
    with served(config_of(stage), settings) as server:
        visit = server.visit()
        item = key_path("a")
        paths = [*PATHS[:-1], "/t/flights/changes?part=1", item, f"{item}&json=dynamodb"]
        pages = [visit.get(path) for path in paths]
        csrf = visit.get("/t/flights").csrf
        for where in (f'payment = "{SECRET} 1"', "payment exists", 'payment begins_with "4"', "payment.a missing"):
            refused = visit.post("/t/flights/choose", {"csrf": csrf, "where": where})
            assert refused.status == 400
            assert "hidden or masked" in refused.words
        for page in pages:
            assert page.status == 200
            assert SECRET not in page.body
            if settings.hidden:
                assert "payment" not in page.body
        if settings.masked:
            assert "(masked)" in pages[-1].words
            assert "± changed (masked)" in pages[-2].words


def test_a_key_cannot_be_hidden(stage: Stage) -> None:
    with served(config_of(stage), WebSettings(hidden=frozenset({"zone"}))) as server:
        for path in PATHS[1:]:
            if path != "/t/flights/drills":
                answer = server.visit().get(path)
                assert answer.status == 403, path
                assert "etc/passwd" not in answer.body


def test_a_private_vault_has_no_key_in_any_address(stage: Stage) -> None:
    with served(config_of(stage), WebSettings(private=True)) as server:
        visit = server.visit()
        for path in ("/t/flights/changes", "/t/flights/kinds", "/t/flights/state"):
            addresses = re.findall(r'(?:href|action|data-load)="([^"]*)"', visit.get(path).body)
            assert any("/item?k=" in each for each in addresses)
            assert not any("passwd" in each or "zone" in each for each in addresses)
        found = visit.post("/t/flights/item", {"csrf": visit.get("/t/flights").csrf, "key": '{"zone":"a","number":1}'})
        assert re.fullmatch(r"/t/flights/item\?k=[0-9a-f]{32}", found.headers["location"])
        assert "2 versions" in visit.follow(found).words
        assert visit.get(key_path("a")).status == 404
        assert visit.get(f"/t/flights/item?k={'0' * 32}").status == 400


def test_nothing_of_items_is_in_titles_or_logs(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    with served(config_of(stage)) as server:
        visit = server.visit()
        for path in (*PATHS[:-1], key_path("a"), "/t/flights/item?key=nonsense"):
            title = re.search(r"<title>(.*?)</title>", visit.get(path).body, re.DOTALL)
            assert title is not None
            assert "zone" not in title[1]
            assert SECRET not in title[1]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_defect_says_where_and_never_what(
    stage: Stage, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(config_of(stage)) as server:
        visit = server.visit()

        def broken(*_: object) -> None:
            raise RuntimeError(SECRET)

        monkeypatch.setattr(server.application.site.privacy, "item_url", broken)
        answer = visit.get(key_path("a"))
        assert answer.status == 500
        assert SECRET not in answer.body
    _, err = capfd.readouterr()
    assert err.startswith("error: RuntimeError at ")
    assert SECRET not in err
    assert len(err.splitlines()) == 1


# --- who else may listen ---


ADDRESSES = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1", "example")  # noqa: S104 - only looked at


def test_other_addresses_need_somebody_who_says_who_asks() -> None:
    assert [each for each in ADDRESSES if is_loopback(each)] == [
        "127.0.0.1",
        "localhost",
        "::1",
    ]
    with pytest.raises(Refused, match="needs --auth"):
        check_listening("0.0.0.0", WebSettings(), tls=True)  # noqa: S104 - refused
    with pytest.raises(Refused, match="in the clear"):
        check_listening("127.0.0.1", WebSettings(auth="basic:users"), tls=False)
    check_listening("0.0.0.0", WebSettings(auth="header:X-User"), tls=False)  # noqa: S104 - only checked


def test_a_header_is_believed_of_its_proxy_alone() -> None:
    keeper = ByHeader("X-Forwarded-User", ["10.0.0.0/24"])
    known = keeper.visitor({"x-forwarded-user": "alice"}, {}, "10.0.0.7")
    assert known is not None
    assert known.name == "alice"
    assert keeper.visitor({"x-forwarded-user": "alice"}, {}, "10.0.1.7") is None
    assert keeper.visitor({}, {}, "10.0.0.7") is None
    with pytest.raises(UsageError, match="believed"):
        ByHeader("X-Forwarded-User", [])


def test_names_and_passwords_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:correct horse\n")
    users.chmod(0o644)
    with pytest.raises(Refused, match="others may read"):
        ByPassword(users)
    users.chmod(0o600)
    keeper = ByPassword(users)
    assert keeper.visitor({"authorization": "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ=="}, {}, "") is not None
    for wrong in (
        "",
        "Basic",
        "Basic !",
        "Bearer YWxpY2U6Y29ycmVjdCBob3JzZQ==",
        "Basic YWxpY2U6eA==",
        "Basic Ym9iOmNvcnJlY3QgaG9yc2U=",
    ):
        assert keeper.visitor({"authorization": wrong}, {}, "") is None


def test_a_reader_who_leaves_ends_the_work(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(config_of(stage)) as server:
        visit, store = server.visit(), server.application.site.config.store
        begun, ended = list[float](), list[float]()
        listed = type(store).versions

        def slowly(*words: object, **more: object) -> Iterator[object]:
            begun.append(time.monotonic())
            try:
                while True:
                    time.sleep(0.01)
                    yield from listed(*words, **more)  # type: ignore[arg-type]
            finally:
                ended.append(time.monotonic())

        monkeypatch.setattr(store, "versions", lambda *words, **more: slowly(store, *words, **more))
        with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
            head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {visit.cookie}\r\n\r\n"
            connection.sendall(head.encode())
            while not begun:
                time.sleep(0.01)
        deadline = time.monotonic() + 240
        while not ended:
            assert time.monotonic() < deadline
            time.sleep(0.01)
