"""The monitoring: alarms for a backup that is late, fails or is not proven, and a dashboard.

Metrics: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html; Backstream's own: apps/monitoring/metrics.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from backstream.apps.deploy import functions
from backstream.apps.deploy.choices import KEY_ARN, LIMITS, AlarmsPer, Choices
from backstream.apps.deploy.expressions import Given, Of, Parameter, Resource, StackValue, text
from backstream.apps.deploy.monitoring import group_alarms
from backstream.apps.deploy.monitoring.alarm_parts import (
    FIVE_MINUTES,
    HOUR,
    LAMBDA,
    MINUTE,
    QUIET,
    RINGS,
    STAYS,
    alarm,
    metric_of,
    summed,
)
from backstream.apps.deploy.monitoring.dashboard import dashboard
from backstream.apps.deploy.tables import Target
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import NAMESPACE

TOPIC = "AlarmTopic"


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the alarms."""
    if not choices.alarms:
        return
    yield from topic_parameters(choices)
    if choices.witness:
        limit = LIMITS["witness_within_minutes"]
        meaning = "Minutes without a run of the witness after which an alarm rings. More than what is between two runs."
        default = choices.witness_within_minutes
        yield Parameter("WitnessWithinMinutes", meaning, default, least=limit.least, most=limit.most)
    if choices.drill:
        limit = LIMITS["drill_within_hours"]
        meaning = "Hours without a drill after which an alarm rings. More than what is between two drills."
        yield Parameter("DrillWithinHours", meaning, choices.drill_within_hours, least=limit.least, most=limit.most)


def topic_parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the alarms' topic."""
    if not choices.alarms:
        return
    if choices.topic_key:
        yield Parameter("TopicKeyArn", "The KMS key that encrypts the alarms' topic.", choices.topic_key, pattern=KEY_ARN)
    else:
        meaning = "The SNS topic that is told when an alarm rings, and when it ends. Empty: nobody is."
        yield Parameter("AlarmTopicArn", meaning, choices.alarm_topic or "", pattern="(arn:.+)?")


def resources(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the alarms with their topic, and the dashboard."""
    if choices.alarms:
        made = [*_all_alarms(choices, targets)]
        if choices.alarms_per is AlarmsPer.COMPOSITE:
            made = [*group_alarms.below_one(made)]
        yield from _told(choices, made)
    if choices.dashboard:
        yield dashboard(choices, targets)


def of_replica(choices: Choices, target: Target) -> Iterator[Resource]:
    """Yields the alarms of a replicator."""
    yield from _told(choices, [_lag(), *_of_function(), *(replace(each, of_table=target.table) for each in _given_up(target))])


def _told(choices: Choices, alarms: Iterable[Resource]) -> Iterator[Resource]:
    """Yields the alarms, and the topic that they notify, if one is created."""
    if choices.topic_key:
        yield _topic()
    yield from (_telling_topic(each) if choices.topic_key and "AlarmActions" in each.properties else each for each in alarms)


def _all_alarms(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    yield _lag()
    yield from _of_function()
    if choices.grouped:
        yield from group_alarms.all_of(choices)
    else:
        for each in targets:
            yield from (replace(made, of_table=each.table) for made in _of_table(choices, each))
    if choices.witness:
        yield _witness_errors()
    if choices.drill:
        yield _drill_errors()
    if choices.retain:
        yield _retain_errors()


def _of_table(choices: Choices, target: Target) -> Iterator[Resource]:
    yield from _of_mapping(target)
    if choices.witness:
        yield from _of_witness(target)
    if choices.drill:
        yield from _of_drill(target)


def _topic() -> Resource:
    properties = {"TopicName": text(StackValue.STACK, "-alarms"), "KmsMasterKeyId": Given("TopicKeyArn")}
    why = "Its subscribers are notified when an alarm rings. The key's policy has to let cloudwatch.amazonaws.com use it."
    return Resource(TOPIC, "AWS::SNS::Topic", properties, why)


def _telling_topic(alarm: Resource) -> Resource:
    told = [Of(TOPIC, "Ref")]
    return replace(alarm, properties={**alarm.properties, "AlarmActions": told, "OKActions": told})


# --- alarms -----------------------------------------------------------------------------------------------------------------------


def _lag() -> Resource:
    """Returns the alarm on lag, over two readings: one alone may be a slow batch."""
    what = "Capture is later than the RPO: what was changed since would be lost with the table."
    more = {
        **metric_of(LAMBDA, "IteratorAge", ("FunctionName", Of(functions.CAPTURE, "Ref"))),
        "Statistic": "Maximum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": 2,
        "Threshold": text(Given("RpoSeconds"), "000"),
    }
    # An idle table has no age, so it is not late.
    made = alarm("LagAlarm", ("-lag",), what, more, missing=QUIET, comparison="GreaterThanThreshold")
    return replace(made, why="IteratorAge is in milliseconds: the threshold is the seconds of the RPO, and three zeros.")


def _of_function() -> Iterator[Resource]:
    of_function = ("FunctionName", Of(functions.CAPTURE, "Ref"))
    what = "Invocations fail as a whole, three times in a row: nothing is kept. This is expected before `backstream init`."
    yield summed("ErrorsAlarm", ("-errors",), what, LAMBDA, "Errors", of_function, periods=3)
    what = "The function is throttled: the account's or its own concurrency is used up, and changes wait."
    yield summed("ThrottlesAlarm", ("-throttles",), what, LAMBDA, "Throttles", of_function, periods=3)
    what = "Batches that Lambda gave up on could not be put into the failures' bucket either: THESE CHANGES ARE LOST to the backup."
    yield summed("LostAlarm", ("-lost",), what, LAMBDA, "DestinationDeliveryFailures", of_function)


def _given_up(target: Target) -> Iterator[Resource]:
    mapping = ("EventSourceMappingUUID", Of(functions.mapping_id(target), "Ref"))
    what = target.named("Lambda gave up on changes of ", ": they lie in the failures' bucket. `backstream redrive` brings them in.")
    metric = "OnFailureDestinationDeliveredEventCount"
    yield summed(f"{target.id}GivenUpAlarm", target.ending("given-up"), what, LAMBDA, metric, mapping)
    what = target.named("Lambda dropped changes of ", ", whether or not they reached the failures' bucket.")
    yield summed(f"{target.id}DroppedAlarm", target.ending("dropped"), what, LAMBDA, "DroppedEventCount", mapping)


def _of_mapping(target: Target) -> Iterator[Resource]:
    yield from _given_up(target)
    what = target.named("Changes of ", " cannot be kept, and are tried again and again: the log says which, and why.")
    table = ("Table", text(target.name))
    yield summed(f"{target.id}FailuresAlarm", target.ending("failures"), what, NAMESPACE, "Failures", table, periods=3)


def _of_witness(target: Target) -> Iterator[Resource]:
    metric = metric_of(NAMESPACE, metrics.WITNESS_LAG.name, ("Table", text(target.name)))
    what = target.named("No witness of ", " has run for too long: nothing newer is proven, whatever the function has kept.")
    absent = {
        **metric,
        "Statistic": "SampleCount",
        "Period": MINUTE,
        "EvaluationPeriods": Given("WitnessWithinMinutes"),
        "Threshold": 1,
    }
    yield alarm(
        f"{target.id}WitnessMissingAlarm",
        target.ending("witness-missing"),
        what,
        absent,
        missing=RINGS,
        comparison="LessThanThreshold",
    )
    what = target.named("The proof of ", " is older than the RPO: the witness does not keep up, or waits for something.")
    late = {
        **metric,
        "Statistic": "Minimum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": 2,
        "Threshold": Given("RpoSeconds"),
    }
    yield alarm(
        f"{target.id}WitnessLagAlarm", target.ending("witness-lag"), what, late, missing=STAYS, comparison="GreaterThanThreshold"
    )


def _witness_errors() -> Resource:
    what = "The witness fails, three times in a row: nothing newer is proven. This is expected before `backstream init`."
    function = ("FunctionName", Of(functions.WITNESS, "Ref"))
    return summed("WitnessErrorsAlarm", ("-witness-errors",), what, LAMBDA, "Errors", function, periods=3)


def _of_drill(target: Target) -> Iterator[Resource]:
    what = target.named("The last drill of ", " failed: a restore may not work, or not in time. It rings until one passes.")
    metric = {
        **metric_of(NAMESPACE, metrics.DRILL_PASSED.name, ("Table", text(target.name))),
        "Period": HOUR,
        "EvaluationPeriods": 1,
    }
    failed = {**metric, "Statistic": "Minimum", "Threshold": 1}
    yield alarm(
        f"{target.id}DrillFailedAlarm", target.ending("drill-failed"), what, failed, missing=STAYS, comparison="LessThanThreshold"
    )
    what = target.named("No drill of ", " has run for too long: that a restore works is not proven.")
    absent = {**metric, "Statistic": "SampleCount", "Threshold": 1, "EvaluationPeriods": Given("DrillWithinHours")}
    yield alarm(
        f"{target.id}DrillMissingAlarm", target.ending("drill-missing"), what, absent, missing=RINGS, comparison="LessThanThreshold"
    )


def _drill_errors() -> Resource:
    what = "A drill failed, or could not run."
    return summed("DrillErrorsAlarm", ("-drill-errors",), what, LAMBDA, "Errors", ("FunctionName", Of(functions.DRILL, "Ref")))


def _retain_errors() -> Resource:
    what = "The retention of a table failed, or left something: history grows. This is expected before `backstream init --keep`."
    return summed("RetainErrorsAlarm", ("-retain-errors",), what, LAMBDA, "Errors", ("FunctionName", Of(functions.RETAIN, "Ref")))
