"""The operator's side of the demo: `backstream` commands, shown as they are typed and run as child processes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from backstream.apps.demo.narration import Narration
from backstream.errors import Failed
from backstream.model.values.shell_words import shell_line

PATIENCE = 30.0  # seconds for a command that is to end at once

# The user's AWS configuration and vault do not affect the demo.
_NOT_INHERITED = ("AWS_", "BACKSTREAM_")


def environment(servers: Mapping[str, str], vault: str, folder: Path) -> dict[str, str]:
    """Returns the environment of the commands: the embedded servers, the demo's vault and folder, nothing of the user's AWS."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    here = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "TMPDIR": str(folder), "BACKSTREAM_VAULT": vault}
    return {**inherited, **nobody, **servers, **here}


class Shell:
    """Runs commands in one environment and folder. A command with an exit code other than 0 fails the demo.

    Each is a session of its own: a Ctrl-C in the terminal reaches only the demo, which then ends them.
    """

    def __init__(self, narration: Narration, variables: Mapping[str, str], folder: Path) -> None:
        self._narration = narration
        self._variables = variables
        self._folder = folder

    def run(self, *words: str) -> None:
        """Show the command, then let it print for itself."""
        self._narration.command(_line(words))
        self._run(words)

    def run_tail(self, *words: str, lines: int) -> None:
        """Show the command piped into `tail`, and the last lines that it prints."""
        self._narration.command(f"{_line(words)} | tail -{lines}")
        printed = self._run(words, stdout=subprocess.PIPE).decode()
        self._narration.output("\n".join(printed.splitlines()[-lines:]))

    def ask(self, *words: str) -> bytes:
        """Returns the command's output, without showing it."""
        return self._run(words, stdout=subprocess.PIPE)

    def _run(self, words: Sequence[str], *, stdout: int | None = None) -> bytes:
        done = subprocess.run(  # noqa: S603 - our own interpreter and package
            [sys.executable, "-P", "-m", "backstream", *words],
            env=self._variables,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"`{_line(words)}` ended with code {done.returncode}", hint="Its own words stand above.")
        return done.stdout or b""

    def exports(self) -> str:
        """Returns the line that gives another terminal the demo's servers and vault."""
        shown = {
            name: value for name, value in self._variables.items() if name.startswith((*_NOT_INHERITED, "NO_PROXY", "no_proxy"))
        }
        return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in shown.items())

    def in_background(self, *words: str) -> Job:
        """Show the command and start it; it runs as long as the block."""
        self._narration.command(_line(words) + " &")
        return Job(words, self._variables, self._folder)


class Job:
    """A command in the background, as a context manager: at the end of the block it is gone, whatever happened."""

    def __init__(self, words: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        self._words = words
        self._output = folder / "job.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and package
                [sys.executable, "-P", "-m", "backstream.apps.demo.job", str(os.getpid()), str(folder), *words],
                env=variables,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Failed if it is no longer at work."""
        if self._process.poll() is not None:
            raise self._failed(f"ended by itself, with code {self._process.returncode}")

    def stop(self) -> str:
        """Asks it to end, like `kill`, and waits. Returns its output. Raises Failed unless it ends cleanly."""
        self.check()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"did not end within {PATIENCE:.0f} s of SIGTERM") from error
        if code:
            raise self._failed(f"ended with code {code}")
        return self._said()

    def _said(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace").strip()

    def _failed(self, what: str) -> Failed:
        return Failed(f"`{_line(self._words)}` {what}", hint=f"It said: {self._said() or 'nothing'}")


def _line(words: Sequence[str]) -> str:
    """Returns the command line as it would be typed."""
    return shell_line(("backstream", *words))
