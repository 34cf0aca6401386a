"""The monitoring: alarms for a backup that is late, fails or is not proven, and a dashboard.

Metrics: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html; Backstream's own: apps/monitoring/metrics.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backstream.apps.deploy import functions
from backstream.apps.deploy.choices import KEY_ARN, LIMITS, Choices
from backstream.apps.deploy.expressions import Given, IfGiven, Of, Parameter, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.tables import Target
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import NAMESPACE

LAMBDA = "AWS/Lambda"
TOPIC = "AlarmTopic"
MINUTE, FIVE_MINUTES, HOUR = 60, 300, 3_600
QUIET, RINGS, STAYS = "notBreaching", "breaching", "ignore"

Dimension = tuple[str, Part | Text]


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the alarms."""
    if not choices.alarms:
        return
    yield from topic_parameters(choices)
    if choices.witness:
        limit = LIMITS["witness_within_minutes"]
        meaning = "An alarm rings where no witness has run for so many minutes. More than what is between two runs."
        default = choices.witness_within_minutes
        yield Parameter("WitnessWithinMinutes", meaning, default, least=limit.least, most=limit.most)
    if choices.drill:
        limit = LIMITS["drill_within_hours"]
        meaning = "An alarm rings where no drill has run for so many hours. More than what is between two drills."
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
        yield from _told(choices, _all_alarms(choices, targets))
    if choices.dashboard:
        yield _dashboard(choices, targets)


def of_replica(choices: Choices, target: Target) -> Iterator[Resource]:
    """Yields the alarms of a replicator."""
    yield from _told(choices, [_lag(), *_of_function(), *_given_up(target)])


def _told(choices: Choices, alarms: Iterable[Resource]) -> Iterator[Resource]:
    """Yields the alarms, and the topic that they notify, if one is created."""
    if choices.topic_key:
        yield _topic()
    yield from (_telling_topic(each) if choices.topic_key else each for each in alarms)


def _all_alarms(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    yield _lag()
    yield from _of_function()
    for each in targets:
        yield from _of_mapping(each)
        if choices.witness:
            yield from _of_witness(each)
        if choices.drill:
            yield from _of_drill(each)
    if choices.witness:
        yield _witness_errors()
    if choices.drill:
        yield _drill_errors()


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
        **_metric(LAMBDA, "IteratorAge", ("FunctionName", Of(functions.CAPTURE, "Ref"))),
        "Statistic": "Maximum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": 2,
        "Threshold": text(Given("RpoSeconds"), "000"),
    }
    # An idle table has no age, so it is not late.
    alarm = _alarm("LagAlarm", "lag", what, more, missing=QUIET, comparison="GreaterThanThreshold")
    return replace(alarm, why="IteratorAge is in milliseconds: the threshold is the seconds of the RPO, and three zeros.")


def _of_function() -> Iterator[Resource]:
    of_function = ("FunctionName", Of(functions.CAPTURE, "Ref"))
    what = "Invocations fail as a whole, three times in a row: nothing is kept. Before `backstream init` this is so."
    yield _sum("ErrorsAlarm", "errors", what, LAMBDA, "Errors", of_function, periods=3)
    what = "The function is throttled: the account's or its own concurrency is used up, and changes wait."
    yield _sum("ThrottlesAlarm", "throttles", what, LAMBDA, "Throttles", of_function, periods=3)
    what = "Batches that Lambda gave up on could not be put into the failures' bucket either: THESE CHANGES ARE LOST to the backup."
    yield _sum("LostAlarm", "lost", what, LAMBDA, "DestinationDeliveryFailures", of_function)


def _given_up(target: Target) -> Iterator[Resource]:
    mapping = ("EventSourceMappingUUID", Of(functions.mapping_id(target), "Ref"))
    named = f"{target.id}-".lstrip("-")
    what = target.named("Lambda gave up on changes of ", ": they lie in the failures' bucket. `backstream redrive` brings them in.")
    metric = "OnFailureDestinationDeliveredEventCount"
    yield _sum(f"{target.id}GivenUpAlarm", f"{named}given-up", what, LAMBDA, metric, mapping)
    what = target.named("Lambda dropped changes of ", ", whether or not they reached the failures' bucket.")
    yield _sum(f"{target.id}DroppedAlarm", f"{named}dropped", what, LAMBDA, "DroppedEventCount", mapping)


def _of_mapping(target: Target) -> Iterator[Resource]:
    yield from _given_up(target)
    named = f"{target.id}-".lstrip("-")
    what = target.named("Changes of ", " cannot be kept, and are tried again and again: the log says which, and why.")
    table = ("Table", target.label)
    yield _sum(f"{target.id}FailuresAlarm", f"{named}failures", what, NAMESPACE, "Failures", table, periods=3)


def _of_witness(target: Target) -> Iterator[Resource]:
    named = f"{target.id}-".lstrip("-")
    metric = _metric(NAMESPACE, metrics.WITNESS_LAG.name, ("Table", target.label))
    what = target.named("No witness of ", " has run for too long: nothing newer is proven, whatever the function has kept.")
    absent = {
        **metric,
        "Statistic": "SampleCount",
        "Period": MINUTE,
        "EvaluationPeriods": Given("WitnessWithinMinutes"),
        "Threshold": 1,
    }
    yield _alarm(
        f"{target.id}WitnessMissingAlarm", f"{named}witness-missing", what, absent, missing=RINGS, comparison="LessThanThreshold"
    )
    what = target.named("What is proven of ", " is older than the RPO: the witness does not keep up, or waits for something.")
    late = {
        **metric,
        "Statistic": "Minimum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": 2,
        "Threshold": Given("RpoSeconds"),
    }
    yield _alarm(f"{target.id}WitnessLagAlarm", f"{named}witness-lag", what, late, missing=STAYS, comparison="GreaterThanThreshold")


def _witness_errors() -> Resource:
    what = "The witness fails, three times in a row: nothing newer is proven. Before `backstream init` this is so."
    function = ("FunctionName", Of(functions.WITNESS, "Ref"))
    return _sum("WitnessErrorsAlarm", "witness-errors", what, LAMBDA, "Errors", function, periods=3)


def _of_drill(target: Target) -> Iterator[Resource]:
    named = f"{target.id}-".lstrip("-")
    what = target.named("The last drill of ", " failed: a restore may not work, or not in time. It rings until one passes.")
    metric = {
        **_metric(NAMESPACE, metrics.DRILL_PASSED.name, ("Table", target.label)),
        "Period": HOUR,
        "EvaluationPeriods": 1,
    }
    failed = {**metric, "Statistic": "Minimum", "Threshold": 1}
    yield _alarm(
        f"{target.id}DrillFailedAlarm", f"{named}drill-failed", what, failed, missing=STAYS, comparison="LessThanThreshold"
    )
    what = target.named("No drill of ", " has run for too long: that a restore works is not proven.")
    absent = {**metric, "Statistic": "SampleCount", "Threshold": 1, "EvaluationPeriods": Given("DrillWithinHours")}
    yield _alarm(
        f"{target.id}DrillMissingAlarm", f"{named}drill-missing", what, absent, missing=RINGS, comparison="LessThanThreshold"
    )


def _drill_errors() -> Resource:
    what = "A drill failed, or could not run."
    return _sum("DrillErrorsAlarm", "drill-errors", what, LAMBDA, "Errors", ("FunctionName", Of(functions.DRILL, "Ref")))


def _sum(
    id_: str, named: str, what: str | Text, namespace: str, metric: str, dimension: Dimension, *, periods: int = 1
) -> Resource:
    """Returns an alarm that rings if anything was counted in `periods` times five minutes in a row.

    A missing measurement counts as zero.
    """
    more = {
        **_metric(namespace, metric, dimension),
        "Statistic": "Sum",
        "Period": FIVE_MINUTES,
        "EvaluationPeriods": periods,
        "Threshold": 0,
    }
    return _alarm(id_, named, what, more, missing=QUIET, comparison="GreaterThanThreshold")


def _metric(namespace: str, name: str, dimension: Dimension) -> dict[str, Value]:
    return {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}]}


def _alarm(id_: str, named: str, what: str | Text, more: Mapping[str, Value], *, missing: str, comparison: str) -> Resource:
    properties: dict[str, Value] = {
        "AlarmName": text(StackValue.STACK, f"-{named}"),
        "AlarmDescription": what,
        **more,
        "ComparisonOperator": comparison,
        "TreatMissingData": missing,
        "AlarmActions": IfGiven("AlarmTopicArn"),
        "OKActions": IfGiven("AlarmTopicArn"),
    }
    return Resource(id_, "AWS::CloudWatch::Alarm", properties)


# --- the dashboard ----------------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, COLUMNS = 8, 6, 3


def _dashboard(choices: Choices, targets: Sequence[Target]) -> Resource:
    """Returns the dashboard. Its body is JSON in a text, as CloudWatch requires."""
    widgets = [
        {
            "type": "metric",
            "x": at % COLUMNS * WIDTH,
            "y": at // COLUMNS * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": each,
        }
        for at, each in enumerate(_widgets(choices, targets))
    ]
    # Dashboards belong to the account, not to the region: two regions may each have a stack of this name.
    properties = {"DashboardName": text(StackValue.STACK, "-", StackValue.REGION), "DashboardBody": _json({"widgets": widgets})}
    return Resource("Dashboard", "AWS::CloudWatch::Dashboard", properties)


def _widgets(choices: Choices, targets: Sequence[Target]) -> Iterator[Mapping[str, Value]]:
    capture = Of(functions.CAPTURE, "Ref")
    tables = [each.label for each in targets]
    mappings = [Of(functions.mapping_id(each), "Ref") for each in targets]
    age = [[LAMBDA, "IteratorAge", "FunctionName", capture, {"stat": "Maximum", "label": "age of the last change read (ms)"}]]
    yield _widget("How late is capture?", age)
    yield _widget("Lag of each table (s)", [_series("Lag", each, "Maximum") for each in tables])
    yield _widget("Changes kept", [_series("Changes", each, "Sum") for each in tables])
    counts = ["Invocations", "Errors", "Throttles", "DestinationDeliveryFailures"]
    yield _widget("The function", [[LAMBDA, name, "FunctionName", capture, {"stat": "Sum"}] for name in counts])
    names = ["DroppedEventCount", "OnFailureDestinationDeliveredEventCount"]
    given_up = [[LAMBDA, name, "EventSourceMappingUUID", each, {"stat": "Sum"}] for each in mappings for name in names]
    yield _widget("Given up on", given_up)
    yield _widget("Changes that could not be kept", [_series("Failures", each, "Sum") for each in tables])
    yield _widget("Bytes kept", [_series("Bytes", each, "Sum") for each in tables])
    if choices.witness:
        yield _widget("Age of what is proven (s)", [_series(metrics.WITNESS_LAG.name, each, "Maximum") for each in tables])
        yield _widget("Missing, brought in by the witness", [_series(metrics.WITNESS_MISSING.name, each, "Sum") for each in tables])
    if choices.drill:
        rto = metrics.DRILL_RTO.name
        yield _widget("Drills passed", [_series(metrics.DRILL_PASSED.name, each, "Minimum") for each in tables])
        yield _widget("Time of a restore (s)", [_series(rto, each, "Maximum") for each in tables])


def _series(metric: str, table: Text, statistic: str) -> list[Value]:
    return [NAMESPACE, metric, "Table", table, {"stat": statistic}]


def _widget(title: str, series: Sequence[Value]) -> Mapping[str, Value]:
    return {"title": title, "region": StackValue.REGION, "view": "timeSeries", "period": FIVE_MINUTES, "metrics": series}


def _json(value: Value, indent: str = "") -> Text:
    """Returns JSON for people, with placeholders for later values: one line for each of a widget's properties."""
    inner = indent + " "
    if isinstance(value, Mapping):
        flat = not any(isinstance(each, Mapping | list) for each in value.values())
        fields = [text(f'"{name}": ', _json(each, inner)) for name, each in value.items()]
        return text("{", *_joined(fields, ", "), "}") if flat else _lines("{", fields, "}", indent)
    if isinstance(value, Sequence) and not isinstance(value, str):
        flat = not any(isinstance(each, list) or (isinstance(each, Mapping) and "type" in each) for each in value)
        entries = [_json(each, inner) for each in value]
        return text("[", *_joined(entries, ", "), "]") if flat else _lines("[", entries, "]", indent)
    if isinstance(value, bool | int):
        return text(str(value).lower())
    return text('"', value, '"') if isinstance(value, str | Of | StackValue | Given | Text) else text()


def _lines(opening: str, entries: Sequence[Text], closing: str, indent: str) -> Text:
    return text(f"{opening}\n {indent}", *_joined(entries, f",\n {indent}"), f"\n{indent}{closing}")


def _joined(entries: Sequence[Text], between: str) -> Iterator[Part | Text]:
    for at, each in enumerate(entries):
        if at:
            yield between
        yield each
