"""`backstream` as a process of its own, without the second that Python needs to load it: it is forked from one that has loaded it.

    with fork_server() as folder: subprocess.run(..., env={"PATH": f"{folder}:/usr/bin:/bin"})

In the folder lies a `backstream` that hands its words, environment, working folder, input and outputs to the server, and ends with
the exit code of the process that was forked for it. Nobody can send that process a signal: who wants to kill one starts a real one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

CLIENT = """#!{python} -ISs
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps({{"words": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}).encode()
socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
server.sendall(asked)
code = server.recv(1)
sys.exit(code[0] if code else "the process that was forked has died")
"""
TESTS = str(Path(__file__).parents[1])
LOADED = ("backstream.apps.cli.main", "backstream.apps.aws", "backstream.apps.library", "backstream.tables.raw_http")


@contextmanager
def fork_server() -> Iterator[Path]:
    """A folder with the command; it works as long as the block lasts."""
    with tempfile.TemporaryDirectory() as name:
        address, command = str(Path(name) / "socket"), Path(name) / "backstream"
        command.write_text(CLIENT.format(python=sys.executable, address=address))
        command.chmod(0o755)
        words, environment = [sys.executable, "-m", "kit.fork_server", address], {**os.environ, "PYTHONPATH": TESTS}
        with subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"listening\n"
            try:
                yield Path(name)
            finally:
                server.kill()


def serve(address: str) -> None:
    """Fork a process for each that asks, until this one is killed."""
    for module in LOADED:
        import_module(module)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(client)
            client.close()
            _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _answer(client: socket.socket) -> None:
    """Never returns."""
    size, (given, out, err), _, _ = socket.recv_fds(client, 4, 3)
    asked = json.loads(client.makefile("rb").read(int.from_bytes(size, "big")))
    child = os.fork()
    if child == 0:
        for number, file in enumerate((given, out, err)):
            os.dup2(file, number)
            os.close(file)
        client.close()
        _run(asked["words"], asked["environment"], asked["folder"])
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        client.sendall(bytes([code]))
    os._exit(0)


def _run(words: list[str], environment: dict[str, str], folder: str) -> None:
    """Never returns."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = ["backstream", *words]
    code: object = 0
    try:
        import_module("backstream.apps.entry").main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(sys.argv[1])
