"""One delivered batch made durable: the Lambda handler's work, told apart from Lambda.

A batch is not a run of a shard (several invocations may work on one), so its segments are nobody's checkpoint. What cannot be
kept is reported, to be delivered again, and recorded as a gap until it has arrived: the window never reaches beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from backstream.errors import BackstreamError, MalformedRecord
from backstream.layouts.gaps import Gap
from backstream.layouts.images import images_for
from backstream.layouts.segments import Kind
from backstream.layouts.vault import TableVault
from backstream.model.change import Change, from_record
from backstream.model.entry import Entry
from backstream.operations import capture


class BatchReport(msgspec.Struct, frozen=True):
    """`captured`: how many changes are in the log now; `failures`: what is not, by position in the batch, and why."""

    captured: int
    failures: Mapping[int, BackstreamError]


def keep_batch(
    vault: TableVault,
    records: Sequence[Mapping[str, Any]],
    stream: str,
    pool: ThreadPoolExecutor,
    *,
    writer: str,
    kind: Kind,
    now: Callable[[], float],
) -> BatchReport:
    """Make the records of one batch durable: images, then the log. Malformed records do not hide the others.

    WrongStreamView (the stream carries no whole items) refuses the batch as a whole.
    """
    changes, failures = _parse(records, stream)
    positions = list(changes)
    kept = capture.keep(list(changes.values()), images_for(vault.store, vault.catalog), vault.catalog.key_schema, pool)
    failures |= {positions[each]: error for each, error in kept.failures.items()}
    entries = {positions[each]: entry for each, entry in kept.entries.items()}
    captured = _log(vault, entries, failures, _Batch(records, stream, changes, writer, kind, int(now())))
    return BatchReport(captured, failures)


class _Batch(msgspec.Struct, frozen=True):
    records: Sequence[Mapping[str, Any]]
    stream: str
    changes: Mapping[int, Change]
    writer: str
    kind: Kind
    now: int


def _parse(records: Sequence[Mapping[str, Any]], stream: str) -> tuple[dict[int, Change], dict[int, BackstreamError]]:
    changes: dict[int, Change] = {}
    failures: dict[int, BackstreamError] = {}
    for position, record in enumerate(records):
        try:
            changes[position] = from_record(record, stream)
        except MalformedRecord as error:
            failures[position] = error
    return changes, failures


def _log(vault: TableVault, entries: Mapping[int, Entry], failures: dict[int, BackstreamError], batch: _Batch) -> int:
    """Write the log. Entries behind a failure may only be logged once that failure stands recorded as a gap."""
    first_failed = min(failures, default=len(batch.records))
    safe = [entry for position, entry in sorted(entries.items()) if position < first_failed]
    try:
        for position in sorted(failures):
            vault.gaps.record(_gap(batch, position, failures[position]))
        safe = [entry for _, entry in sorted(entries.items())]
    except BackstreamError as error:
        failures |= {position: error for position in entries if position > first_failed}
    try:
        vault.log.write_batch(safe, batch.kind, writer=batch.writer)
    except BackstreamError as error:
        failures |= dict.fromkeys(entries, error)
        return 0
    return len(safe)


def _gap(batch: _Batch, position: int, error: BackstreamError) -> Gap:
    change = batch.changes.get(position)
    since, until = _bounds(batch, position)
    sequence = change.sequence if change else getattr(error, "sequence", "") or None
    return Gap(reason=f"not kept: {error.message}"[:500], since=since, until=until, stream=batch.stream, sequence=sequence)


def _bounds(batch: _Batch, position: int) -> tuple[int, int]:
    """When the change was made; where it does not say, between its neighbours of the batch."""
    if position in batch.changes:
        seconds = batch.changes[position].seconds
        return seconds, seconds
    before = [change.seconds for at, change in batch.changes.items() if at < position]
    after = [change.seconds for at, change in batch.changes.items() if at > position]
    first = min([*before[-1:], *after[:1]], default=batch.now)
    return first, max([*before[-1:], *after[:1]], default=batch.now)
