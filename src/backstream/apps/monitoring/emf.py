"""Figures, and lines in CloudWatch's embedded metric format (EMF): metrics wherever CloudWatch reads logs, without a call.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

NAMESPACE = "Backstream"
DEPLOYMENT = "Deployment"  # a second dimension: what all tables of a deployment have measured
DEPLOYMENT_VARIABLE = "BACKSTREAM_DEPLOYMENT"  # the deployment's name, where its alarms are about all tables


class Metric(msgspec.Struct, frozen=True):
    """One figure: its name in Prometheus and in CloudWatch (empty: it is not sent there), CloudWatch's unit, its meaning."""

    series: str
    name: str
    unit: str
    meaning: str


class Measured(msgspec.Struct, frozen=True):
    """Figures of one table at one time (epoch seconds). A figure that could not be measured is left out.

    `table`: empty for figures of the deployment as a whole.
    """

    table: str
    at: float
    values: Sequence[tuple[Metric, float]]


def emf(measured: Measured) -> bytes:
    """Returns one line from which CloudWatch makes metrics."""
    return msgspec.json.encode(emf_fields(measured)) + b"\n"


def emf_fields(measured: Measured) -> dict[str, Any]:
    """Returns the fields of such a line; others may be added."""
    sent = [(metric, value) for metric, value in measured.values if metric.name]
    dimensions = _dimensions(measured.table)
    return {
        "_aws": {
            "Timestamp": round(measured.at * 1_000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [[name] for name in dimensions],
                    "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric, _ in sent],
                }
            ],
        },
        **dimensions,
        **{metric.name: value for metric, value in sent},
    }


def _dimensions(table: str) -> Mapping[str, str]:
    """Returns what the figures are of: the table, and the deployment if its alarms are about all tables."""
    deployment = os.environ.get(DEPLOYMENT_VARIABLE, "")
    return ({"Table": table} if table else {}) | ({DEPLOYMENT: deployment} if deployment else {})
