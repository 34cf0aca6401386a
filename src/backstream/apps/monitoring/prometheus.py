"""Figures as a Prometheus text file. Source: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Sequence

from backstream.apps.monitoring.emf import Measured, Metric


def prometheus(measured: Sequence[Measured]) -> bytes:
    """Returns a text file: each metric once, with a sample for each table."""
    metrics = dict.fromkeys(metric for each in measured for metric, _ in each.values)
    return "".join(line for metric in metrics for line in _family(metric, measured)).encode()


def _family(metric: Metric, measured: Sequence[Measured]) -> list[str]:
    samples = [
        f'{metric.series}{{table="{_label(each.table)}"}} {_number(value)}\n'
        for each in measured
        for known, value in each.values
        if known is metric
    ]
    return [f"# HELP {metric.series} {metric.meaning}\n", f"# TYPE {metric.series} gauge\n", *samples]


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
