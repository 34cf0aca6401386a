"""A pytest plugin for runs that take hours: what has passed on exactly these files is not run again.

    PYTHONPATH=tests pytest -p kit.going_on --passed build/soak.txt ...

The file has a line for each test that passed: a digest of the whole project, and the test. Any change of any file of the project,
a page of docs too, makes another digest, and all tests run again. Tests that failed or were not reached have no line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOT_OURS = {".git", ".venv", "build", "dist", "node_modules"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption("--passed", metavar="FILE", help="run what has not passed on these very files, and note there what passes")


def pytest_configure(config: pytest.Config) -> None:
    """Reads what has passed. With xdist each worker has to leave out the same tests, so the first process tells it to them."""
    file = config.getoption("--passed")
    if file is None:
        return
    known = getattr(config, "workerinput", {}).get("passed")
    config.pluginmanager.register(_Going(Path(file), config.rootpath, known), "going on")


class _Going:
    def __init__(self, file: Path, root: Path, known: list[str] | None) -> None:
        self._file = file
        self._is_first = known is None
        self._tree = tree(root) if known is None else ""
        self._before = set(passed(file, self._tree) if known is None else known)
        self._good = dict[str, bool]()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["passed"] = sorted(self._before)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        done = [each for each in items if each.nodeid in self._before]
        if done:
            config.hook.pytest_deselected(items=done)
            items[:] = [each for each in items if each.nodeid not in self._before]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not self._is_first:
            return
        self._good[report.nodeid] = self._good.get(report.nodeid, True) and not report.failed
        if report.when == "teardown" and self._good[report.nodeid]:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(f"{self._tree} {report.nodeid}\n")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """All of it has passed before: that is no error."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._before:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        now = sum(self._good.values())
        terminalreporter.write_line(f"{len(self._before)} tests had passed on these files before, {now} passed now: {self._file}")


def passed(file: Path, digest: str) -> Iterator[str]:
    """Yields the tests that have passed on the files with this digest."""
    if file.exists():
        for line in file.read_text().splitlines():
            of, _, test = line.partition(" ")
            if of == digest:
                yield test


def tree(root: Path) -> str:
    """Returns a digest of the names and contents of all files of the project."""
    found = hashlib.sha256()
    for path in sorted(_files(root)):
        body = path.read_bytes()
        found.update(f"{path.relative_to(root)}\0{len(body)}\0".encode() + body)
    return found.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for each in folder.iterdir():
        if each.name in NOT_OURS or (each.name.startswith(".") and each.name.endswith("_cache")) or each.suffix == ".egg-info":
            continue
        if each.is_dir():
            if each.name != "__pycache__" and each.name != ".hypothesis":
                yield from _files(each)
        elif each.is_file():
            yield each
