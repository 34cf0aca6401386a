"""A server that answers at once, whatever it is asked: just enough HTTP, S3 and DynamoDB for clients to be measured by.

It keeps nothing and checks no signature, but it counts requests. `Stub` runs it as a child process; run as a module, this file is
that child, which ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from benchmarks import canned

COUNTS = "/-/counts"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
_CREATES = re.compile(rb"\r\nif-none-match: *\*", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)


class Stub:
    """A context manager: the server, for as long as the block lasts. `delay`: seconds that each of its answers takes."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Self:
        command = [sys.executable, "-P", "-m", "benchmarks.stub", str(self._delay)]
        path = os.pathsep.join(each for each in sys.path if each)
        environment = {**os.environ, "PYTHONPATH": path}
        self._child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._child.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._child.stdout.readline())}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()

    @property
    def process(self) -> int:
        """The child's process id."""
        return self._child.pid

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server instead of AWS."""
        return {**canned.KEYS, "AWS_ENDPOINT_URL": self.url}

    def counts(self) -> Counter[str]:
        """How many requests of each kind (`PutObject`, `Scan`, ...) have come since the last time this was asked."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + COUNTS, timeout=10) as answer:
            return Counter(json.loads(answer.read()))


# --- the server itself ------------------------------------------------------------------------------------------------------------


class Answers:
    """What is said to each kind of request."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._listings = canned.listings()
        self._created = b""
        self._fixed = {
            "PutObject": _s3(b""),
            "GetObject": _s3(canned.body()),
            "HeadBucket": _s3(b""),
            "HeadObject": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",  # every item is new
            "DeleteObject": _answer(b"", "204 No Content", f"x-amz-version-id: {canned.VERSION}", "x-amz-delete-marker: true"),
            "GetBucketVersioning": _s3(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
            "ListObjectsV2": _s3(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
            "BatchWriteItem": _dynamodb(b'{"UnprocessedItems":{}}'),
            "Scan": _dynamodb(canned.scan_page()),
            "DescribeTable": _dynamodb(canned.described()),
        }

    def of(self, head: bytes) -> bytes:
        """The answer to a request by its head. A row that is created twice, one after the other, is refused, as S3 does."""
        kind = kind_of(head)
        if kind == "PutObject" and _CREATES.search(head):
            path = head.split(b" ", 2)[1]
            before, self._created = self._created, path
            if path == before and b"/_backstream/" not in path:
                self.counts[kind] += 1
                return b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n"
        return self.to(kind)

    def to(self, kind: str) -> bytes:
        """The answer, and the request is counted."""
        if kind == COUNTS:
            told, self.counts = json.dumps(self.counts).encode(), Counter()
            return _answer(told, "200 OK")
        self.counts[kind] += 1
        if kind == "ListObjectVersions":
            return _s3(next(self._listings), "application/xml")
        return self._fixed.get(kind) or _dynamodb(b"{}")


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another, or several at once."""

    def __init__(self, answers: Answers, delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._came = b""
        self._continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came = came = self._came + data if self._came else data
        while (end := came.find(b"\r\n\r\n") + 4) > 3:
            head = came[: end - 2]
            length = _LENGTH.search(head)
            whole = end + (int(length[1]) if length else 0)
            if len(came) < whole:
                self._encourage(head)
                break
            answer = self._answers.of(head)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)
            else:
                self._transport.write(answer)
            self._came, self._continued = came[whole:], False
            came = self._came

    def _encourage(self, head: bytes) -> None:
        if not self._continued and _EXPECTS.search(head):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._continued = True


def kind_of(head: bytes) -> str:
    """Which operation a request's head asks for."""
    method, _, rest = head.partition(b" ")
    path, _, query = rest[: rest.index(b" ")].partition(b"?")
    if method == b"POST":
        target = _TARGET.search(head)
        return target[1].decode() if target else "Post"
    if path == COUNTS.encode():
        return COUNTS
    if path.strip(b"/").count(b"/") == 0:  # the bucket itself
        return _of_bucket(method, query)
    return f"{method.decode().capitalize()}Object"


def _of_bucket(method: bytes, query: bytes) -> str:
    if method != b"GET":
        return f"{method.decode().capitalize()}Bucket"
    words = {word.partition(b"=")[0] for word in query.split(b"&")}
    if b"versioning" in words:
        return "GetBucketVersioning"
    return "ListObjectVersions" if b"versions" in words else "ListObjectsV2"


def _answer(body: bytes, status: str, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Date: {canned.DATE}", *headers, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


def _s3(body: bytes, kind: str = "binary/octet-stream") -> bytes:
    return _answer(
        body,
        "200 OK",
        "x-amz-id-2: 8rD3q+wzJ5vF0nP1cK7yXo2eTbLhU4gSmA6iQdRjWkZlYxNpBvCtHfEoGuIsMa9d",
        "x-amz-request-id: 4B5C6D7E8F9A0B1C",
        f"Last-Modified: {canned.DATE}",
        'ETag: "5d41402abc4b2a76b9719d911017c592"',
        "x-amz-server-side-encryption: AES256",
        f"x-amz-version-id: {canned.VERSION}",
        "Accept-Ranges: bytes",
        f"Content-Type: {kind}",
        "Server: AmazonS3",
    )


def _dynamodb(body: bytes) -> bytes:
    return _answer(
        body,
        "200 OK",
        "Server: Server",
        "Content-Type: application/x-amz-json-1.0",
        "Connection: keep-alive",
        "x-amzn-RequestId: 8F3QG2V1T0B4M5N6P7Q8R9S0T1U2V3W4X5Y6Z7A8B9C0D1E2F3G4",
        f"x-amz-crc32: {canned.crc32(body)}",
    )


async def serve(ready: Callable[[int], None], delay: float) -> None:
    """Answer, so many seconds after each request, on a loopback port of one's own until standard input ends."""
    loop, answers = asyncio.get_running_loop(), Answers()
    server = await loop.create_server(lambda: Connection(answers, delay), "127.0.0.1", 0, backlog=256)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nobody writes to it: what there is to read is its end
    ready(server.sockets[0].getsockname()[1])
    await ended.wait()


def _say(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(_say, float(sys.argv[1])))
