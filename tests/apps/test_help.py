"""`--help`, `-h`, completion and the list of commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from types import ModuleType

import pytest

from backstream.apps import cli
from backstream.apps.cli import options
from backstream.apps.cli.commands import ALL, GROUPS, load
from kit.scene import COMMAND, Scene

WIDTH = 80
NARROW = {"COLUMNS": str(WIDTH)}


def _defined() -> dict[str, set[str]]:
    """The commands' functions by module: each of their parameters is declared."""
    folder = Path(cli.__file__).parent
    names = [".".join(each.relative_to(folder).with_suffix("").parts) for each in folder.rglob("*.py")]
    modules = {name: import_module(f"backstream.apps.cli.{name}") for name in names if not name.endswith("__init__")}
    found = {name: {one for one, each in vars(module).items() if _is_command(each, module)} for name, module in modules.items()}
    return {name: commands for name, commands in found.items() if commands}


def _is_command(each: object, module: ModuleType) -> bool:
    if not isfunction(each) or each.__module__ != module.__name__:
        return False
    if each.__name__ in ALL:
        return True
    shared = {name for name, value in vars(options).items() if hasattr(value, "__metadata__")}
    return any(text in shared or text.startswith("Annotated[") for text in each.__annotations__.values())


def test_each_command_of_each_module_is_listed_once() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names)) == len(ALL)
    listed: dict[str, set[str]] = {}
    for name, command in ALL.items():
        listed.setdefault(command.module, set()).add(command.function or name)
    assert listed == _defined()


def test_the_help_groups_the_commands_and_cuts_nothing(scene: Scene) -> None:
    ran = scene.call("--help", environment=NARROW)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")] == ["Options", *GROUPS]
    assert all(len(line) <= WIDTH for line in lines)
    told = " ".join(ran.out.split())
    assert all(f"{name} {command.summary}" in told for name, command in ALL.items())


@pytest.mark.parametrize("name", ["", *ALL])
def test_h_is_help(scene: Scene, name: str) -> None:
    short, long = (scene.call(*name.split(), option, environment=NARROW) for option in ("-h", "--help"))
    assert (short.code, short.out, short.err) == (0, long.out, "")
    assert all(len(line) <= WIDTH for line in short.out.splitlines())
    assert not [line for line in short.out.splitlines() if line.endswith("...") and not line.startswith("Usage:")]


@pytest.mark.parametrize("name", ALL)
def test_the_usage_line_names_arguments_as_manuals_do(scene: Scene, name: str) -> None:
    usage = scene.call(name, "-h").out.splitlines()[0]
    arguments = [each.metavar or "" for each in load(name).params if each.param_type_name == "argument"]
    assert usage == " ".join(["Usage: backstream", name, "[OPTIONS]", *arguments])
    assert "{" not in usage


def test_a_name_that_is_nearly_right(scene: Scene) -> None:
    ran = scene.call("statos")
    assert ran.code == 2
    assert "No such command 'statos'. Did you mean 'status'?" in ran.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("backstream sta", ["status"]),
        ("backstream restore --in", ["--in-place", "--into-another"]),
        ("backstream restore --via ", ["writes", "import"]),
    ],
)
def test_completion(scene: Scene, typed: str, offered: list[str]) -> None:
    words = {"_BACKSTREAM_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    ran = subprocess.run([COMMAND], env={**scene.environment, **words}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()) == (0, [f"plain,{each}" for each in offered])


@pytest.mark.parametrize(
    ("shell", "place", "read_by"),
    [
        ("bash", ".bash_completions/backstream.sh", ".bashrc"),
        ("zsh", ".zfunc/_backstream", ".zshrc"),
        ("fish", ".config/fish/completions/backstream.fish", None),
    ],
)
def test_completion_is_installed_once(scene: Scene, tmp_path: Path, shell: str, place: str, read_by: str | None) -> None:
    at_home = {"HOME": str(tmp_path), "SHELL": f"/bin/{shell}"}
    if read_by is not None:
        (tmp_path / read_by).write_text("alias ll='ls -l'")
    for _ in range(2):
        ran = scene.call("--install-completion", environment=at_home)
        assert (ran.code, str(tmp_path / place) in ran.out) == (0, True)
    shown = scene.call("--show-completion", environment=at_home)
    assert (tmp_path / place).read_text() == shown.out
    assert f"_BACKSTREAM_COMPLETE={shell}_complete" in shown.out
    if read_by is not None:
        lines = (tmp_path / read_by).read_text().splitlines()
        assert (lines[0], len(lines)) == ("alias ll='ls -l'", 2)


def test_completion_for_a_shell_that_nobody_knows(scene: Scene, tmp_path: Path) -> None:
    ran = scene.call("--install-completion", environment={"HOME": str(tmp_path), "SHELL": "/bin/tcsh"})
    assert (ran.code, "tcsh" in ran.err, list(tmp_path.iterdir())) == (2, True, [])


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_reads_what_is_installed(scene: Scene, tmp_path: Path) -> None:
    scene.call("--install-completion", environment={"HOME": str(tmp_path), "SHELL": "/bin/bash"})
    asked = "source ~/.bash_completions/backstream.sh; COMP_WORDS=(backstream sta); COMP_CWORD=1"
    asked += "; _backstream_completion backstream; echo ${COMPREPLY[*]}"
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", asked], env={"HOME": str(tmp_path), "PATH": path}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["status"]


def test_a_command_loads_no_other() -> None:
    code = "import sys; from backstream.apps.cli import commands; commands.load('status'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {f"backstream.apps.cli.{each.module}" for each in ALL.values()}
    assert rooms & set(loaded) == {"backstream.apps.cli.look.inspecting"}
