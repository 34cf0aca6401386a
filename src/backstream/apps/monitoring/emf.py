"""Figures, and lines in CloudWatch's embedded metric format (EMF): metrics wherever CloudWatch reads logs, without a call.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

NAMESPACE = "Backstream"


class Metric(msgspec.Struct, frozen=True):
    """One figure: its name in Prometheus and in CloudWatch (empty: it is not sent there), CloudWatch's unit, its meaning."""

    series: str
    name: str
    unit: str
    meaning: str


class Measured(msgspec.Struct, frozen=True):
    """Figures of one table at one time (epoch seconds). A figure that could not be measured is left out."""

    table: str
    at: float
    values: Sequence[tuple[Metric, float]]


def emf(measured: Measured) -> bytes:
    """Returns one line from which CloudWatch makes metrics."""
    return msgspec.json.encode(emf_fields(measured)) + b"\n"


def emf_fields(measured: Measured) -> dict[str, Any]:
    """Returns the fields of such a line; others may be added."""
    sent = [(metric, value) for metric, value in measured.values if metric.name]
    return {
        "_aws": {
            "Timestamp": round(measured.at * 1_000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Table"]],
                    "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric, _ in sent],
                }
            ],
        },
        "Table": measured.table,
        **{metric.name: value for metric, value in sent},
    }
