"""`python -m benchmarks`: run everything, print the page and write it to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import machine, many_tables
from benchmarks.page import page
from benchmarks.processes import ROOT
from benchmarks.runner import run


def main() -> int:
    """1 where something could not run; whether a promise is kept is told, not tested: machines differ."""
    words = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    words.add_argument("--rounds", type=int, default=5, help="how many runs each figure is the median of")
    words.add_argument("--only", default="", metavar="WORD", help="only what has this word in its title; then nothing is written")
    words.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md", help="where to write the page")
    chosen = words.parse_args()
    began, meanwhile = time.monotonic(), machine.Meanwhile()
    results = run(chosen.rounds, chosen.only)
    many = [] if chosen.only else many_tables.section()
    text = page(results, machine.facts(meanwhile), chosen.rounds, time.monotonic() - began, many)
    sys.stdout.write(text)
    if not chosen.only:
        chosen.out.write_text(text)
    for place, why in results.failed.items():
        sys.stderr.write(f"could not run: {', '.join(place)}: {why}\n")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
