"""Runs the commands of the how-to pages on the embedded servers, as they stand there.

A block that begins with ```sh is run. Its moments are `BEFORE` and `AFTER`, the borders of one bad minute. They stand for the
moments of a night that `night` has made. A plain block is output, a layout, or a command that cannot be run here; `NOT_RUN` says
why for each page.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from backstream.apps.embedded import EmbeddedServers
from backstream.clock import SystemClock
from backstream.model import moment
from kit.aws import Aws
from kit.fork_server import fork_server

DOCS = Path(__file__).parents[2] / "docs"
BIN = Path(sys.executable).parent
VAULT = "s3://my-backups/prod"
BEFORE, AFTER = "2026-11-23T03:12:39Z", "2026-11-23T03:14:00Z"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:\$ )?(?:backstream|aws) ", re.MULTILINE)
NEEDS_AWS = "it takes an account with other resources than a table and a bucket"
# The pages with commands, each with the reason why some of its blocks of commands are not run; empty: all of them are.
NOT_RUN: dict[str, str] = {
    "capture": f"an export, a Kinesis stream: {NEEDS_AWS}",
    "deploy": f"{NEEDS_AWS}; first-steps.md runs the same commands",
    "doctor": "its output, shortened; first-steps.md has all of it",
    "import": "dumps and exports that older tools made; tests/operations/test_from_files.py restores such ones",
    "migrate": "an undo, with an id that differs at each run",
    "older-tools": "an older tool's bucket and dump; tests/operations/test_adopt.py runs them",
    "ransomware": f"another account: {NEEDS_AWS}",
    "redrive": "",
    "replicate": "its output; it runs until it is stopped",
    "diff": "",
    "restore": "",
    "runbook": "",
    "security": "openssl, which a machine need not have; tests/operations/test_signatures.py covers signatures",
    "snapshot": "ImportTable of a snapshot with an id that differs at each run",
    "undo": "",
    "verify": "",
    "web": "servers that run until they are stopped; tests/web runs them",
    "who": f"a trail of CloudTrail: {NEEDS_AWS}; tests/operations/test_blame_command.py runs blame",
    "sql": "",
    "export": f"an image of a container: {NEEDS_AWS}",
    "groups": "",
    "vault": "an object's version id, which differs at each run",
    "spark": "a cluster; tests/spark runs restores and the job file on one",
    "retention": "",
    "erase": "",  # last: it takes a row's history away
}


class Night(NamedTuple):
    """A night on embedded servers: the second before the bad writes, and the last second of them.

    `commands`: where `backstream` is found.
    """

    aws: Aws
    before: str
    after: str
    commands: Path

    def told(self, text: str) -> str:
        """Returns a page's text with this night's moments. AssertionError if it names any other moment."""
        told = text.replace(BEFORE, self.before).replace(AFTER, self.after)
        other = set(MOMENT.findall(told)) - {self.before, self.after}
        assert not other, f"a block that is run names a moment that nobody has made: {other}"
        return told


class Reader:
    """Somebody who types the commands of one page, in a folder of his own. Variables last from one block to the next."""

    def __init__(self, night: Night, folder: Path) -> None:
        self._night = night
        self.folder = folder
        folder.mkdir()
        path = f"{night.commands}:{BIN}:/usr/bin:/bin"
        self._environment = {"PATH": path, "HOME": str(folder), "AWS_PAGER": "", **night.aws.environment}
        self._environment["BACKSTREAM_VAULT"] = VAULT

    def run(self, block: str) -> str:
        """Returns what a block prints. AssertionError with it if a command fails."""
        script = "\n".join(["set -ea", self._night.told(block), "env -0 >.environment"])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode} of:\n{script}\n{done.stdout}"
        left = (self.folder / ".environment").read_text().rstrip("\0").split("\0")
        self._environment = dict(each.split("=", 1) for each in left if each.split("=", 1)[0].isupper())
        return done.stdout


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yields the language and the text of each fenced block of a page."""
    yield from FENCE.findall((DOCS / f"{page}.md").read_text())


def forgotten() -> list[str]:
    """Returns the pages with commands that nothing is known about. `first-steps` has a test of its own."""
    pages = {each.stem for each in DOCS.glob("*.md")} - NOT_RUN.keys() - {"first-steps"}
    return sorted(each for each in pages if any(COMMAND.search(text) for _, text in blocks(each)))


def scripts(page: str) -> Iterator[tuple[str, str]]:
    """Yields the name and the text of each file that a page shows: a block below a line that ends with "`prices.py`:"."""
    shown = r"`(\w+\.(?:py|sql))`:\n\n```(?:python|sql)\n(.*?)^```$"
    yield from re.findall(shown, (DOCS / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Returns the blocks of a page that are run."""
    return [text for language, text in blocks(page) if language == "sh"]


def not_run(page: str) -> list[str]:
    """Returns the blocks of commands of a page that are not run."""
    return [text for language, text in blocks(page) if language == "" and COMMAND.search(text)]


@contextmanager
def night() -> Iterator[Night]:
    """Makes the tables `flights` and `orders`, ruins some rows of both, lets others write, and captures all of it."""
    with EmbeddedServers() as servers, fork_server() as commands:
        aws = Aws(servers.environment())
        aws.client("s3").create_bucket(Bucket="lake")
        for table in ("flights", "orders"):
            put_rows(aws, table, [], created=True)
            backstream(aws, commands, "init", table, "--create-bucket", "--tenant-attribute", "tenant")
        put_rows(aws, "flights", [_flight(each, "departed", "A4") for each in (*range(1540, 1560), 17)])
        put_rows(aws, "orders", [_order(each, "paid") for each in range(10, 30)])
        before = _next_second()
        put_rows(aws, "flights", [_flight(each, "NaN", "A4") for each in (1545, 1546, 1547)])
        put_rows(aws, "orders", [_order(each, "NaN") for each in (17, 18)])
        after = _next_second()
        put_rows(aws, "flights", [_flight(1546, "NaN", "B7"), _flight(1550, "arrived", "C1")])
        for table in ("flights", "orders"):
            _prove(aws, commands, table, after)
        yield Night(aws, moment.iso(before), moment.iso(after), commands)


def put_rows(aws: Aws, table: str, rows: Sequence[Mapping[str, Any]], *, created: bool = False) -> None:
    """Writes rows into a table; makes it first, with a stream, if `created`."""
    tables = aws.client("dynamodb")
    if created:
        tables.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
    for each in rows:
        tables.put_item(TableName=table, Item=each)


def backstream(aws: Aws, commands: Path, *words: str) -> str:
    """Returns what a command prints on stdout. AssertionError with all of it if it fails."""
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "BACKSTREAM_VAULT": VAULT, **aws.environment}
    done = subprocess.run(
        [str(commands / "backstream"), *words], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def _flight(number: int, status: str, gate: str) -> dict[str, Any]:
    return {"id": {"S": f"UA{number}"}, "status": {"S": status}, "gate": {"S": gate}, "tenant": {"S": "acme"}}


def _order(number: int, status: str) -> dict[str, Any]:
    return {
        "id": {"S": str(number)},
        "status": {"S": status},
        "price": {"S": "4.50"},
        "tenant": {"S": "acme"},
        "release": {"S": "v2" if status == "NaN" else "v1"},
        "updatedBy": {"S": "alice"},
    }


def _next_second() -> int:
    """Returns the present second once the next one has begun: a write after it is later to the second."""
    clock = SystemClock()
    present = int(clock.now())
    while int(clock.now()) <= present:
        clock.sleep(0.05)
    return present


def _prove(aws: Aws, commands: Path, table: str, second: int) -> None:
    """Captures a table's changes until the vault proves a second."""
    while True:
        backstream(aws, commands, "tail", table, "--until-caught-up")
        found = json.loads(backstream(aws, commands, "status", table, "--json"))
        if (found["window_to"] or "") >= moment.iso(second):
            return
