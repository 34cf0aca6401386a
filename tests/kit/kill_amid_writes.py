"""Kills a command amid its writes to DynamoDB, whatever time that takes it: a busy machine changes nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

from kit.proxy import FaultProxy, Forward, Hold, Request, Response, drop, first
from kit.stage import wait_for

WRITES = {"x-amz-target": r"\.(BatchWrite|Put|Update|Delete)Item"}


def kill_amid_writes(start: Callable[[], subprocess.Popen[str]], proxy: FaultProxy, whole: int, *, unheard: bool = False) -> None:
    """Let so many `whole` requests through, one more be done without an answer if `unheard`, and no other; then kill it.

    AssertionError if it ended by itself.
    """
    hold, done, earlier = Hold(drop), list[int](), proxy.clients

    def let_through(request: Request, forward: Forward) -> Response:
        response = forward(request)
        done.append(response.status)
        return response

    def silently(request: Request, forward: Forward) -> Response:
        let_through(request, forward)
        return hold(request, forward)

    rules = [
        proxy.on(let_through, headers=WRITES, when=first(whole)),
        proxy.on(silently, headers=WRITES, when=first(int(unheard))),
        proxy.on(hold, headers=WRITES),
    ]
    process = start()
    with hold.caught():
        wait_for(lambda: len(done) == whole + unheard)
        process.kill()
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended before it was killed: {said}"
    _hear_out(proxy, earlier)
    for rule in rules:
        proxy.remove(rule)


def _hear_out(proxy: FaultProxy, earlier: frozenset[tuple[str, int]]) -> None:
    """Return once all that a killed process had sent has met the rules: what it sent last may still lie in its connections."""
    at = urlsplit(proxy.url)
    with socket.create_connection((at.hostname, at.port)) as last:
        wait_for(lambda: last.getsockname() in proxy.clients)  # whoever connected before is known by now
    wait_for(lambda: not proxy.clients - earlier)
