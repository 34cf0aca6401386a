"""Run as a module, this is a `backstream` command that ends with the demo, even if that is killed; its folder goes with it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from backstream.apps.embedded import end_with
from backstream.apps.entry import main
from backstream.clock import SystemClock

if __name__ == "__main__":
    parent, folder, *words = sys.argv[1:]
    threading.Thread(target=end_with, args=(int(parent), Path(folder), SystemClock()), daemon=True).start()
    sys.argv[1:] = words
    main()
