"""How an engine divides the memory that it may take: among processes, and among what each of them holds."""

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
    """Bytes that a state may take, all its processes together. A partition that holds huge items may take more: see `spill`."""

    total: int = USUAL

    @property
    def workers(self) -> int:
        """How many processes there is room and work for besides this one; 0 where it is better to do without."""
        room = (self.total - PARENT) // WORKER
        fits = min(room, _processors())
        return int(fits) if fits > 1 else 0

    @property
    def bodies(self) -> int:
        """How many bytes of objects may be held that were read and not yet taken."""
        return min(self.total // 16, 64 * MEGABYTE)

    @property
    def buffer(self) -> int:
        """How many bytes a writer of partitions may keep back."""
        return min(self.total // 16, 64 * MEGABYTE)


def _processors() -> int:
    """That this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
