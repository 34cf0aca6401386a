"""The source of a table's changes: its own stream or a Kinesis stream, one at a time.

The same change has another sequence number in each, so a vault that took both at once would not know which of two is later. The
catalog names the source; see docs/notes/0014.
"""

from __future__ import annotations

from collections.abc import Iterable

from backstream.errors import Refused
from backstream.model.changes.change import Change, stream_label
from backstream.model.changes.deliveries import is_kinesis
from backstream.model.changes.timestamp_collisions import REASON, contradicted
from backstream.ports import Table
from backstream.vault.catalog import Catalog
from backstream.vault.gaps.gaps import Gap, Gaps
from backstream.vault.table_vault import TableVault


def label_of(catalog: Catalog, arn: str) -> str:
    """Returns the label that the vault gives to changes from this stream. Raises Refused if it takes them from elsewhere."""
    if catalog.kinesis is None and not is_kinesis(arn):
        return stream_label(arn)
    if catalog.kinesis is not None and catalog.kinesis.arn == arn:
        return catalog.stream
    now = "the table's own stream" if catalog.kinesis is None else catalog.kinesis.arn
    there = f"run `backstream init {catalog.table} --kinesis {arn}`, or " if is_kinesis(arn) else ""
    raise Refused(
        f"the vault takes the changes of {catalog.table} from {now}, not from {arn}: nothing of this was kept",
        hint=f"One source at a time: {there}map the function to {now}.",
    )


def check_destination(table: Table, arn: str) -> None:
    """Raises Refused if the table's changes do not go to that Kinesis stream, as far as that may be read."""
    seen = table.settings()
    there = any(each.stream_arn == arn for each in seen.kinesis_destinations)
    if not there and "kinesis_destinations" not in seen.unknown:
        raise Refused(
            f"the changes of {table.name} do not go to {arn}: there is nothing to follow",
            hint=f"Run `aws dynamodb enable-kinesis-streaming-destination --table-name {table.name} --stream-arn {arn} "
            "--enable-kinesis-streaming-configuration ApproximateCreationDateTimePrecision=MICROSECOND`, and wait for ACTIVE.",
        )


def record_ties(vault: TableVault, changes: Iterable[Change]) -> None:
    """Records a gap for each uncertainty of a Kinesis stream: the state after changes whose order their images contradict."""
    if vault.catalog.kinesis is not None:
        record_ties_in(vault.gaps, vault.catalog.stream, changes)


def record_ties_in(gaps: Gaps, label: str, changes: Iterable[Change]) -> int:
    """Does the same as `record_ties`, and returns the number of gaps."""
    seconds = contradicted(changes)
    for second in seconds:
        gaps.record(Gap(reason=REASON, since=second, until=second, stream=label))
    return len(seconds)
