"""`backstream tail TABLE`, cutting segments at a fifth of a second or forty changes: to be killed, since it is always writing.

python eager_tail.py TABLE
"""

from __future__ import annotations

import sys

import backstream
from backstream.operations.capture.shards import Settings

EAGER = Settings(segment_age=0.2, segment_count=40, poll=0.05, mark_busy=0.5, mark_idle=0.5)


def follow(table: str) -> None:
    """Say that it begins, and follow the table until it is stopped."""
    sys.stderr.write(f"following {table}\n")
    sys.stderr.flush()
    backstream.open().table(table).tail(settings=EAGER)


if __name__ == "__main__":
    follow(sys.argv[1])
