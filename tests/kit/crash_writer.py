"""A process to be killed: writes versions into a `DirectoryStore` without end, and says on stdout which it was told are done.

    python crash_writer.py FOLDER SEED

A body tells whether it is whole: its metadata carry its digest.
"""

from __future__ import annotations

import hashlib
import random
import sys

from backstream.clock import SystemClock
from backstream.stores.directory import DirectoryStore

NAMES = ("a", "a/b", "deep/er/still")


def write_forever(folder: str, seed: int) -> None:
    """Never returns."""
    source = random.Random(seed)
    store = DirectoryStore(folder, SystemClock())
    while True:
        name = source.choice(NAMES)
        body = source.randbytes(source.randrange(300_000))
        version = store.put(name, body, {"digest": hashlib.sha256(body).hexdigest()})
        sys.stdout.write(f"{name} {version}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    write_forever(sys.argv[1], int(sys.argv[2]))
