"""One trial: the related tests against one mutant, in a forked process. No file is changed.

The tests are collected once. A mutant's code is put into the functions that they have imported; a fault in what runs while the
module is imported takes a process that collects them anew.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

import _pytest.main
import msgspec
import pytest

from mutation.patching import NotPatchable, differing, patch

SOURCE = Path(__file__).parents[1] / "src"
TESTS = Path(__file__).parents[1] / "tests"
PASSED, FAILED, BROKEN = 0, 1, 5  # pytest's exit codes; 5: not one test was run
POLL = 0.02


class Ended(msgspec.Struct, frozen=True):
    """How a trial ended. `seconds`: of the processor."""

    code: int
    seconds: float

    @property
    def outcome(self) -> str:
        """`survived`, `killed`; `broken` where not one test could be run."""
        return {PASSED: "survived", FAILED: "killed", BROKEN: "broken"}.get(self.code, "killed")


class Limits(msgspec.Struct, frozen=True):
    """How many seconds a trial may take: of the processor, and of time."""

    processor: float
    wall: float


class Bench:
    """A module and its tests, which are collected. `original`: the module's text as it is."""

    def __init__(self, session: pytest.Session, module: str, original: str, tests: Sequence[str]) -> None:
        self._session = session
        self._module = module
        self._original = original
        self._tests = tests

    def trial(self, code: str, limits: Limits) -> Ended:
        """Run the tests with this text of the module."""
        try:
            changed = bool(differing(self._original, code))
        except NotPatchable:
            return forked(lambda: _imported(self._module, code, self._tests), limits)
        return forked(lambda: self._patched(code) if changed else _loop(self._session), limits)

    def _patched(self, code: str) -> int:
        try:
            patch(_name(self._module), self._original, code)
        except NotPatchable:
            return _imported(self._module, code, self._tests)
        return _loop(self._session)


def with_tests(module: str, tests: Sequence[str], work: Callable[[Bench], None]) -> int:
    """Collect the tests of a module, and hand them to `work`. pytest's exit code."""
    original = (SOURCE / "backstream" / module).read_text()

    class Worker:
        """Works in place of the run of the tests."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            if session.items and not session.testsfailed:
                work(Bench(session, module, original, tests))
            return True

    return int(pytest.main(_words(tests), plugins=[WithoutServers(), Worker()]))


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


def forked(run: Callable[[], int], limits: Limits) -> Ended:
    """Run it in a process of its own, which ends with that exit code."""
    child = os.fork()
    if child == 0:
        _run(run, limits)
    began = time.monotonic()
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if not ended and time.monotonic() - began > limits.wall:
            os.kill(child, signal.SIGKILL)
            ended, status, used = os.wait4(child, 0)
        if ended:
            return Ended(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
        time.sleep(POLL)


def _run(run: Callable[[], int], limits: Limits) -> None:
    """Never returns."""
    end = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limits.processor) + 1, int(limits.processor) + 5))
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        end = run()
    finally:
        os._exit(end)


def _loop(session: pytest.Session) -> int:
    try:
        _pytest.main.pytest_runtestloop(session)
    except (pytest.Session.Failed, pytest.Session.Interrupted):
        return FAILED
    return FAILED if session.testsfailed else PASSED


def _imported(module: str, code: str, tests: Sequence[str]) -> int:
    """Forget all that may have imported the module, and begin anew."""
    for name in [each for each in sys.modules if each.partition(".")[0] in OURS or _is_test(each)]:
        del sys.modules[name]
    sys.meta_path.insert(0, Planted(_name(module), SOURCE / "backstream" / module, code))
    return int(pytest.main(_words(tests), plugins=[WithoutServers()]))


OURS = ("backstream", "kit", "tests", "conftest", "fuzz", "lambda_zip")


def _is_test(name: str) -> bool:
    return name.rpartition(".")[2].startswith("test_") or name.rpartition(".")[2] == "conftest"


def _name(module: str) -> str:
    return "backstream." + module.removesuffix(".py").replace("/", ".")


def _words(tests: Sequence[str]) -> list[str]:
    quiet = ["-x", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--hypothesis-profile", "mutants"]
    return [*quiet, *(str(TESTS / each) for each in tests)]
