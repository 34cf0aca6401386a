"""Reports the failed records of an event: the event source mapping begins there again."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.model.changes.deliveries import Record, place_of


def identifiers(records: Sequence[Record], failed: Sequence[tuple[str, int]]) -> list[dict[str, str]]:
    """Returns the lowest failed sequence number of each source. Lambda retries from there on, so one is enough.

    For a record without a usable number, the record before it is named; if there is none, an empty identifier makes Lambda deliver
    the whole batch again. Sources: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html and
    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    numbers: dict[str, list[str]] = {}
    for source, position in failed:
        numbers.setdefault(source, []).append(_number_to_retry_from(records, position))
    return [{"itemIdentifier": "" if "" in each else min(each, key=int)} for each in numbers.values()]


def _number_to_retry_from(records: Sequence[Record], position: int) -> str:
    return next((number for each in reversed(records[: position + 1]) if (number := place_of(each))), "")
