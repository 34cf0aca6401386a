"""The HTTP half of `kit.proxy`: requests and answers as values, and a threaded server that asks a function what to do with each.

Only loopback, HTTP/1.1 with keep-alive; one thread and one connection to the real server per client connection.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Headers of one connection, which a proxy must not hand on.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade", "proxy-connection"})
# What a server says about the bytes of its body, wrong once the body is another.
_ABOUT_THE_BODY = frozenset({"content-length", "x-amz-crc32", "etag", "content-md5"})


@dataclass(frozen=True)
class Request:
    """One request, whole. `path` is as sent, with the query; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """`BatchWriteItem` for the JSON services; for S3 the method, with the subresource if there is one (`GET ?versions`)."""
        if target := self.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        parameters = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        subresource = next((name for name, value in parameters if not value and name != "prefix"), "")
        return f"{self.method} ?{subresource}" if subresource else self.method

    def json(self) -> Any:
        """The body of a JSON service's request."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """One answer. `cut_at`: send only that many bytes of the body, then break the connection."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None

    def json(self) -> Any:
        """The body of a JSON service's answer."""
        return json.loads(self.body)

    def with_body(self, body: bytes) -> Response:
        """The same answer with other bytes, without the headers that would give the change away (length, checksums)."""
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _ABOUT_THE_BODY}
        return replace(self, body=body, headers=kept)

    def with_json(self, value: object) -> Response:
        """The same answer with another JSON body."""
        return self.with_body(json.dumps(value).encode())


class Dropped(Exception):
    """Raised by an action: close the connection instead of answering."""


Forward = Callable[[Request], Response]
Action = Callable[[Request, Forward], Response]


class ReverseProxy(ThreadingHTTPServer):
    """For each request: `decide` what to do, do it, answer. `passing` is told of each request that goes to `target`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, decide: Callable[[Request], Action], passing: Callable[[Request], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.decide = decide
        self.passing = passing
        self._clients: dict[socket.socket, Any] = {}
        self._clients_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._clients_lock:
            self._clients[request] = client_address
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._clients_lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def clients(self) -> frozenset[Any]:
        """The addresses of the clients that are connected, or whose last request is still at work."""
        with self._clients_lock:
            return frozenset(self._clients.values())

    def close_clients(self) -> None:
        """Break what keep-alive holds open, so that a stopped proxy is gone for its clients too."""
        with self._clients_lock:
            clients = list(self._clients)
        for client in clients:
            _break(client)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client hung up: its right, and often the test's point
            super().handle_error(request, client_address)


def _break(connection: socket.socket) -> None:
    """End a connection at once; whoever reads from it wakes up."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends a reset
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # broken already, which is what was wanted


class _Handler(BaseHTTPRequestHandler):
    """One client connection, on a thread of its own, with one connection to the real server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: ReverseProxy
    _upstream: http.client.HTTPConnection | None = None

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # http.server looks for do_GET, do_PUT and so on: all methods are one to a proxy
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: tests read the counters."""

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()  # or the client waits a second before it sends the body
        return going_on

    def finish(self) -> None:
        super().finish()
        if self._upstream is not None:
            self._upstream.close()

    def _serve(self) -> None:
        request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, self._read_body())
        try:
            response = self.server.decide(request)(request, self._forward)
        except (Dropped, http.client.HTTPException, OSError):  # the last two: the real server is gone, so its clients see it gone
            self._hang_up()
            return
        self._send(response)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def _forward(self, request: Request) -> Response:
        self.server.passing(request)
        if self._upstream is None:
            target = urlsplit(self.server.target)
            self._upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=240)
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        # The Host header stays the client's: its signature covers it.
        self._upstream.request(request.method, request.path, request.body, {**headers, "content-length": str(len(request.body))})
        answered = self._upstream.getresponse()
        kept = {name: value for name, value in answered.getheaders() if name.lower() not in _HOP_BY_HOP}
        return Response(answered.status, answered.read(), kept)

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":  # a HEAD announces a body that does not come
                self.send_header(name, value)
        if self.command == "HEAD":
            self.end_headers()
            return
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body[: response.cut_at])
        self.wfile.flush()
        if response.cut_at is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        _break(self.connection)
