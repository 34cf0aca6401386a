"""Checks the alarms for a function that falls behind, or loses changes: whether they exist, notify somebody, or ring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.operations.doctor import expected
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, ok, warning, wrong
from backstream.ports import Described

NAME = "alarms"


def of(patient: DoctorContext, function: str, mappings: Sequence[Described]) -> Iterator[Check]:
    """Yields missing, mute or ringing alarms; one `ok` if there are none."""
    subjects = {function, *(str(each.get("UUID")) for each in mappings)}
    mine = [each for each in patient.account.alarms() if _metrics(each, subjects)]
    there = {metric for each in mine for metric in _metrics(each, subjects)}
    ringing = sorted(str(each.get("AlarmName")) for each in mine if each.get("StateValue") == "ALARM")
    mute = sorted(
        str(each.get("AlarmName")) for each in mine if not each.get("ActionsEnabled", True) or not each.get("AlarmActions")
    )
    if _for_all_tables(patient.account.alarms(), function):
        there |= set(expected.OF_MAPPINGS)
    missing = [f"{metric} ({meaning})" for metric, meaning in expected.ALARMS.items() if metric not in there]
    if ringing:
        yield wrong(NAME, f"in ALARM: {', '.join(ringing)}", f"aws cloudwatch describe-alarm-history --alarm-name {ringing[0]}")
    if missing:
        yield warning(NAME, f"none of {', '.join(missing)}", "backstream template cloudformation  # has them all")
    if mute:
        yield warning(NAME, f"these tell nobody: {', '.join(mute)}", "give them an --alarm-actions TOPIC_ARN")
    if not ringing and not missing and not mute:
        yield ok(NAME, f"{len(mine)}, none rings")


def _for_all_tables(alarms: Sequence[Described], function: str) -> bool:
    """True if the deployment's alarms are about all its tables: `Failures` of any of them rings long before Lambda gives up."""
    ours = {"Name": "Deployment", "Value": function.removesuffix("-capture")}
    return any(each.get("MetricName") == "Failures" and ours in (each.get("Dimensions") or ()) for each in alarms)


def _metrics(alarm: Described, subjects: set[str]) -> set[str]:
    """Returns the metrics of the function or its mappings that an alarm watches, alone or in a formula."""
    parts = [alarm, *((each.get("MetricStat") or {}).get("Metric") or {} for each in alarm.get("Metrics") or ())]
    return {
        str(each["MetricName"])
        for each in parts
        if each.get("MetricName") and any(one.get("Value") in subjects for one in each.get("Dimensions") or ())
    }
