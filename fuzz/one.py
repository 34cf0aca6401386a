"""One reader under atheris: `python -m fuzz.one NAME SECONDS`. A finding is written to `crash-...` in the working directory."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["backstream"]):
    from fuzz import seeds
    from fuzz.targets import run


def main() -> None:
    """Until the time is up, or something that is no error of ours is raised."""
    name, seconds = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds.of(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-verbosity=0", "-print_final_stats=1", "-rss_limit_mb=1024", "-timeout=20"]
        atheris.Setup([sys.argv[0], *limits, corpus], lambda data: run(name, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
