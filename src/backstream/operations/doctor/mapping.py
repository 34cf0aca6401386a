"""Checks that one event source mapping loses nothing, and never stalls.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html; for the contents of a destination:
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from backstream.errors import MissingBucket
from backstream.operations.doctor import expected
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, look, ok, warning, wrong
from backstream.ports import Described


def of(patient: DoctorContext, mapping: Described) -> list[Check]:
    """Returns all checks of it."""
    return [
        *look("mapping", lambda: _state(mapping)),
        *look("start", lambda: _start(mapping)),
        *look("partial responses", lambda: _partial(mapping)),
        *look("retries", lambda: _retries(mapping)),
        *look("batches", lambda: _batches(mapping)),
        *look("on-failure destination", lambda: _destination(patient, mapping)),
    ]


def _update(mapping: Described, words: str) -> str:
    return f"aws lambda update-event-source-mapping --uuid {mapping.get('UUID')} {words}"


def _state(mapping: Described) -> Check:
    state, last = str(mapping.get("State")), str(mapping.get("LastProcessingResult") or "nothing yet")
    if state in ("Disabled", "Disabling"):
        return wrong("mapping", f"{state}: nothing reaches the function", _update(mapping, "--enabled"))
    if last.upper().startswith("PROBLEM"):
        return wrong("mapping", f"{state}; last: {last}", "look into the function's log; backstream doctor again when it is mended")
    if state != "Enabled":
        return warning("mapping", f"{state}; last: {last}", "wait a minute, and look again")
    return ok("mapping", f"{state}; last: {last}")


def _start(mapping: Described) -> Check:
    start = str(mapping.get("StartingPosition"))
    if start == expected.START:
        return ok("start", start)
    found = f"{start}: what was in the stream before it was made did not reach the function"
    return warning("start", found, "it cannot be changed: the next mapping is to be made with --starting-position TRIM_HORIZON")


def _partial(mapping: Described) -> Check:
    if expected.PARTIAL in (mapping.get("FunctionResponseTypes") or ()):
        return ok("partial responses", expected.PARTIAL)
    found = f"{expected.PARTIAL} is not set: changes that the function reports as not kept are taken for kept, and lost"
    return wrong("partial responses", found, _update(mapping, f"--function-response-types {expected.PARTIAL}"))


def _retries(mapping: Described) -> Iterator[Check]:
    attempts, age = _number(mapping, "MaximumRetryAttempts"), _number(mapping, "MaximumRecordAgeInSeconds")
    words = [
        f"--maximum-retry-attempts {expected.RETRIES}" if attempts == expected.FOREVER else "",
        f"--maximum-record-age-in-seconds {expected.RECORD_AGE}" if age == expected.FOREVER else "",
    ]
    mend = _update(mapping, " ".join(filter(None, words)))
    if attempts == expected.FOREVER and age == expected.FOREVER:
        yield wrong("retries", "without end: a change that cannot be kept stops its shard until all in it has expired", mend)
    elif expected.FOREVER in (attempts, age):
        yield warning("retries", f"{_said(attempts, ' attempts')}, {_said(age, ' s of age')}: a limit for each is safer", mend)
    else:
        yield ok("retries", f"{attempts} attempts, {age} s of age")
    if not mapping.get("BisectBatchOnFunctionError"):
        found = "a batch that fails is not split: one bad change takes the others with it"
        yield warning("bisect", found, _update(mapping, "--bisect-batch-on-function-error"))


def _number(mapping: Described, name: str) -> int:
    found = mapping.get(name)
    return expected.FOREVER if found is None else int(found)


def _said(number: int, unit: str) -> str:
    return f"no limit of{unit}" if number == expected.FOREVER else f"{number}{unit}"


def _batches(mapping: Described) -> Check:
    size, window = int(mapping.get("BatchSize") or 100), int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
    found = f"of {size}, within {window} s"
    if (mapping.get("FilterCriteria") or {}).get("Filters"):
        mend = _update(mapping, "--filter-criteria '{}'")
        return wrong(
            "batches", "a filter keeps changes from the function: they are not in the vault, and no gap tells of them", mend
        )
    if int(mapping.get("TumblingWindowInSeconds") or 0):
        mend = _update(mapping, "--tumbling-window-in-seconds 0")
        return wrong("batches", "a tumbling window: Lambda then expects a state that the handler does not answer", mend)
    if size < expected.LEAST_BATCH:
        mend = _update(mapping, "--batch-size 100 --maximum-batching-window-in-seconds 1")
        return warning("batches", f"{found}: a PUT and an invocation for so few changes", mend)
    return ok("batches", found)


def _destination(patient: DoctorContext, mapping: Described) -> Check:
    name = "on-failure destination"
    arn = str(((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination") or "")
    mend = _update(mapping, """--destination-config '{"OnFailure":{"Destination":"arn:aws:s3:::BUCKET"}}'""")
    if not arn:
        return wrong(name, "none: changes that are given up are lost", mend)
    if arn.split(":")[2:3] != ["s3"]:
        return wrong(name, f"{arn}: only one in S3 keeps the changes themselves", mend)
    bucket = arn.rpartition(":")[2].partition("/")[0]
    try:
        patient.bucket_of(bucket).find()
    except MissingBucket:
        return wrong(name, f"there is no bucket {bucket}: changes that are given up are lost", mend)
    return ok(name, f"s3://{bucket}")
