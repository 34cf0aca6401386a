"""A scheduled export's Lambda handler: `backstream.apps.aws_export.handler`, for a function from an image.

`BACKSTREAM_VAULT` names the vault, `BACKSTREAM_EXPORT_TO` the warehouse, and `BACKSTREAM_EXPORT_CATALOG` the catalog (`glue` if it
is not set). The event names the tables: `{"table": "flights"}`, `{"tables": ["flights", "orders"]}`, or `{"group": "shop"}`.
It appends each table's changes of all complete hours to the Iceberg table, each exactly once, as `backstream export --follow`. It
takes the tables one after the other, beginning with another one each time. A fault in one does not stop the others. No batch is
begun shortly before the end; an invocation that Lambda ends in a batch has appended nothing of it, and the next one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from backstream.apps.config import Config
from backstream.apps.lambdas import invocation, several
from backstream.apps.lambdas.export_settings import CATALOG_VARIABLE, GLUE, TO_VARIABLE
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.apps.verbs.tabular.lakes import Lake
from backstream.clock import SystemClock
from backstream.errors import UsageError

SHARE = 3  # no batch is begun in the last third of the time
HINT = 'Send {"table": "NAME"}, {"tables": ["NAME", ...]} or {"group": "NAME"}.'


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Appends what is new of the tables, and returns the report of `export` under each table's name.

    Raises UsageError for an invalid event or a variable that is missing, and Failed with the names of tables whose export failed.
    """
    wanted = several.event_of(event, several.OfTables, "an export", HINT)
    lake = Lake(_warehouse(), os.environ.get(CATALOG_VARIABLE) or GLUE)
    clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
    ends = clock.now() + seconds - seconds / SHARE
    config = Config(clock=clock, patience=seconds, deadline=clock.now() + seconds)
    vault, tables = Vault(config), wanted.names(config)
    found, failed = several.in_turn(tables, clock, ends, lambda table: vault.table(table).append_to_iceberg(lake, ends=ends))
    several.raise_if(failed, tables, "the export has failed for")
    return found


def _warehouse() -> str:
    found = os.environ.get(TO_VARIABLE)
    if not found:
        raise UsageError(f"{TO_VARIABLE} is not set", hint="It is the URL below which new Iceberg tables lie: s3://BUCKET/FOLDER.")
    return found
