"""One `tail` of forty tables against forty of one table: memory and processor time, side by side on this machine.

`python -m benchmarks.many_tables [--tables 40] [--seconds 20]` starts the embedded servers, makes the tables, and prints its part
of docs/benchmarks.md. A claim about speed is never a timed test: `tests/operations/test_many_tails.py` is about what must not be
lost.
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
TABLES, SECONDS = 40, 20.0
LONGEST = 900.0  # seconds until all tables are followed
OF_MANY = """\
## Many tables

`tail` of idle tables on ministack, the vault in a folder. Memory is the resident memory of all processes once a change of every
table is in the vault, CPU what they take from then on.
"""
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measures, and prints the section."""
    words = argparse.ArgumentParser()
    words.add_argument("--tables", type=int, default=TABLES)
    words.add_argument("--seconds", type=float, default=SECONDS)
    asked = words.parse_args()
    sys.stdout.write("\n".join(section(asked.tables, asked.seconds)) + "\n")


def section(count: int = TABLES, seconds: float = SECONDS) -> list[str]:
    """Measures, and returns the lines of the page: one process of all tables, one of half of them, and a process for each table."""
    with EmbeddedServers() as servers, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **servers.environment(), "BACKSTREAM_VAULT": f"file://{folder}/vault"}
        tables = [f"bench-table-{number:03}" for number in range(count)]
        make(tables, environment)
        whole, half, each = (
            measured(groups, environment, seconds) for groups in ([tables], [tables[: count // 2]], [[table] for table in tables])
        )
    more = (whole[0] - half[0]) / (count - count // 2)
    return [
        OF_MANY,
        "|  | memory | CPU a second |",
        "| --- | ---: | ---: |",
        f"| one process, {count} tables | {whole[0]:,.0f} MB | {whole[1]:,.0f} ms |",
        f"| one process, {count // 2} tables | {half[0]:,.0f} MB | {half[1]:,.0f} ms |",
        f"| {count} processes, a table each | {each[0]:,.0f} MB | {each[1]:,.0f} ms |",
        "",
        f"Each additional table takes {more:.2f} MB.",
        f"{count} processes take {each[0] / whole[0]:.1f} times the memory of one, and {each[1] / whole[1]:.1f} times its CPU.",
    ]


def client(environment: Mapping[str, str]) -> Any:
    """Returns a client of the embedded DynamoDB."""
    return botocore.session.Session().create_client(
        "dynamodb",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def make(tables: Sequence[str], environment: Mapping[str, str]) -> None:
    """Makes the tables, each with its stream, and the vault."""
    dynamodb = client(environment)
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
            until_followed([table for each in groups for table in each], environment)
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


def until_followed(tables: Sequence[str], environment: Mapping[str, str]) -> None:
    """Writes an item into each table, and returns once all are in the vault. Raises SystemExit if that takes too long."""
    began, last, dynamodb = time.time(), time.monotonic() + LONGEST, client(environment)
    vault = Path(environment["BACKSTREAM_VAULT"].removeprefix("file://"))
    for table in tables:
        dynamodb.put_item(TableName=table, Item={"id": {"S": str(began)}})
    waiting = set(tables)
    while waiting:
        if time.monotonic() > last:
            raise SystemExit(f"not followed in {LONGEST:.0f} s: {sorted(waiting)}")
        time.sleep(0.5)
        waiting = {table for table in waiting if not is_kept(vault / "_backstream" / table / "log", began)}


def is_kept(log: Path, began: float) -> bool:
    """True if something was kept since then."""
    return any(each.stat().st_mtime >= began for each in log.rglob("*") if each.is_file())


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
