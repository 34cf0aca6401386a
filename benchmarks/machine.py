"""What the figures were measured on, and with which versions; nothing that tells whose machine it was."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pycurl

from benchmarks import wrk
from benchmarks.measure import cpu_seconds
from benchmarks.processes import DYNAMODUMP

_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_MEMORY = re.compile(r"^MemTotal:\s*(\d+) kB", re.MULTILINE)
_THEIRS = "from importlib.metadata import version; print(*(f'{name} {version(name)}' for name in ('dynamodump', 'boto3')))"


class Meanwhile:
    """What the machine's other processes do from now on. Linux only."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._all, self._ours = _busy_seconds(), cpu_seconds()

    def told(self) -> str:
        """Their share of all cores' time; call it when every process of one's own has ended."""
        if self._all is None or (busy := _busy_seconds()) is None:
            return "unknown"
        others = busy - self._all - (cpu_seconds() - self._ours)
        share = others / (time.monotonic() - self._began) / (os.cpu_count() or 1)
        return f"other processes took {max(0.0, share):.0%} of its processor time meanwhile"


def _busy_seconds() -> float | None:
    """How long all cores were not idle since the machine started."""
    found = re.match(r"cpu +(\d+) (\d+) (\d+)", _read("/proc/stat"))  # user, nice, system
    return sum(map(int, found.groups())) / os.sysconf("SC_CLK_TCK") if found else None


def facts(meanwhile: Meanwhile) -> Mapping[str, str]:
    """By name, in the order in which they are told."""
    machine = f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.machine()}"
    return {
        "Date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "Machine": f"{machine}; {meanwhile.told()}",
        "Python": platform.python_version(),
        "Backstream": f"{version('backstream')}, {pycurl.version.partition(' OpenSSL')[0]}, msgspec {version('msgspec')}",
        "boto3": f"{version('boto3')}, botocore {version('botocore')}",
        "ministack": version("ministack"),
        "dynamodump": _dynamodump(),
        "wrk": wrk.version() if wrk.installed() else wrk.MISSING,
    }


def _processor() -> str:
    found = _MODEL.search(_read("/proc/cpuinfo"))
    return " ".join(found[1].split()) if found else platform.processor() or "unknown processor"


def _memory() -> str:
    found = _MEMORY.search(_read("/proc/meminfo"))
    return f"{int(found[1]) / (1 << 20):.0f} GB" if found else "unknown memory"


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


def _dynamodump() -> str:
    if not DYNAMODUMP.exists():
        return "not installed"
    said = subprocess.run([str(DYNAMODUMP), "-c", _THEIRS], capture_output=True, text=True, check=False).stdout.split()
    if not said:
        return "not installed"
    return f"{said[1]}, with the boto3 that it pins: {said[3]}"
