"""Where a table's changes come from: its own stream or a Kinesis stream, one at a time.

The same change has another sequence number in each, so a vault that took both at once would not know which of two is later. The
catalog says which it takes; see docs/notes/0014.
"""

from __future__ import annotations

from backstream.errors import Refused
from backstream.layouts.catalog import Catalog
from backstream.model.change import stream_label
from backstream.model.deliveries import is_kinesis


def label_of(catalog: Catalog, arn: str) -> str:
    """The label under which the vault keeps changes that this stream delivers. Refused where it takes them from elsewhere."""
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
