"""One trial: the related tests, in a process of its own that imports the mutant instead of the module. No file is changed."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

SOURCE = Path(__file__).parents[1] / "src"
TESTS = Path(__file__).parents[1] / "tests"
PASSED, FAILED, NOTHING_RUN = 0, 1, 5  # pytest's exit codes
POLL = 0.05


class Ended(msgspec.Struct, frozen=True):
    """How a trial ended. `seconds`: of the processor."""

    code: int
    seconds: float

    @property
    def outcome(self) -> str:
        """`survived`, `killed`; `broken` where not one test could be run."""
        return {PASSED: "survived", FAILED: "killed", NOTHING_RUN: "broken"}.get(self.code, "killed")


class WithoutServers:
    """Leaves out what needs servers, and the long tests."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item for item in items if "aws" not in getattr(item, "fixturenames", ()) and item.get_closest_marker("soak") is None
        ]


class Planted(MetaPathFinder, SourceLoader):  # type: ignore[misc] # typeshed has the two in conflict
    """Finds one module, as this code."""

    def __init__(self, name: str, path: Path, code: str) -> None:
        self._name = name
        self._path = path
        self._code = code

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        del path, target
        return spec_from_loader(fullname, self) if fullname == self._name else None

    def get_filename(self, fullname: str) -> str:
        del fullname
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        del path
        return self._code.encode()


def trial(module: str, code: str, tests: Sequence[str], *, processor: float, wall: float) -> Ended:
    """Run the tests of a module as that code. They may take so many seconds of the processor, and of time."""
    child = os.fork()
    if child == 0:
        _run(module, code, tests, processor)
    began = time.monotonic()
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
        if time.monotonic() - began > wall:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
        time.sleep(POLL)


def _run(module: str, code: str, tests: Sequence[str], processor: float) -> None:
    """Never returns."""
    end = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (int(processor) + 1, int(processor) + 5))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.setpgid(0, 0)
        name = "backstream." + module.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, Planted(name, SOURCE / "backstream" / module, code))
        sys.dont_write_bytecode = False
        words = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants", *(str(TESTS / each) for each in tests)]
        end = int(pytest.main(words, plugins=[WithoutServers()]))
    finally:
        os._exit(end)


def preload() -> None:
    """Import what every trial needs and nobody mutates, once for all of them."""
    for name in ("hypothesis.strategies", "botocore.session", "botocore.client", "zstandard", "click", "rich.console", "pycurl"):
        if PathFinder.find_spec(name.partition(".")[0]) is not None:
            __import__(name)
