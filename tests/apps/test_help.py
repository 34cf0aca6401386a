"""`--help`, `-h`, completion and the list of commands."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from backstream.apps import cli
from backstream.apps.cli.commands import ALL, GROUPS, load
from kit.scene import COMMAND, Scene

WIDTH = 80
NARROW = {"COLUMNS": str(WIDTH)}


def _modules() -> list[str]:
    folder = Path(cli.__file__).parent
    return sorted(
        ".".join(each.relative_to(folder).with_suffix("").parts)
        for each in folder.rglob("*.py")
        if "def add_to(" in each.read_text()
    )


def test_each_command_of_each_module_is_listed_once() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names)) == len(ALL)
    assert {command.module for command in ALL.values()} == set(_modules())
    for module in _modules():
        app = typer.Typer()
        import_module(f"backstream.apps.cli.{module}").add_to(app)
        defined = {each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands}
        assert defined == {name for name, command in ALL.items() if command.module == module}


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
    arguments = [each.metavar for each in load(name).params if each.param_type_name == "argument"]
    assert usage == " ".join(["Usage: backstream", name, "[OPTIONS]", *arguments])
    assert "{" not in usage


def test_a_name_that_is_nearly_right(scene: Scene) -> None:
    ran = scene.call("statos")
    assert ran.code == 2
    assert "No such command 'statos'. Did you mean 'status'?" in ran.err


@pytest.mark.parametrize(
    ("typed", "offered"), [("backstream sta", ["status"]), ("backstream restore --in", ["--in-place", "--into-another"])]
)
def test_completion(scene: Scene, typed: str, offered: list[str]) -> None:
    words = {"_BACKSTREAM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    ran = subprocess.run([COMMAND], env={**scene.environment, **words}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.split()) == (0, offered)


def test_a_command_loads_no_other() -> None:
    code = "import sys; from backstream.apps.cli import commands; commands.load('status'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {f"backstream.apps.cli.{each}" for each in _modules()}
    assert rooms & set(loaded) == {"backstream.apps.cli.look.looking"}
