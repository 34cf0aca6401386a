"""Some readers under atheris: `python -m fuzz.one NAME[,NAME...] SECONDS`. A finding is written to `crash-...` in this folder.

The first byte of an input tells the reader, so that one process fuzzes several: to load this tool for a fuzzer takes ten seconds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["backstream"]):
    from fuzz import seeds
    from fuzz.targets import run


def main() -> None:
    """Until the time is up, or something that is no error of ours is raised."""
    names, seconds = sys.argv[1].split(","), sys.argv[2]

    def one(data: bytes) -> None:
        name = names[data[0] % len(names)] if data else names[0]
        try:
            run(name, data[1:])
        except BaseException:
            sys.stderr.write(f"found by the reader {name}\n")
            raise

    with tempfile.TemporaryDirectory() as corpus:
        _write_seeds(names, Path(corpus))
        limits = [f"-max_total_time={seconds}", "-verbosity=0", "-print_final_stats=1", "-rss_limit_mb=1024", "-timeout=20"]
        atheris.Setup([sys.argv[0], *limits, corpus], one)
        atheris.Fuzz()


def _write_seeds(names: Sequence[str], corpus: Path) -> None:
    for place, name in enumerate(names):
        for number, seed in enumerate(seeds.of(name)):
            (corpus / f"{place}-{number}").write_bytes(bytes([place]) + seed)


if __name__ == "__main__":
    main()
