"""Starting measured processes, and reading what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Measured

ROOT = Path(__file__).resolve().parents[1]
DYNAMODUMP = Path(sys.prefix) / "dynamodump" / "bin" / "python"  # an environment of its own: see dynamodump_side
LAST_WORDS = 15  # lines


class Running:
    """A measured process."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        # Nothing of the user's own AWS configuration is to be in the figures.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
        ours = {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
        self._command = command
        self._process = subprocess.Popen(
            command, env={**inherited, **ours, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def result(self) -> Measured:
        """What it measured, once it has ended. CannotRun, with its last words, where it failed."""
        output, errors = self._process.communicate()
        if self._process.returncode:
            raise CannotRun(f"{' '.join(self._command[1:])}\n" + "\n".join(errors.splitlines()[-LAST_WORDS:]))
        return Measured(**json.loads(output.splitlines()[-1]))


class NotRunning:
    """One that could not be started."""

    def __init__(self, why: str) -> None:
        self._why = why

    def result(self) -> Measured:
        """CannotRun."""
        raise CannotRun(self._why)


class CannotRun(Exception):
    """A process that was to be measured failed, or cannot be started."""


def start(name: str, count: int, env: Mapping[str, str], *words: str, warm: int = 0) -> Running:
    """Begin a piece of work; see `work`."""
    return Running([sys.executable, "-m", "benchmarks.work", name, str(count), str(warm), *words], env)


def start_dynamodump(count: int, env: Mapping[str, str], *words: str) -> Running | NotRunning:
    """Begin dynamodump with these words on its command line."""
    if not DYNAMODUMP.exists():
        return NotRunning("dynamodump is not installed: `make bench` does that")
    return Running([str(DYNAMODUMP), "-m", "benchmarks.dynamodump_side", str(count), *words], env)
