"""The parts that alarms are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.apps.deploy.expressions import IfGiven, Part, Resource, StackValue, Text, Value, text

LAMBDA = "AWS/Lambda"
MINUTE, FIVE_MINUTES, HOUR = 60, 300, 3_600
QUIET, RINGS, STAYS = "notBreaching", "breaching", "ignore"

Dimension = tuple[str, Part | Text]


def summed(
    id_: str, named: Sequence[Part], what: str | Text, namespace: str, metric: str, dimension: Dimension, *, periods: int = 1
) -> Resource:
    """Returns an alarm that rings if anything was counted in `periods` times five minutes in a row.

    A missing measurement counts as zero.
    """
    more = {
        **metric_of(namespace, metric, dimension),
        "Statistic": "Sum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": periods,
        "Threshold": 0,
    }
    return alarm(id_, named, what, more, missing=QUIET, comparison="GreaterThanThreshold")


def metric_of(namespace: str, name: str, dimension: Dimension) -> dict[str, Value]:
    """Returns the properties that choose a metric."""
    return {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}]}


def alarm(
    id_: str, named: Sequence[Part], what: str | Text, more: Mapping[str, Value], *, missing: str, comparison: str
) -> Resource:
    """Returns an alarm. `named`: the end of its name; `missing`: what a missing measurement means."""
    properties: dict[str, Value] = {
        "AlarmName": text(StackValue.STACK, *named),
        "AlarmDescription": what,
        **more,
        "ComparisonOperator": comparison,
        "TreatMissingData": missing,
        "AlarmActions": IfGiven("AlarmTopicArn"),
        "OKActions": IfGiven("AlarmTopicArn"),
    }
    return Resource(id_, "AWS::CloudWatch::Alarm", properties)
