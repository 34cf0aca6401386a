"""The dashboard of a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backstream.apps.deploy import functions
from backstream.apps.deploy.choices import Choices
from backstream.apps.deploy.expressions import Given, Of, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.monitoring.alarm_parts import FIVE_MINUTES, LAMBDA
from backstream.apps.deploy.tables import Target
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import NAMESPACE

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html, in the quotes of JSON
SEARCH = r"""SEARCH('{%s} MetricName=\"%s\"', '%s', 300)"""
WIDTH, HEIGHT, COLUMNS = 8, 6, 3


def dashboard(choices: Choices, targets: Sequence[Target]) -> Resource:
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
    if choices.many:
        yield from _widgets_of_many(choices, capture)
        return
    tables = [text(each.name) for each in targets]
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
        yield _widget("Age of the last proven second (s)", [_series(metrics.WITNESS_LAG.name, each, "Maximum") for each in tables])
        yield _widget("Missing, brought in by the witness", [_series(metrics.WITNESS_MISSING.name, each, "Sum") for each in tables])
    if choices.drill:
        rto = metrics.DRILL_RTO.name
        yield _widget("Drills passed", [_series(metrics.DRILL_PASSED.name, each, "Minimum") for each in tables])
        yield _widget("Time of a restore (s)", [_series(rto, each, "Maximum") for each in tables])


def _widgets_of_many(choices: Choices, capture: Of) -> Iterator[Mapping[str, Value]]:
    """Yields the widgets that find the tables' metrics themselves, so that the dashboard is the same for any number of tables."""
    age = [[LAMBDA, "IteratorAge", "FunctionName", capture, {"stat": "Maximum", "label": "age of the last change read (ms)"}]]
    yield _widget("How late is capture?", age)
    counts = ["Invocations", "Errors", "Throttles", "DestinationDeliveryFailures"]
    yield _widget("The function", [[LAMBDA, name, "FunctionName", capture, {"stat": "Sum"}] for name in counts])
    for title, metric, statistic in _of_tables(choices):
        yield _widget(title, [[{"expression": SEARCH % (f"{NAMESPACE},Table", metric, statistic)}]])
    names = ["DroppedEventCount", "OnFailureDestinationDeliveredEventCount"]
    found = [[{"expression": SEARCH % (f"{LAMBDA},EventSourceMappingUUID", name, "Sum")}] for name in names]
    yield _widget("Given up on, by any mapping of the account", found)


def _of_tables(choices: Choices) -> Iterator[tuple[str, str, str]]:
    """Yields the title, metric and statistic of each widget with a line for each table."""
    yield "Lag of each table (s)", "Lag", "Maximum"
    yield "Changes kept", "Changes", "Sum"
    yield "Changes that could not be kept", "Failures", "Sum"
    yield "Bytes kept", "Bytes", "Sum"
    if choices.witness:
        yield "Age of the last proven second (s)", metrics.WITNESS_LAG.name, "Maximum"
        yield "Missing, brought in by the witness", metrics.WITNESS_MISSING.name, "Sum"
    if choices.drill:
        yield "Drills passed", metrics.DRILL_PASSED.name, "Minimum"
        yield "Time of a restore (s)", metrics.DRILL_RTO.name, "Maximum"


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
