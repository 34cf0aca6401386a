"""What the figures were measured on, and with which versions; nothing that tells whose machine it was."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pycurl

from benchmarks import wrk
from benchmarks.processes import DYNAMODUMP

_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_MEMORY = re.compile(r"^MemTotal:\s*(\d+) kB", re.MULTILINE)
_THEIRS = "from importlib.metadata import version; print(*(f'{name} {version(name)}' for name in ('dynamodump', 'boto3')))"


def facts() -> Mapping[str, str]:
    """By name, in the order in which they are told."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    busy = f"{os.getloadavg()[0]:.1f} processes were running or waiting in the minute before the end, the measured ones among them"
    return {
        "Date": today,
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.machine()}; {busy}",
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
