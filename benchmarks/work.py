"""One piece of work in a process of its own: `python -m benchmarks.work ours.put 1500 100`, which is 1,500 after 100 to warm up."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.measure import measured, tell
from benchmarks.ours import Work


def work_named(name: str, words: list[str]) -> Work:
    """`ours.put` is the work that `put` in `ours.py` makes, of these words."""
    module, _, function = name.partition(".")
    made: Work = getattr(import_module(f"benchmarks.{module}"), function)(*words)
    return made


def main(words: list[str]) -> None:
    """Make it ready and warm, then measure it."""
    name, count, warm, *rest = words
    work = work_named(name, rest)
    if int(warm):
        work(int(warm))
    tell(measured(lambda: work(int(count)), int(count)))


if __name__ == "__main__":
    main(sys.argv[1:])
