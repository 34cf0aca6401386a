"""`requirements/cli.txt`: everything that the command line needs is there, in a version that pyproject.toml takes, with hashes."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from lambda_zip import cli_lock, wheels
from lambda_zip.build import ROOT
from lambda_zip.cli_lock import CLI_LOCK
from lambda_zip.wheels import locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_it_covers_what_pyproject_names() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(each) for each in [*PROJECT["dependencies"], *extras["fast"], *extras["cli"]]]
    wanted = [each for each in wanted if each.name != "backstream"]
    versions = dict(requirement.split("==") for requirement in locked(CLI_LOCK))
    assert {wheels.canonical(each.name) for each in wanted} == set(cli_lock.roots())
    assert all(each.specifier.contains(versions[wheels.canonical(each.name)]) for each in wanted)
    assert versions.keys() == wheels.needed(cli_lock.roots()), "and what these need"
    assert all(hashes for hashes in locked(CLI_LOCK).values())


def test_a_dependency_that_is_not_locked_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_lock, "EXTRAS", ("fast", "cli", "dev"))
    assert "hypothesis" in cli_lock.roots()
    assert "hypothesis" not in {each.split("==")[0] for each in locked(CLI_LOCK)}


def test_make_installs_from_it() -> None:
    made = (ROOT / "Makefile").read_text()
    recipe = made[made.index("$(VENV)/local:") :].split("\n\n")[0]
    hashed, editable = (
        recipe.index(each) for each in ("--require-hashes --requirement requirements/cli.txt", "--editable '.[local,web]'")
    )
    assert hashed < editable
    assert re.search(r"^\$\(VENV\)/local:.* requirements/cli.txt", recipe)
