"""What a piece of work takes of the process that does it. Standard library only: dynamodump runs in an environment of its own."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """`items`: how many were done; `cpu`: user and system seconds; `wall`: seconds; `peak`: the process's largest size, bytes."""

    items: int
    cpu: float
    wall: float
    peak: int


def measured(work: Callable[[], object], items: int) -> Measured:
    """Do the work, of so many items, and say what it took: all threads of this process, and children that it waited for."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    work()
    return Measured(items, cpu_seconds() - cpu, time.perf_counter() - wall, _peak())


def tell(outcome: Measured) -> None:
    """The last line of a measured process's output; see `processes.measure`."""
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")


def cpu_seconds() -> float:
    """User and system time of this process, and of children that it waited for, so far."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak() -> int:
    """Linux counts in `ru_maxrss` what the parent had before `exec`; VmHWM is the program's own. Elsewhere only the former is."""
    status = Path("/proc/self/status")
    if status.exists() and (found := _PEAK.search(status.read_text())):
        return int(found[1]) << 10
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage << 10
