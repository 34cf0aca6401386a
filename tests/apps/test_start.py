"""What a command and a handler load before they do anything: what they need, and no more. Their start is a third of their life."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from inspect import isfunction
from pathlib import Path

import pytest

from backstream.apps import library
from backstream.apps.library import METHODS, TableBackup
from backstream.stores.directory import DirectoryStore
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import image

AT = 1_763_900_000
TOLD = "LOADED "
# Writes what is loaded when the process ends, whatever it did: the distributions, our own packages, and the number of our modules.
PROBE = f"""
import atexit, json, sys
atexit.register(lambda: sys.stderr.write("{TOLD}" + json.dumps(sorted(sys.modules)) + "\\n"))
"""
COMMAND = "import sys; sys.argv = ['backstream', *{words!r}]; from backstream.apps.entry import main; main()"
# Their names come with an interpreter or an editable installation, and are nothing that we load.
OF_THE_INTERPRETER = {"__main__", "_distutils_hack", "sitecustomize", "usercustomize"}
# msgspec takes it where it is installed, which the command line's lock does not do.
OPTIONAL = {"typing_extensions"}


def loaded(code: str, tmp_path: Path) -> set[str]:
    """The modules of a process that ran this, those of the standard library aside."""
    ran = subprocess.run([sys.executable, "-c", PROBE + code], cwd=tmp_path, capture_output=True, text=True, check=False)
    names = next(json.loads(line.removeprefix(TOLD)) for line in ran.stderr.splitlines() if line.startswith(TOLD))
    return {each for each in names if each.partition(".")[0] not in {*sys.stdlib_module_names, *OF_THE_INTERPRETER, *OPTIONAL}}


def tops(modules: set[str]) -> set[str]:
    return {each.partition(".")[0] for each in modules}


@pytest.fixture
def vault(tmp_path: Path) -> str:
    (tmp_path / "vault").mkdir()
    store = DirectoryStore(tmp_path / "vault", ManualClock(AT))
    feed = Feed(store, "flights", began=AT - 600)
    feed.put(AT - 100, image("a", 1))
    feed.deliver()
    return store.url


def test_the_version(tmp_path: Path) -> None:
    modules = loaded(COMMAND.format(words=["--version"]), tmp_path)
    assert modules == {"backstream", "backstream.apps", "backstream.apps.entry", "backstream.errors", "backstream.version"}


@pytest.mark.parametrize("words", [["--help"], ["-h"], [], ["status", "--help"]])
def test_the_help(tmp_path: Path, words: list[str]) -> None:
    modules = loaded(COMMAND.format(words=words), tmp_path)
    whole = {"msgspec", "zstandard"} if "status" in words else set[str]()
    assert tops(modules) == {"backstream", "click", *whole}
    if "status" not in words:
        assert {each for each in modules if each.startswith(("backstream.operations", "backstream.vault"))} == set()


@pytest.mark.parametrize("words", [["status"], ["status", "flights", "--json"], ["history", "flights", '{"zone":"a","number":1}']])
def test_a_command_on_a_folder(tmp_path: Path, vault: str, words: list[str]) -> None:
    modules = loaded(COMMAND.format(words=[*words, "--vault", vault]), tmp_path)
    assert tops(modules) == {"backstream", "click", "msgspec", "zstandard"}
    others = {"restore", "compare", "drill", "migrate", "replicate", "doctor", "revert", "undo", "legacy"}
    assert {each for each in modules if each.startswith(tuple(f"backstream.operations.{one}." for one in others))} == set()


def test_each_verb_of_a_table_is_named_once() -> None:
    """A method that the table of names does not have is not there; and none of them stands for another's."""
    rooms = {where: getattr(import_module(where.partition(":")[0]), where.partition(":")[2]) for where in set(METHODS.values())}
    defined = {name: where for where, room in rooms.items() for name, each in vars(room).items() if isfunction(each)}
    assert {name: where for name, where in defined.items() if not name.startswith("_")} == METHODS
    assert sum(len([each for each in vars(room).values() if isfunction(each)]) for room in rooms.values()) == len(defined)
    assert set(METHODS) <= set(dir(TableBackup))
    assert not set(METHODS) & {
        name for name, each in vars(TableBackup).items() if isfunction(each) and each.__module__ == library.__name__
    }
    with pytest.raises(AttributeError, match="'TableBackup' has no attribute 'restored'"):
        _ = TableBackup.restored  # type: ignore[attr-defined]


@pytest.mark.parametrize("handler", ["aws_lambda", "aws_witness"])
def test_a_handler_that_is_imported(tmp_path: Path, handler: str) -> None:
    assert tops(loaded(f"import backstream.apps.{handler}", tmp_path)) == {"backstream", "msgspec", "zstandard"}
