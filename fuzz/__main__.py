"""`python -m fuzz [--seconds N] [NAME...]`: each reader for its share of so many seconds, in a process of its own. 1: findings."""

from __future__ import annotations

import argparse
import subprocess
import sys

from fuzz.targets import TARGETS

HOUR = 3_600


def _fails(name: str, seconds: int) -> bool:
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "fuzz.one", name, str(seconds)]
    return subprocess.run(command, check=False).returncode != 0  # noqa: S603 - this interpreter, with a module of ours


def main() -> int:
    """All of them, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("--seconds", type=int, default=HOUR, help="in all")
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []])
    asked = parser.parse_args()
    names = asked.names or list(TARGETS)
    each = max(1, asked.seconds // len(names))
    failed = [name for name in names if _fails(name, each)]
    sys.stdout.write(f"{len(names)} readers, {each} s each: {', '.join(failed) or 'nothing'} found\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
