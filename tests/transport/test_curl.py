"""Requests over libcurl arrive as they were meant, and every answer, or its absence, comes back with its request."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstream.clock import SystemClock
from backstream.transport.curl import Curl, Wire
from backstream.transport.messages import Credentials, Endpoint, HttpRequest, NoAnswer, Reply, object_path
from kit.http_server import Says, Seen, Server

WIRE = Wire(trusted=None)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def curl_to(url: str, wire: Wire = WIRE) -> Curl:
    return Curl(Endpoint(url, "us-east-1", "s3"), wire, lambda: Credentials("AKID", "secret"), SystemClock())


def test_one_handle_sends_every_kind_of_request_and_none_leaks_into_the_next(server: Server) -> None:
    server.script = lambda seen: Says(200, seen.body or b"body of a GET")
    curl = curl_to(server.url)
    bodies = [b"one", b"", bytes(range(256)) * 4_096, b"\0"]
    for body in bodies:
        assert curl.send(HttpRequest("PUT", "/k", "", {"x-amz-meta-a": "b"}, body)).status == 200
        assert curl.send(HttpRequest("HEAD", "/k")).body == b""
        assert curl.send(HttpRequest("GET", "/k", "versionId=1")).body == b"body of a GET"
        assert curl.send(HttpRequest("DELETE", "/k")).status == 200
        assert curl.send(HttpRequest("POST", "/", "", {"content-type": "application/x-amz-json-1.0"}, body)).status == 200
    assert [each.method for each in server.seen] == ["PUT", "HEAD", "GET", "DELETE", "POST"] * len(bodies)
    assert [each.body for each in server.seen] == [part for body in bodies for part in (body, b"", b"", b"", body)]
    for each in server.seen:
        assert ("content-length" in each.headers) == (each.method in ("PUT", "POST"))
        assert each.headers.get("content-type") == ("application/x-amz-json-1.0" if each.method == "POST" else None)
        assert each.headers.get("x-amz-meta-a") == ("b" if each.method == "PUT" else None)
        assert not {"expect", "accept-encoding", "transfer-encoding"} & each.headers.keys()
    assert len({each.connection for each in server.seen}) == 1  # kept alive


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
def test_a_redirect_is_not_followed(server: Server, method: str, status: int) -> None:
    """Whoever answers for a server must not send our requests, with items in them, elsewhere."""
    with Server(lambda _: Says(200, b"taken")) as elsewhere:
        server.script = lambda _: Says(status, b"", {"Location": f"{elsewhere.url}/k"})
        curl = curl_to(server.url)
        assert curl.send(HttpRequest(method, "/k", "", {}, b"an item")).status == status
        found = list(curl.exchange([(0, HttpRequest("GET", "/k"))], 1))
        assert [each.status for _, each in found if isinstance(each, Reply)] == [status]
        assert (len(server.seen), elsewhere.seen) == (2, [])


@pytest.mark.parametrize("method", ["PUT", "POST", "GET", "HEAD", "DELETE"])
def test_nothing_of_a_request_is_left_for_the_next_of_its_kind(server: Server, method: str) -> None:
    server.script = lambda seen: Says(200, seen.path.encode() * 1_000, {"x-amz-version-id": seen.path} if seen.path == "/1" else {})
    curl = curl_to(server.url)
    bodies = [b"a" * 100_000, b"", b"b"] if method in ("PUT", "POST") else [b""] * 3
    replies = [curl.send(HttpRequest(method, f"/{number}", "", {}, body)) for number, body in enumerate(bodies)]
    assert [(each.method, each.body) for each in server.seen] == [(method, body) for body in bodies]
    assert [reply.body for reply in replies] == [b"" if method == "HEAD" else b"/%d" % number * 1_000 for number in range(3)]
    assert [reply.headers.get("x-amz-version-id") for reply in replies] == [None, "/1", None]


@pytest.mark.parametrize("name", ["a/../b", "//x", "./.", "é 🛫+%2F", "~a", "a/"])
def test_an_objects_name_is_not_tidied_up(server: Server, name: str) -> None:
    curl_to(server.url + "/bucket").send(HttpRequest("GET", object_path(name)))
    assert server.seen[0].path == "/bucket" + object_path(name)


def test_an_empty_header_is_sent(server: Server) -> None:
    curl_to(server.url).send(HttpRequest("PUT", "/k", "", {"x-amz-meta-empty": ""}))
    assert server.seen[0].headers["x-amz-meta-empty"] == ""


def test_headers_come_back_in_lower_case(server: Server) -> None:
    server.script = lambda _: Says(404, b"gone", {"X-Amz-Delete-Marker": "true", "X-Odd": " a: b "})
    reply = curl_to(server.url).send(HttpRequest("GET", "/k"))
    assert (reply.status, reply.body, reply.fine) == (404, b"gone", False)
    assert (reply.headers["x-amz-delete-marker"], reply.headers["x-odd"]) == ("true", "a: b")


def test_threads_do_not_mix_their_answers(server: Server) -> None:
    server.script = lambda seen: Says(200, seen.path.encode())
    curl = curl_to(server.url)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: curl.send(HttpRequest("GET", f"/{n}")), range(400)))
    assert [reply.body for reply in replies] == [b"/%d" % n for n in range(400)]
    assert len({each.connection for each in server.seen}) <= 8


# --- no answer -------------------------------------------------------------------------------------------------------------------


def test_a_broken_connection_is_no_answer(server: Server) -> None:
    server.script = lambda _: None
    curl = curl_to(server.url)
    with pytest.raises(NoAnswer) as raised:
        curl.send(HttpRequest("PUT", "/k", "", {}, b"1"))
    assert not raised.value.permanent
    server.script = lambda _: Says(200, b"fine")
    assert curl.send(HttpRequest("GET", "/k")).body == b"fine"


def test_a_body_that_breaks_off_is_no_answer(server: Server) -> None:
    server.script = lambda _: Says(200, b"half", claims=100)
    with pytest.raises(NoAnswer) as raised:
        curl_to(server.url).send(HttpRequest("GET", "/k"))
    assert raised.value.broken


def test_a_server_that_says_nothing(server: Server) -> None:
    given_up = threading.Event()

    def slow(_: Seen) -> Says:
        given_up.wait(240)
        return Says()

    server.script = slow
    with pytest.raises(NoAnswer):
        curl_to(server.url, Wire(trusted=None, answer_within=0.2)).send(HttpRequest("GET", "/k"))
    given_up.set()


def test_nobody_listens() -> None:
    with Server() as gone:
        url = gone.url
    with pytest.raises(NoAnswer) as raised:
        curl_to(url).send(HttpRequest("GET", "/k"))
    assert raised.value.message


# --- many in flight --------------------------------------------------------------------------------------------------------------


def test_answers_come_as_they_do_with_their_tags_and_no_more_are_under_way_than_said(server: Server) -> None:
    lock, under_way, most, answered = threading.Lock(), 0, 0, itertools.count(1)
    others = threading.Event()

    def answer(seen: Seen) -> Says:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if seen.path == "/0":
            others.wait(240)
        elif next(answered) == 50:
            others.set()
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return Says(200, seen.path.encode())

    server.script = answer
    came = list(curl_to(server.url).exchange(((n, HttpRequest("GET", f"/{n}")) for n in range(60)), 4))
    assert sorted(n for n, _ in came) == list(range(60))
    assert all(isinstance(reply, Reply) and reply.body == b"/%d" % n for n, reply in came)
    assert [n for n, _ in came].index(0) > 40  # the slow one did not hold up the others
    assert 2 <= most <= 4


def test_failures_come_with_their_tags_and_do_not_end_the_others(server: Server) -> None:
    server.script = lambda seen: None if seen.path.endswith("3") else Says(200, b"fine")
    came = dict(curl_to(server.url).exchange(((n, HttpRequest("GET", f"/{n}")) for n in range(30)), 8))
    assert {n for n, outcome in came.items() if isinstance(outcome, NoAnswer)} == {3, 13, 23}
    assert len(came) == 30


def test_requests_are_taken_when_there_is_room_and_leaving_early_ends_it(server: Server) -> None:
    taken: list[int] = []

    def source() -> Iterator[tuple[int, HttpRequest]]:
        for n in range(1_000):
            taken.append(n)
            yield n, HttpRequest("GET", f"/{n}")

    answers = curl_to(server.url).exchange(source(), 4)
    assert not taken
    for _ in range(10):
        next(answers)
    answers.close()
    assert 10 <= len(taken) <= 30
    assert list(curl_to(server.url).exchange([], 4)) == []
