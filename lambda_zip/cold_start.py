"""A cold start: the function's code and nothing else is imported, and the handler invoked once, as Lambda does it.

Run as `python -I -S -B cold_start.py FOLDER` with the event on standard input, where FOLDER is the unpacked zip; it tells in JSON
what it took. Standard library only, and little of that: what is imported here is not in the CPU figures. `-B`: as in a function,
where nothing is compiled beforehand and nothing that is compiled can be kept.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path

PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class Context:
    """As much of Lambda's as the handler asks for."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be ended."""
        return int((self._end - time.monotonic()) * 1000)


def cpu() -> float:
    """User and system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak() -> int:
    """The largest size of this process so far, bytes; see `benchmarks.measure`, which cannot be imported here."""
    status = Path("/proc/self/status")
    if status.exists() and (found := PEAK.search(status.read_text())):
        return int(found[1]) << 10
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage << 10


def main(folder: str) -> None:
    """Import, invoke, tell."""
    event = json.load(sys.stdin)
    began, idle = cpu(), peak()
    sys.path.insert(0, folder)
    from backstream.apps.aws_lambda import handler  # noqa: PLC0415 - this is what is measured

    imported, after_import = cpu(), peak()
    answer = handler(event, Context(60))
    invoked, after_invocation = cpu(), peak()
    told = {
        "import_cpu": imported - began,
        "first_cpu": invoked - imported,
        "idle_peak": idle,
        "import_peak": after_import,
        "first_peak": after_invocation,
        "answer": answer,
        "modules": sorted(sys.modules),
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
