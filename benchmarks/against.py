"""This build against another one: `python -m benchmarks.against PATH [ROUNDS]`, where PATH is a checkout of the other.

Both do the same work, of this checkout, in turns: `git archive COMMIT | tar x -C PATH` makes one of an older commit. For each work
it prints the median CPU time of an item in both, the least and the most, and the ratio.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from benchmarks import canned, cores
from benchmarks.plan import Side
from benchmarks.processes import ROOT, start
from benchmarks.stub import Stub

SLOW = 0.02  # seconds
WORKS = (
    Side("capture, log layout", "capture.log", 20, canned.BATCH_RECORDS, warm=2),
    Side("its limit: msgspec and zstd of both images", "capture.limit", 40, canned.BATCH_RECORDS, warm=2),
    Side("capture, rows layout, new items", "capture.new_rows", 4, canned.BATCH_RECORDS),
    Side("tail, one shard, log layout", "capture.tail", 20, canned.BATCH_RECORDS, warm=2),
    Side("PutObject, one after another", "ours.put", 4_000, warm=100),
    Side("GetObject, many at a time", "ours.get_each", 6_000, warm=100),
    Side("ListObjectVersions, a version", "ours.versions", 30 * canned.PAGE_VERSIONS, warm=canned.PAGE_VERSIONS),
)
SLOWLY = (Side(f"capture, rows layout, new items, {SLOW * 1000:.0f} ms", "capture.new_rows", 4, canned.BATCH_RECORDS),)


def main(words: list[str]) -> None:
    """Measure, and print a line for each work."""
    other, rounds = Path(words[0]).resolve(), int(words[1]) if len(words) > 1 else 5
    with cores.together():
        for works, delay in ((WORKS, 0.0), (SLOWLY, SLOW)):
            with Stub(delay) as stub:
                for side in works:
                    _compare(side, stub, other, rounds)


def _compare(side: Side, stub: Stub, other: Path, rounds: int) -> None:
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for source, micros in zip((other, ROOT), found, strict=True):
            environment = stub.environment() | {"PYTHONPATH": f"{source / 'src'}:{ROOT}"}
            measured = start(side.work, side.count, environment, warm=side.warm).result()
            micros.append(measured.cpu * 1_000_000 / side.count / side.each)
    before, after = found
    sys.stdout.write(f"{side.label}: {_told(before)} -> {_told(after)}: {median(after) / median(before):.2f}x\n")
    sys.stdout.flush()


def _told(micros: list[float]) -> str:
    return f"{median(micros):.1f} us ({min(micros):.1f} to {max(micros):.1f})"


if __name__ == "__main__":
    main(sys.argv[1:])
