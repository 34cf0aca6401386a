"""`python -m lambda_zip`: build the zips, measure the one for the interpreter at hand, and print what came out."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from lambda_zip import archive
from lambda_zip.build import ROOT, bill_of, build
from lambda_zip.cli_lock import renew_cli
from lambda_zip.measure import RECORDS, UNWANTED, ColdStart, measured
from lambda_zip.targets import LAMBDA, here
from lambda_zip.wheels import CannotBuild, renew

MEGABYTE = 1_000_000
MOST_ZIP = 15 * MEGABYTE
MOST_MEMORY = 60 * MEGABYTE


def main() -> int:
    """1 where something cannot be built or does not run; whether an aim is met is told, not tested: machines differ."""
    words = argparse.ArgumentParser(prog="python -m lambda_zip", description=__doc__)
    words.add_argument("--here", action="store_true", help="only the zip for this interpreter and machine, not measured")
    words.add_argument("--lock", action="store_true", help="write requirements.txt anew, from this environment's versions")
    words.add_argument("--lock-cli", action="store_true", help="write requirements/cli.txt anew, from this environment's versions")
    words.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder for the zips")
    chosen = words.parse_args()
    try:
        if chosen.lock:
            renew()
        elif chosen.lock_cli:
            renew_cli()
        elif chosen.here:
            _tell(_size(build(here(), chosen.out)))
        else:
            _all(chosen.out)
    except CannotBuild as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _all(out: Path) -> None:
    for target in LAMBDA:
        _tell(_size(build(target, out)))
    path = build(here(), out)
    _tell(_size(path), *_costs(measured(path)))


def _tell(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _size(path: Path) -> str:
    size = path.stat().st_size
    named = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return (
        f"{named}: {_told(size)} ({_judged(size, MOST_ZIP)})\n"
        f"  sha256    {archive.digest(path)}\n"
        f"  contents  {archive.contents_digest(path)}\n"
        f"  bill      {bill_of(named)}"
    )


def _costs(starts: list[ColdStart]) -> list[str]:
    """CPU: the medians. Memory: the most, since a function that needs more than it has is killed."""
    idle, imported, first = (_most(starts, name) for name in ("idle_peak", "import_peak", "first_peak"))
    modules = statistics.median(len(each.modules) for each in starts)
    unwanted = sorted({name for each in starts for name in each.unwanted})
    return [
        f"  cold start, Python {sys.version.split()[0]}, {len(starts)} runs, nothing compiled beforehand:",
        f"  import       {_seconds(starts, 'import_cpu')}, {_told(imported)} (idle: {_told(idle)}), {modules:.0f} modules",
        f"  first batch  {_seconds(starts, 'first_cpu')}, {_told(first)} ({_judged(first, MOST_MEMORY)}), {RECORDS} changes",
        f"  imported though not wanted: {', '.join(unwanted)}" if unwanted else f"  not imported: {', '.join(UNWANTED)}",
    ]


def _most(starts: list[ColdStart], name: str) -> int:
    peaks: list[int] = [getattr(each, name) for each in starts]
    return max(peaks)


def _seconds(starts: list[ColdStart], name: str) -> str:
    return f"{statistics.median(getattr(each, name) for each in starts):.2f} CPU s"


def _told(size: int) -> str:
    return f"{size / MEGABYTE:.1f} MB"


def _judged(value: int, most: int) -> str:
    return f"aim: under {most // MEGABYTE} MB, {'met' if value < most else 'MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
