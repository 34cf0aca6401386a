"""S3, DynamoDB, Streams and Lambda on this machine, for the demo and the tests.

`EmbeddedServers` runs the package `ministack` as a child process on a loopback port of its own. Run as a module, this file *is*
that child: it watches its parent, and starts ministack.
"""

from __future__ import annotations

import http.client
import os
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import botocore.session

from backstream.clock import SystemClock
from backstream.errors import Failed
from backstream.ports import Clock

_NAMES = "_KNOWN_AWS_SERVICE_NAMES"  # of ministack: None until it needs them
_HOST = "127.0.0.1"
_REGION = "us-east-1"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.5
_PORTS_TRIED = 5

# The child must not inherit these: the user's credentials (its Lambda workers would see them), and settings of another ministack.
_NOT_INHERITED = ("AWS_", "MINISTACK_", "LOCALSTACK_", "LAMBDA_")

# Nothing is kept or shared, and there is no listener besides the one port. IoT's broker would otherwise bind 0.0.0.0:8883, and a
# Docker daemon would be asked to remove containers.
_SETTINGS = {
    "AUTH": "false",
    "BIND_HOST": _HOST,
    "DOCKER_HOST": "unix:///nonexistent",
    "IOT_MTLS_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
    "PERSIST_STATE": "0",
    "S3_PERSIST": "0",
    "SFTP_ENABLED": "0",
    "USE_SSL": "0",
}


class EmbeddedServers:
    """A context manager: servers that live as long as the block, or as long as this process, whichever ends first.

    Nothing is kept: buckets and tables end with them. `settings` adds to ministack's own environment (`{"AUTH": "true"}`).
    `Failed`, with the last lines of their output, if they do not start.
    """

    def __init__(self, *, settings: Mapping[str, str] | None = None, clock: Clock | None = None) -> None:
        self._settings = dict(settings or {})
        self._clock = clock or SystemClock()
        self._folder: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """The environment with which a process uses these servers instead of AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
        }

    def start(self) -> None:
        """Returns when they answer."""
        if find_spec("ministack") is None:
            raise Failed("The embedded servers are not installed.", hint="pip install 'backstream[local]'")
        self._folder = Path(tempfile.mkdtemp(prefix="backstream-servers-"))
        try:
            self._start_on_some_port()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the child with all its own children, and removes its folder. Harmless if it was stopped, or never started."""
        if self._child is not None:
            # The child leads a process group of its own, and is not reaped yet, so the number is still its own. Nothing in it must
            # be saved, so it is killed at once.
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start_on_some_port(self) -> None:
        for _ in range(_PORTS_TRIED):
            if self._start_on(_free_port()):
                return
        raise self._failed(f"found every one of {_PORTS_TRIED} ports taken")

    def _start_on(self, port: int) -> bool:
        """Returns whether the servers answer on `port`; False if somebody else took it in the meantime."""
        # The health answer repeats this name, so that another server on the port is not taken for this one.
        name = f"backstream-{secrets.token_hex(8)}"
        self.url = f"http://{_HOST}:{port}"
        self._child = self._spawn(port, name)
        deadline = self._clock.now() + _START_SECONDS
        while self._child.poll() is None:
            if _answers(self.url, name):
                return True
            if self._clock.now() > deadline:
                raise self._failed(f"did not answer within {_START_SECONDS:.0f} s")
            self._clock.sleep(_POLL_SECONDS)
        died = self._child
        self._child = None  # reaped by poll(): its number may be another process's by now
        if "already in use" in self._output():
            return False
        raise self._failed(f"ended with code {died.returncode} before answering")

    def _spawn(self, port: int, name: str) -> subprocess.Popen[bytes]:
        folder = self._home()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)}
        ours = {
            "GATEWAY_PORT": str(port),
            "MINISTACK_EDITION": name,
            "MINISTACK_REGION": _REGION,
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
            "TMPDIR": str(folder),
        }
        with (folder / "output.txt").open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - our own interpreter, this very module
                [sys.executable, "-P", "-m", "backstream.apps.embedded", str(os.getpid()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, **_SETTINGS, **ours, **self._settings},
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, and stop() can end the whole group
            )

    def _home(self) -> Path:
        if self._folder is None:
            raise Failed("The embedded servers are not running.", hint="Use them inside `with EmbeddedServers() as servers:`")
        return self._folder

    def _output(self) -> str:
        return (self._home() / "output.txt").read_text(encoding="utf-8", errors="replace")

    def _failed(self, what: str) -> Failed:
        last_lines = "\n".join(self._output().splitlines()[-15:])
        return Failed(f"The embedded servers (ministack) {what}.", hint=f"Their last words:\n{last_lines or '(none)'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answers(url: str, name: str) -> bool:
    """True if the server called `name` answers at `url`."""
    # No proxy from the environment may be used: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/_ministack/health", timeout=5) as answer:
            return f'"{name}"'.encode() in answer.read()
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False  # not up yet, or not ours: the caller asks again until its deadline


def end_with(parent: int, folder: Path, clock: Clock) -> None:
    """Watches the parent. Once it is gone, even by SIGKILL, removes `folder` and ends this whole process group.

    Linux's "death signal" would come when the *thread* that started us ends, and a pipe stays open in the parent's forked workers;
    a new parent is the only exact sign.
    """
    while os.getppid() == parent:
        clock.sleep(_WATCH_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def tell_services() -> None:
    """Gives ministack the names of AWS's services.

    Otherwise it reads the models of all 400 of them, 5 s of processor time, at the first request for a service that it lacks.
    Each `init` asks for Application Auto Scaling.
    """
    router = import_module("ministack.core.router")
    if hasattr(router, _NAMES):
        setattr(router, _NAMES, frozenset(botocore.session.get_session().get_available_services()))


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(int(sys.argv[1]), Path(sys.argv[2]), SystemClock()), daemon=True).start()
    sys.argv[1:] = []  # ministack reads its own
    tell_services()
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
