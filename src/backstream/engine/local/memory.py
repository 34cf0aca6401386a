"""Divides an engine's memory among its processes, and among the data that each of them holds."""

from __future__ import annotations

import os

import msgspec

MEGABYTE = 1 << 20
LEAST = 64 * MEGABYTE
USUAL = 256 * MEGABYTE
VARIABLE = "BACKSTREAM_MEMORY_MB"
PARENT = 96 * MEGABYTE  # the process itself, one partition's items, and what restore and verify keep beside them
WORKER = 64 * MEGABYTE  # another process: about half of it is Python, the rest a batch of lines and what waits to be written


class Memory(msgspec.Struct, frozen=True):
    """The bytes that a state may use, over all its processes. A partition with huge items may use more: see `spill`."""

    total: int = USUAL

    @property
    def workers(self) -> int:
        """The number of worker processes that fit besides this one; 0 if it is better to have none."""
        room = (self.total - PARENT) // WORKER
        fits = min(room, _processors())
        return int(fits) if fits > 1 else 0

    @property
    def bodies(self) -> int:
        """The bytes of objects that may be held after reading and before taking."""
        return min(self.total // 16, 64 * MEGABYTE)

    @property
    def buffer(self) -> int:
        """The bytes that a writer of partitions may buffer."""
        return min(self.total // 16, 64 * MEGABYTE)


def _processors() -> int:
    """Returns the processors that this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
