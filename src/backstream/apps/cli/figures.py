"""Figures for monitors, as `--metrics` and `--emf` ask for them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from backstream.apps import publishing
from backstream.apps.monitoring import emf as emf_lines
from backstream.apps.monitoring.emf import Measured
from backstream.apps.monitoring.prometheus import prometheus as text_file


def write_metrics(measured: Sequence[Measured], prometheus: Path | None, emf: Path | None) -> None:
    """Writes a text file for Prometheus, and lines for CloudWatch: to a file, or, for `-`, to stdout."""
    if prometheus is not None:
        publishing.publish(prometheus, text_file(measured), shared=True)
    lines = b"".join(map(emf_lines.emf, measured))
    if emf is not None and str(emf) == "-":
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
    elif emf is not None:
        publishing.append(emf, lines)
