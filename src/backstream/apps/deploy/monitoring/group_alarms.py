"""The alarms of a deployment in which each is about all tables: their number does not depend on the number of tables.

The functions write each figure for the table and for the deployment. The log, and the dashboard, tell which table it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from backstream.apps.deploy.choices import Choices
from backstream.apps.deploy.expressions import Given, Of, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.monitoring.alarm_parts import FIVE_MINUTES, HOUR, MINUTE, RINGS, STAYS, alarm, metric_of, summed
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import DEPLOYMENT, NAMESPACE

OURS = (DEPLOYMENT, StackValue.STACK)


def all_of(choices: Choices) -> Iterator[Resource]:
    """Yields the alarms about all tables.

    There is none about what Lambda gave up on: Lambda counts that for each mapping and for nothing above it. It gives up on nothing
    that has not failed for 21 hours (`expected.RECORD_AGE`), and `failures`, `errors` or `throttles` ring all that time.
    """
    what = "Changes cannot be kept, and are tried again and again: the log says which, and why."
    yield summed("FailuresAlarm", ("-failures",), what, NAMESPACE, "Failures", OURS, periods=3)
    if choices.witness:
        yield from _of_witness()
    if choices.drill:
        yield from _of_drills()


def below_one(alarms: Sequence[Resource]) -> Iterator[Resource]:
    """Yields the alarms without their notifications, and the composite one above them, which notifies instead.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudwatch-compositealarm.html
    """
    told = ("AlarmActions", "OKActions")
    for each in alarms:
        yield replace(each, properties={name: value for name, value in each.properties.items() if name not in told})
    properties: dict[str, Value] = {
        "AlarmName": text(StackValue.STACK, "-backup"),
        "AlarmDescription": "One of the alarms of this deployment rings.",
        "AlarmRule": text(*_any_of(alarms)),
        **{name: alarms[0].properties[name] for name in told},
    }
    yield Resource(
        "BackupAlarm", "AWS::CloudWatch::CompositeAlarm", properties, "It alone notifies, and names what rings below it."
    )


def _any_of(alarms: Sequence[Resource]) -> Iterator[Part | Text]:
    for at, each in enumerate(alarms):
        yield ' OR ALARM("' if at else 'ALARM("'
        yield Of(each.id, "Ref")
        yield '")'


def _of_witness() -> Iterator[Resource]:
    what = "For too long no run of the witness has reached all tables: the log says which are left out, and why."
    left = {
        **metric_of(NAMESPACE, metrics.WITNESS_LEFT.name, OURS),
        "Statistic": "Minimum",
        "Period": MINUTE,
        "EvaluationPeriods": Given("WitnessWithinMinutes"),
        "Threshold": 0,
    }
    yield alarm("WitnessMissingAlarm", ("-witness-missing",), what, left, missing=RINGS, comparison="GreaterThanThreshold")
    what = "The proof of a table is older than the RPO: the witness does not keep up, or waits for something."
    late = {
        **metric_of(NAMESPACE, metrics.WITNESS_LAG.name, OURS),
        "Statistic": "Maximum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": 2,
        "Threshold": Given("RpoSeconds"),
    }
    yield alarm("WitnessLagAlarm", ("-witness-lag",), what, late, missing=STAYS, comparison="GreaterThanThreshold")


def _of_drills() -> Iterator[Resource]:
    hourly: dict[str, Value] = {"Period": HOUR, "EvaluationPeriods": 1, "Threshold": 0}
    what = "The last drill of a table failed: a restore may not work, or not in time. It rings until one passes."
    failing = {**metric_of(NAMESPACE, metrics.DRILLS_FAILING.name, OURS), "Statistic": "Minimum", **hourly}
    yield alarm("DrillFailedAlarm", ("-drill-failed",), what, failing, missing=STAYS, comparison="GreaterThanThreshold")
    what = "No drill of some table has run for too long: that a restore works is not proven. The log says which tables."
    overdue = {**metric_of(NAMESPACE, metrics.DRILLS_OVERDUE.name, OURS), "Statistic": "Minimum", **hourly}
    yield alarm("DrillOverdueAlarm", ("-drill-overdue",), what, overdue, missing=STAYS, comparison="GreaterThanThreshold")
    what = "No drill has run for too long: that a restore works is not proven."
    absent = {
        **metric_of(NAMESPACE, metrics.DRILLS_OVERDUE.name, OURS),
        **hourly,
        "Statistic": "SampleCount",
        "EvaluationPeriods": Given("DrillWithinHours"),
        "Threshold": 1,
    }
    yield alarm("DrillMissingAlarm", ("-drill-missing",), what, absent, missing=RINGS, comparison="LessThanThreshold")
