"""Requests over libcurl: one at a time from many threads, or many at a time from one.

libcurl provides keep-alive, proxies and certificates. This module adds the signature, and the judgment of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import msgspec
import pycurl

from backstream.ports import Clock
from backstream.transport.messages import Credentials, Endpoint, HttpRequest, NoAnswer, Reply
from backstream.transport.signing import Signer

Tag = TypeVar("Tag")

IDLE_HANDLES = 64  # each keeps a connection alive
POLL_SECONDS = 1.0
_WITH_BODY = ("PUT", "POST")
_BLANKS = " \t\r"

# https://curl.se/libcurl/c/libcurl-errors.html
_BROKEN = {pycurl.E_PARTIAL_FILE, pycurl.E_RECV_ERROR, pycurl.E_BAD_CONTENT_ENCODING}
_PERMANENT = {
    pycurl.E_UNSUPPORTED_PROTOCOL,
    pycurl.E_URL_MALFORMAT,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CACERT_BADFILE,
}


class Wire(msgspec.Struct, frozen=True):
    """The way to reach an endpoint. Times are in seconds.

    `silence`: the longest time without data; `answer_within`: the longest time of a whole request, None: no limit while data comes;
    `proxy`: None for none; `trusted`: a file of certificates, None to check none.
    """

    trusted: str | None
    proxy: str | None = None
    connect_within: float = 5.0
    silence: float = 30.0
    answer_within: float | None = None


class Curl:
    """Sends signed requests to one endpoint, each once; see `retrying.RetryingSender`. Safe to call from many threads.

    `credentials` is called for each request, and so is the clock, which `set_right` corrects.
    """

    def __init__(self, endpoint: Endpoint, wire: Wire, credentials: Callable[[], Credentials], clock: Clock) -> None:
        self._wire = wire
        self._credentials = credentials
        self._clock = clock
        self._clock_error = 0.0
        self._idle: list[_Handle] = []
        self.move(endpoint)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that requests go to."""
        return self._endpoint

    def move(self, endpoint: Endpoint) -> None:
        """Sends to another endpoint from now on."""
        self._endpoint = endpoint
        self._signer = Signer(endpoint)

    def set_right(self, server_time: float) -> None:
        """Signs by the service's time (epoch seconds) from now on, because this machine's clock is wrong."""
        self._clock_error = server_time - self._clock.now()

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""
        handle = self._prepared(request)
        try:
            handle.easy.perform()
        except pycurl.error as error:
            raise _no_answer(int(error.args[0]), handle.easy.errstr()) from error
        reply = handle.reply()
        self._keep(handle)
        return reply

    def exchange(
        self, requests: Iterable[tuple[Tag, HttpRequest]], in_flight: int
    ) -> Generator[tuple[Tag, Reply | NoAnswer], None, None]:
        """Yields the answers, or why there is none, as they come, each with its request's tag; at most `in_flight` requests at a
        time.

        Requests are taken as there is room for them. It waits for answers only when the next one is asked for.
        """
        flight: _Flight[Tag] = _Flight(self, in_flight)
        try:
            yield from flight.run(iter(requests))
        finally:
            flight.close()

    def _prepared(self, request: HttpRequest) -> _Handle:
        try:
            handle = self._idle.pop()
        except IndexError:
            handle = _Handle(self._wire)
        headers = self._signer.headers(request, self._credentials(), self._clock.now() + self._clock_error)
        handle.take(self._endpoint.base, request, headers)
        return handle

    def _keep(self, handle: _Handle) -> None:
        """Keeps the handle for the next request. A handle whose request failed is closed, because its connection is not trusted."""
        if len(self._idle) < IDLE_HANDLES:
            self._idle.append(handle)


class _Flight(Generic[Tag]):
    """One `exchange`."""

    def __init__(self, curl: Curl, in_flight: int) -> None:
        self._curl = curl
        self._room = in_flight
        self._multi = pycurl.CurlMulti()
        self._under_way: dict[pycurl.Curl, tuple[Tag, _Handle]] = {}

    def run(self, requests: Iterator[tuple[Tag, HttpRequest]]) -> Iterator[tuple[Tag, Reply | NoAnswer]]:
        self._begin(requests)
        while self._under_way:
            self._multi.perform()
            ended = list(self._ended())
            self._begin(requests)  # before the answers are looked at: the wire is not to wait for whoever reads them
            yield from ended
            if not ended:
                self._multi.select(POLL_SECONDS)

    def _begin(self, requests: Iterator[tuple[Tag, HttpRequest]]) -> None:
        for tag, request in islice(requests, self._room - len(self._under_way)):
            handle = self._curl._prepared(request)  # noqa: SLF001 - one class in two parts
            self._under_way[handle.easy] = tag, handle
            self._multi.add_handle(handle.easy)

    def _ended(self) -> Iterator[tuple[Tag, Reply | NoAnswer]]:
        left = 1
        while left:
            left, fine, failed = self._multi.info_read()
            for easy in fine:
                tag, handle = self._end(easy)
                yield tag, handle.reply()
                self._curl._keep(handle)  # noqa: SLF001
            for easy, code, message in failed:
                yield self._end(easy)[0], _no_answer(code, message)

    def _end(self, easy: pycurl.Curl) -> tuple[Tag, _Handle]:
        self._multi.remove_handle(easy)
        return self._under_way.pop(easy)

    def close(self) -> None:
        """Stops the requests that are under way."""
        for easy in self._under_way:
            self._multi.remove_handle(easy)
            easy.close()
        self._under_way.clear()
        self._multi.close()


class _Handle:
    """A libcurl handle, used for one request after another."""

    def __init__(self, wire: Wire) -> None:
        self.easy = easy = pycurl.Curl()
        self._method = ""
        self._most = 0
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        easy.setopt(pycurl.HEADERFUNCTION, self._head.append)
        easy.setopt(pycurl.WRITEFUNCTION, self._body.append)
        easy.setopt(pycurl.NOSIGNAL, 1)  # threads
        easy.setopt(pycurl.PATH_AS_IS, 1)  # an object's name may hold `..`
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        easy.setopt(pycurl.TCP_KEEPALIVE, 1)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(wire.connect_within * 1000))
        easy.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        easy.setopt(pycurl.LOW_SPEED_TIME, max(1, round(wire.silence)))
        easy.setopt(pycurl.TIMEOUT_MS, 0 if wire.answer_within is None else max(1, int(wire.answer_within * 1000)))
        easy.setopt(pycurl.PROXY, wire.proxy or "")  # an empty one: libcurl's own look at the environment is not to overrule us
        if wire.trusted is None:
            easy.setopt(pycurl.SSL_VERIFYPEER, 0)
            easy.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            easy.setopt(pycurl.CAINFO, wire.trusted)

    def take(self, base: str, request: HttpRequest, headers: dict[str, str]) -> None:
        """Prepares a request.

        Options that are unchanged since the last request are not set again: each costs as much as a digest.
        """
        easy = self.easy
        self._head.clear()
        self._body.clear()
        easy.setopt(pycurl.URL, f"{base}{request.path}?{request.query}" if request.query else base + request.path)
        lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items()]
        easy.setopt(pycurl.HTTPHEADER, [*lines, "Expect:", "Accept:", *([] if "content-type" in headers else ["Content-Type:"])])
        if request.method != self._method:
            self._set_method(request.method)
        if request.most != self._most:
            self._most = request.most
            easy.setopt(pycurl.MAXFILESIZE_LARGE, request.most)
        if request.method in _WITH_BODY:
            easy.setopt(pycurl.POSTFIELDS, request.body)

    def _set_method(self, method: str) -> None:
        easy = self.easy
        if method in _WITH_BODY:
            easy.setopt(pycurl.POST, 1)
        elif method == "HEAD":
            easy.setopt(pycurl.NOBODY, 1)
        else:
            easy.setopt(pycurl.HTTPGET, 1)  # which takes back the other two
        if method == "HEAD":
            easy.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            easy.setopt(pycurl.CUSTOMREQUEST, method)
        self._method = method

    def reply(self) -> Reply:
        """Returns what was received."""
        status = self.easy.getinfo(pycurl.RESPONSE_CODE)
        body = b"".join(self._body)
        self._body.clear()  # not twice in memory until the next request
        return Reply(status, _headers(self._head), body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Returns the headers in an answer's header lines; interim answers (100 Continue, a proxy's 200 to CONNECT) precede it."""
    found: dict[str, str] = {}
    for line in b"".join(lines).decode("latin-1").split("\n"):  # in one piece: what is done line by line costs many times as much
        name, colon, value = line.partition(":")
        if colon:
            found[name.lower()] = value.strip(_BLANKS)
        elif line.startswith("HTTP/"):
            found.clear()
    return found


def _no_answer(code: int, message: str) -> NoAnswer:
    beyond = code == pycurl.E_FILESIZE_EXCEEDED
    permanent = beyond or code in _PERMANENT
    return NoAnswer(message or f"libcurl's error {code}", broken=code in _BROKEN, permanent=permanent, beyond=beyond)
