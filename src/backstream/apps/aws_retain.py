"""A scheduled retention's Lambda handler: `backstream.apps.aws_retain.handler`, configured by `BACKSTREAM_VAULT`.

The event names the tables: `{"table": "flights"}`, `{"tables": ["flights", "orders"]}`, or a group, `{"group": "shop"}`. It removes
each table's history that the catalog gives up (`backstream init --keep`). A table whose catalog says nothing of it is left alone,
and the invocation fails. It takes them one after the other, beginning with another one each time. A fault in one does not stop the
others. An invocation that Lambda ends in the middle leaves a vault that is right, and the next one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from backstream.apps.config import Config
from backstream.apps.lambdas import invocation, several
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.clock import SystemClock

RESERVE = 30.0  # seconds before the end in which no other table is begun; a third of what there is if that is less
HINT = 'Send {"table": "NAME"}, {"tables": ["NAME", ...]} or {"group": "NAME"}.'
FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"


class RetainEvent(several.OfTables, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of an event: tables, and `dry_run`: only report what would be removed."""

    dry_run: bool = False


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Removes the old history of the tables, and returns the report of `retain` under each table's name.

    Raises UsageError for an invalid event, and Failed with the names of tables whose retention failed.
    """
    wanted = several.event_of(event, RetainEvent, "a retention", HINT)
    clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
    ends = clock.now() + seconds - min(RESERVE, seconds / 3)
    config = Config(clock=clock, patience=seconds, deadline=clock.now() + seconds)
    config.writer = os.environ.get(FUNCTION_NAME, config.writer)
    vault, tables = Vault(config), wanted.names(config)
    found, failed = several.in_turn(
        tables, clock, ends, lambda table: vault.table(table).retain(dry_run=wanted.dry_run), lambda report: not report["left"]
    )
    several.raise_if(failed, tables, "the retention has failed for")
    return found
