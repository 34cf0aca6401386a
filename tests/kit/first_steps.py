"""Runs the commands of docs/first-steps.md, one shell after the other, and writes the page again with what they print.

    PYTHONPATH=tests python -m kit.first_steps ZIP > docs/first-steps.md

In a `console` block a line that begins with `$ ` is a command (a backslash at its end goes on), what follows is its output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstream.apps.embedded import EmbeddedServers
from backstream.vault.log.segments import SegmentKind
from kit.aws import Aws
from kit.fork_server import fork_server
from kit.proxy import FaultProxy, answer

PAGE = Path(__file__).parents[2] / "docs" / "first-steps.md"
BIN = Path(sys.executable).parent
MARK = "# --- the environment from here on ---"
FUNCTION = "backstream-flights-capture"
WAITING = "sleep 3"  # on AWS a batch may wait ten seconds to fill up; the embedded servers do not wait
PATIENCE = 240.0  # seconds that the function may take on a busy machine


class Reader:
    """Somebody who types the page's commands, in a folder with the zip in `dist/`; variables last from one to the next."""

    def __init__(self, folder: Path, commands: Path, code: Path, aws: Aws, scaling: str) -> None:
        self._folder = folder
        self._aws = aws
        self._environment = {
            "PATH": f"{commands}:{BIN}:/usr/bin:/bin",
            "HOME": str(folder),
            "AWS_PAGER": "",
            "COLUMNS": "100",
            "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": scaling,
            **aws.environment,
        }
        self._batches = 0
        (folder / "dist").mkdir()
        shutil.copy(code, folder / "dist" / "backstream-lambda-arm64.zip")

    def run(self, command: str) -> str:
        """What it prints on both, as it stands on a terminal. AssertionError where it fails."""
        typed = WAITING if command.startswith("sleep 15") else command
        ending = ["ENDED=$?", f"echo '{MARK}'", "env -0 | tr '\\0\\n' '\\n '", "exit $ENDED"]
        whole = "\n".join(["set -a", typed, *ending])
        done = subprocess.run(
            ["bash", "-c", whole],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        said, _, left = done.stdout.partition(MARK)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        for line in left.strip().splitlines():
            name, found, value = line.partition("=")
            if found and name.isupper() and name not in ("PATH", "HOME"):
                self._environment[name] = value
        if "cloudformation deploy" in command:
            self._point()
        if typed == WAITING:
            self._wait_for_a_batch()
        return said.strip("\n").replace(f"{self._folder}/", "")

    def _wait_for_a_batch(self) -> None:
        """Until the function has captured what was written: the reader's fifteen seconds are not enough where much else runs."""
        ends = time.monotonic() + PATIENCE
        while (found := self._batches_there()) <= self._batches and time.monotonic() < ends:
            time.sleep(0.2)
        self._batches = found

    def _batches_there(self) -> int:
        store = self._aws.client("s3")
        pages = [store.list_objects_v2(Bucket=each["Name"]) for each in store.list_buckets()["Buckets"]]
        return sum(
            "/log/" in each["Key"] and f"_{SegmentKind.LAMBDA}" in each["Key"]
            for page in pages
            for each in page.get("Contents", [])
        )

    def _point(self) -> None:
        """The embedded servers are not where a function would look for AWS."""
        functions = self._aws.client("lambda")
        known = functions.get_function_configuration(FunctionName=FUNCTION)["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": {**known, **self._aws.environment}}
        )


@contextmanager
def reader(code: Path) -> Iterator[Reader]:
    """Somebody with an empty account."""
    with tempfile.TemporaryDirectory() as folder, fork_server() as commands, EmbeddedServers() as servers:
        aws = Aws(servers.environment())
        with FaultProxy(aws.endpoint("dynamodb")) as scaling:
            scaling.on(answer(200, json.dumps({"ScalableTargets": []})), operation="DescribeScalableTargets")
            yield Reader(Path(folder), commands, code, aws, scaling.url)


def parts(page: str) -> Iterator[tuple[str, str]]:
    """The page in pieces: (`text`, lines as they are), (`command`, what is typed), (`output`, what came of it)."""
    lines, console = iter(page.splitlines()), False
    for line in lines:
        if line.startswith("```"):
            console = line == "```console"
            yield "text", line
        elif console and line.startswith("$ "):
            typed = [line]
            while typed[-1].endswith("\\"):
                typed.append(next(lines))
            yield "command", "\n".join(typed)
        else:
            yield "output" if console else "text", line


def rewritten(page: str, who: Reader) -> str:
    """The page, with what its commands print now."""
    lines: list[str] = []
    for kind, text in parts(page):
        if kind != "output":
            lines.append(text)
        if kind == "command":
            lines += who.run(text.removeprefix("$ ")).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def settled(page: str) -> str:
    """The page without what is another at each run: times, ids, ports, figures of seconds."""
    page = re.sub(r"\d{4}-\d\d-\d\dT\d\d[:.]\d\d[:.]\d\d(\.\d+)?Z?", "TIME", page)
    page = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{8}(?:[0-9a-f]{8})?\b|\b\d{30,40}\b", "ID", page)
    page = re.sub(r"by the witness [^\s,]+", "by the witness WRITER", page)
    page = re.sub(r"proves\s+all\s+up\s+to\s+[\d.]+\s+s\s+ago", "proves all up to N s ago", page)  # lines may break at any of these
    page = re.sub(r"127\.0\.0\.1:\d+", "HOST", page)
    page = re.sub(r"\b\d+(\.\d+)? (s|seconds|minutes|MB|KB|bytes)\b", "N \\2", page)
    page = re.sub(r"(seconds +)[\d.]+", r"\1N", page)
    return re.sub(r" +", " ", page)


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", tempfile.gettempdir())
    with reader(Path(sys.argv[1])) as typing:
        sys.stdout.write(rewritten(PAGE.read_text(), typing))
