"""`backstream` as a user starts it: a child process, killed, stopped or waited for."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from backstream.apps.config import VAULT_VARIABLE

COMMAND = str(Path(sys.executable).with_name("backstream"))
EAGER = str(Path(__file__).with_name("eager_tail.py"))
KILLED = str(Path(__file__).with_name("killed.py"))
PATIENCE = 300.0  # a tail writes what it has read before it ends: thousands of rows, on a loaded machine


def environment(servers: Mapping[str, str], vault: str) -> dict[str, str]:
    """A child's environment: the servers to use, and its vault."""
    return {**os.environ, **servers, VAULT_VARIABLE: vault, "AWS_MAX_ATTEMPTS": "5"}


class KillAt(msgspec.Struct, frozen=True):
    """At which of its writes a process dies, by signal 9, and how many microseconds after that has begun. See `kit.killed`."""

    write: int
    microseconds: int

    @classmethod
    def chosen(cls, source: random.Random, most: int) -> KillAt:
        """One of the first `most` writes, and nearly always within it."""
        return cls(source.randint(1, most), int(10 ** source.uniform(0, 3.7)))

    def command(self, *words: str) -> list[str]:
        """The command line of such a process: `backstream` and these words."""
        return [sys.executable, KILLED, str(self.write), str(self.microseconds), *words]


class TailProcess:
    """`backstream tail TABLE --json`, running: made when it has said that it follows the table.

    `eager`: see `kit.eager_tail`; `kill_at`: it dies at its write of that number.
    """

    def __init__(self, table: str, env: Mapping[str, str], *words: str, eager: bool = False, kill_at: KillAt | None = None) -> None:
        command = [sys.executable, EAGER, table] if eager else [COMMAND, "tail", table, "--json", *words]
        if kill_at is not None:
            command = kill_at.command("eager", table) if eager else kill_at.command("tail", table, "--json", *words)
            env = {**env, "PYTHONPATH": str(Path(KILLED).parent.parent)}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.first_line = self.process.stderr.readline()
        assert self.first_line.startswith(f"following {table}"), self.first_line

    def dies(self) -> None:
        """Wait until it has died of its own `KillAt`."""
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == -signal.SIGKILL, said

    def kill(self) -> None:
        """SIGKILL: nothing of it gets to finish anything."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def stop(self, signal_number: int) -> tuple[int, dict[str, Any], str]:
        """Send a signal; its exit code, report and what it said."""
        self.process.send_signal(signal_number)
        return self.wait()

    def wait(self) -> tuple[int, dict[str, Any], str]:
        """Its exit code, report and what it said, once it has ended by itself."""
        out, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, json.loads(out) if out else {}, said
