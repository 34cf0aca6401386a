"""Completion in bash, zsh and fish: click answers a shell's requests; this installs the script that makes them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from backstream.errors import Failed, UsageError

NAME = "backstream"
VARIABLE = "_BACKSTREAM_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def answer(app: click.Command, instruction: str) -> int:
    """Writes the answer to a shell's request to stdout: `bash_complete`, `bash_source`. Returns the exit code."""
    shell, _, what = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None or what not in ("source", "complete"):
        return UsageError.exit_code
    completion = kind(app, {}, NAME, VARIABLE)
    sys.stdout.write((completion.source() if what == "source" else completion.complete()) + "\n")
    return 0


def print_script() -> None:
    """Prints the script for the present shell."""
    sys.stdout.write(_script(_shell()) + "\n")


def install() -> None:
    """Installs the script in the present shell's configuration, once, and says where."""
    shell = _shell()
    place = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_script(shell) + "\n")
    sys.stdout.write(f"{shell} completion is installed in {place}: it works in a new terminal.\n")


def _shell() -> str:
    """Returns the user's shell. Raises UsageError for a shell without completion."""
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(f"no completion for this shell: {shell or 'SHELL is not set'}", hint=f"It may be {', '.join(SHELLS)}.")
    return shell


def _script(shell: str) -> str:
    """Returns the shell's completion script."""
    kind = get_completion_class(shell)
    if kind is None:
        raise Failed(f"this click knows no completion for {shell}", hint="Install a newer one.")
    return kind(click.Command(NAME), {}, NAME, VARIABLE).source()


def _bash(script: str) -> Path:
    place = _written(Path.home() / ".bash_completions" / f"{NAME}.sh", script)
    _add_line(Path.home() / ".bashrc", f"source '{place}'")
    return place


def _zsh(script: str) -> Path:
    place = _written(Path.home() / ".zfunc" / f"_{NAME}", script)
    _add_line(Path.home() / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
    return place


def _fish(script: str) -> Path:
    return _written(Path.home() / ".config" / "fish" / "completions" / f"{NAME}.fish", script)


def _written(place: Path, text: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def _add_line(file: Path, line: str) -> None:
    """Adds a line to a shell's own file, unless it is there."""
    found = file.read_text() if file.exists() else ""
    if line not in found.splitlines():
        file.write_text(f"{found}{'' if found.endswith(chr(10)) or not found else chr(10)}{line}\n")
