"""One `tail` of forty tables against forty of one table: memory and processor time, side by side on this machine.

`python -m benchmarks.many_tables [--tables 40] [--seconds 30]` starts the embedded servers, makes the tables, and prints the table
of docs/capture.md. A claim about speed is never a timed test: `tests/operations/test_many_tails.py` is about what must not be lost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.session

from backstream.apps.embedded import EmbeddedServers

BACKSTREAM = str(Path(sys.executable).with_name("backstream"))
MEGABYTE = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures, and prints the figures."""
    words = argparse.ArgumentParser()
    words.add_argument("--tables", type=int, default=40)
    words.add_argument("--seconds", type=float, default=30.0)
    words.add_argument("--few", type=int, default=4, help="processes that are measured of the ones with a table each")
    asked = words.parse_args()
    with EmbeddedServers() as servers, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **servers.environment(), "BACKSTREAM_VAULT": f"file://{folder}/vault"}
        tables = [f"bench-table-{number:03}" for number in range(asked.tables)]
        make(tables, environment)
        one, half = ([tables], [tables[: asked.tables // 2]])
        rows = {
            f"one process, {asked.tables} tables": measured(one, environment, asked.seconds),
            f"one process, {asked.tables // 2} tables": measured(half, environment, asked.seconds),
            f"{asked.few} processes, a table each": measured([[each] for each in tables[: asked.few]], environment, asked.seconds),
        }
    sys.stdout.write("| | memory (MB) | processor (ms a second) |\n|---|---|---|\n")
    for name, (memory, spent) in rows.items():
        sys.stdout.write(f"| {name} | {memory:.0f} | {spent:.0f} |\n")
    whole, part, few = rows.values()
    more, all_of_them = (whole[0] - part[0]) / (asked.tables - asked.tables // 2), few[0] / asked.few * asked.tables
    sys.stdout.write(f"\nEach more table: {more:.2f} MB. ")
    sys.stdout.write(f"{asked.tables} processes: {all_of_them:,.0f} MB, {all_of_them / whole[0]:.1f} times as much.\n")


def make(tables: Sequence[str], environment: Mapping[str, str]) -> None:
    """Makes the tables, each with its stream, and the vault."""
    dynamodb: Any = botocore.session.Session().create_client(
        "dynamodb",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    for table in tables:
        dynamodb.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
    Path(environment["BACKSTREAM_VAULT"].removeprefix("file://")).mkdir()
    subprocess.run([BACKSTREAM, "init", *tables], env=dict(environment), check=True, stdout=subprocess.DEVNULL)


def measured(groups: Sequence[Sequence[str]], environment: Mapping[str, str], seconds: float) -> tuple[float, float]:
    """Returns the memory in MB and the milliseconds of processor a second of tails, one process for each group of tables."""
    with tempfile.TemporaryFile() as said:
        running = [subprocess.Popen([BACKSTREAM, "tail", *each], env=dict(environment), stderr=said) for each in groups]
        try:
            time.sleep(seconds)  # until all have begun
            before = sum(processor(each.pid) for each in running)
            time.sleep(seconds)
            spent = sum(processor(each.pid) for each in running) - before
            memory = sum(resident(each.pid) for each in running)
        finally:
            for each in running:
                each.terminate()
            codes = [each.wait() for each in running]
        if any(codes):
            said.seek(0)
            raise SystemExit(f"a tail ended with {codes}:\n{said.read().decode()}")
    return memory, spent / seconds * 1_000


def processor(pid: int) -> float:
    """Returns the seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Returns the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


if __name__ == "__main__":
    main()
