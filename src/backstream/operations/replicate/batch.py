"""Brings some changes into a replica: the common part of a tail's turn and a Lambda function's batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.errors import BackstreamError
from backstream.model.changes.change import Change
from backstream.model.values.schema import KeySchema
from backstream.operations.capture.durable import by_item
from backstream.operations.replicate.reconcile import Reconciler


def bring(changes: Sequence[Change], replica: Reconciler, schema: KeySchema) -> Mapping[int, BackstreamError]:
    """Makes the target's items like the source's, for the items of these changes.

    Returns the changes whose items are not yet equal, by position, with the error.
    """
    items, failures = by_item(changes, schema)
    heard = [replica.news([changes[position] for position in positions]) for positions in items.values()]
    for key, error in replica.settle(heard).items():
        failures |= dict.fromkeys(items[key], error)
    return failures
