"""`python -m fuzz [--seconds N] [NAME...]`: each reader for its share of so many seconds. 1: findings."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from fuzz.targets import TARGETS

HOUR = 3_600
LEAST = 120  # seconds that a process fuzzes for: it takes ten to begin


def _fails(names: Sequence[str], seconds: int) -> bool:
    sys.stdout.write(f"{', '.join(names)}\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "fuzz.one", ",".join(names), str(seconds)]
    return subprocess.run(command, check=False).returncode != 0  # noqa: S603 - this interpreter, with a module of ours


def groups_of(names: Sequence[str], seconds: int) -> list[list[str]]:
    """Returns the readers of each process: as many processes as have time enough."""
    count = max(1, min(len(names), seconds // LEAST))
    return [list(names[place::count]) for place in range(count)]


def main() -> int:
    """All of them, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("--seconds", type=int, default=HOUR, help="in all")
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []])
    asked = parser.parse_args()
    names = asked.names or list(TARGETS)
    groups = groups_of(names, asked.seconds)
    each = max(1, asked.seconds // len(groups))
    failed = [", ".join(group) for group in groups if _fails(group, each)]
    found = "; ".join(failed) or "nothing"
    sys.stdout.write(f"{len(names)} readers in {len(groups)} processes, {each} s each: {found} found\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
