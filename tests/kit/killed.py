"""A command that kills itself with signal 9 at its n-th write: a busy machine changes nothing.

python killed.py WRITES MICROSECONDS eager TABLE     the tail of `kit.eager_tail`
python killed.py WRITES MICROSECONDS COMMAND ...     `backstream COMMAND ...`

The signal comes so many microseconds after that write has begun: before it is done, within it, or after it.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from backstream.apps.cli.main import call
from backstream.stores.directory import DirectoryStore
from backstream.stores.s3.store import S3Store
from kit import eager_tail

Method = Callable[..., Any]


def kill_at(writes: int, microseconds: int) -> None:
    """Let the process die at its write of that number, by whatever thread."""
    counter = itertools.count(1)

    def die() -> None:
        time.sleep(microseconds / 1e6)
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(method: Method) -> Method:
        def write(*args: Any, **words: Any) -> Any:
            if next(counter) == writes:
                threading.Thread(target=die, daemon=True).start()
            return method(*args, **words)

        return write

    for store in (DirectoryStore, S3Store):
        for name in ("put", "delete"):
            setattr(store, name, counted(getattr(store, name)))


if __name__ == "__main__":
    kill_at(int(sys.argv[1]), int(sys.argv[2]))
    if sys.argv[3] == "eager":
        eager_tail.follow(sys.argv[4])
    else:
        sys.exit(call(sys.argv[3:]))
