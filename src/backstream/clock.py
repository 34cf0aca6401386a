"""The one module that reads the machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` on this machine."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)
