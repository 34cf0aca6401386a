"""A reverse proxy with scripted faults, to stand between a client and real servers.

    with FaultProxy(aws.url) as proxy:
        client = aws.client("dynamodb", url=proxy.url)
        proxy.on(answer(503, "slow down"), method="PUT", path=r"^/bucket/", when=first(2))
        proxy.on(lose_answer, operation="BatchWriteItem", when=nth(3))
        reads = proxy.on(pass_on, operation="GetItem")      # a rule that changes nothing counts: reads.matched
        proxy.on(respond(halve_unprocessed), operation="BatchWriteItem", when=every(3))

A *rule* is a matcher (`method`, `path`, `operation`, `headers`, `body`: all given must hold), a schedule (`when`) and an action.
For each request the rules are asked in the order they were made; the first that matches *and* whose turn it is acts, and without
one the request passes. Every rule that was asked counts its own matches: `nth(2)` is the second request that came to this rule.

An *action* is a function `(request, forward) -> Response`: `forward(request)` asks the real server, and raising `Dropped` closes
the connection without an answer. The ready ones: `pass_on`, `answer`, `drop`, `lose_answer`, `cut`, `delay`, `Hold`, `respond`,
`rewrite`.

Rules may be made, removed and counted from any thread while requests run. Only loopback, HTTP/1.1 with keep-alive.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from kit.reverse_proxy import Action, Dropped, Forward, Request, Response, ReverseProxy

__all__ = [
    "Action",
    "Dropped",
    "FaultProxy",
    "Forward",
    "Hold",
    "Request",
    "Response",
    "Rule",
    "Schedule",
    "after",
    "always",
    "answer",
    "cut",
    "delay",
    "drop",
    "every",
    "first",
    "lose_answer",
    "nth",
    "pass_on",
    "respond",
    "rewrite",
    "sometimes",
]

Schedule = Callable[[int], bool]

# --- actions ---------------------------------------------------------------------------------------------------------------------


def pass_on(request: Request, forward: Forward) -> Response:
    """Ask the server and hand on its answer."""
    return forward(request)


def drop(request: Request, _forward: Forward) -> Response:
    """Break the connection; the server never hears of the request."""
    raise Dropped(request.path)


def lose_answer(request: Request, forward: Forward) -> Response:
    """The server does it, but the client's connection breaks instead of bringing the answer."""
    forward(request)
    raise Dropped(request.path)


def answer(status: int, body: str | bytes = b"", headers: Mapping[str, str] | None = None) -> Action:
    """Answer this; the server never hears of the request."""
    response = Response(status, body.encode() if isinstance(body, str) else body, headers or {})
    return lambda _request, _forward: response


def cut(after: int) -> Action:
    """Announce the whole body, but break the connection after `after` bytes of it."""
    return lambda request, forward: replace(forward(request), cut_at=after)


def delay(seconds: float, then: Action = pass_on) -> Action:
    """Wait, then do `then`."""

    def act(request: Request, forward: Forward) -> Response:
        time.sleep(seconds)
        return then(request, forward)

    return act


class Hold:
    """Keep a request waiting until the test lets it go, for `most` seconds at most; then do `then`.

    What has to happen in the middle of a command happens there on a busy machine, too: `with hold.caught(): ...`.
    """

    def __init__(self, then: Action = pass_on, *, most: float = 240.0) -> None:
        self._then = then
        self._most = most
        self._caught = threading.Event()
        self._let_go = threading.Event()

    def __call__(self, request: Request, forward: Forward) -> Response:
        self._caught.set()
        self._let_go.wait(self._most)
        return self._then(request, forward)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Wait until a request is held; it is let go after the block, and so are all that come later."""
        assert self._caught.wait(self._most), "nobody asked"
        try:
            yield
        finally:
            self._let_go.set()


def respond(to: Callable[[Request], Response | None]) -> Action:
    """Answer what the function gives; where it gives None, ask the server."""
    return lambda request, forward: to(request) or forward(request)


def rewrite(change: Callable[[Request, Response], Response]) -> Action:
    """Ask the server, and hand on what the function makes of its answer."""
    return lambda request, forward: change(request, forward(request))


# --- schedules: whether it is the turn of a rule's n-th match (from 1) -----------------------------------------------------------


def always(_count: int) -> bool:
    """Every time."""
    return True


def first(times: int) -> Schedule:
    """The first so many times."""
    return lambda count: count <= times


def after(turns: int) -> Schedule:
    """From then on: `after(2)` passes two requests."""
    return lambda count: count > turns


def nth(*turns: int) -> Schedule:
    """Only these times: `nth(1, 3)`."""
    return lambda count: count in turns


def every(step: int) -> Schedule:
    """Each third time: `every(3)`."""
    return lambda count: count % step == 0


def sometimes(probability: float, *, seed: int) -> Schedule:
    """At random, the same for the same seed."""
    source = random.Random(seed)
    return lambda _count: source.random() < probability


# --- rules -----------------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Rule:
    """What `FaultProxy.on` made. `matched`: requests that came to it; `fired`: those on which its action ran."""

    action: Action
    method: str | None = None
    path: re.Pattern[str] | None = None
    operation: str | None = None
    headers: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    body: re.Pattern[bytes] | None = None
    when: Schedule = always
    matched: int = 0
    fired: int = 0

    def takes(self, request: Request) -> bool:
        """Count the request if it matches; True if it is this rule's turn to act."""
        if not self._matches(request):
            return False
        self.matched += 1
        if not self.when(self.matched):
            return False
        self.fired += 1
        return True

    def _matches(self, request: Request) -> bool:
        return (
            (self.method is None or self.method == request.method)
            and (self.operation is None or self.operation == request.operation)
            and (self.path is None or self.path.search(request.path) is not None)
            and (self.body is None or self.body.search(request.body) is not None)
            and all(pattern.search(request.headers.get(name, "")) for name, pattern in self.headers.items())
        )


class FaultProxy:
    """See the module's docstring. `url` is where it listens; `passed` counts, by operation, what the real server was asked."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.passed: Counter[str] = Counter()
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._server = ReverseProxy(target, self._action_for, self._count_passed)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.close_clients()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def clients(self) -> frozenset[tuple[str, int]]:
        """The addresses of the clients that are connected, or whose last request is still at work."""
        return self._server.clients()

    def on(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        operation: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        when: Schedule = always,
    ) -> Rule:
        """Add a rule after the others. `path` (with query), `headers` and `body` are regular expressions, searched for."""
        patterns = {name.lower(): re.compile(pattern) for name, pattern in (headers or {}).items()}
        rule = Rule(
            action=action,
            method=method,
            path=None if path is None else re.compile(path),
            operation=operation,
            headers=patterns,
            body=None if body is None else re.compile(body, re.DOTALL),
            when=when,
        )
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Take one rule out; its counts stay readable."""
        with self._lock:
            self._rules.remove(rule)

    def clear(self) -> None:
        """Take all rules out: everything passes."""
        with self._lock:
            self._rules.clear()

    def _action_for(self, request: Request) -> Action:
        with self._lock:
            return next((rule.action for rule in self._rules if rule.takes(request)), pass_on)

    def _count_passed(self, request: Request) -> None:
        with self._lock:
            self.passed[request.operation] += 1
