"""`replicate`: one table kept like another."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

from backstream.apps.aws.locations import TablePlace
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import Json, TableName
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.target_options import ToEndpoint, ToProfile, ToRegion
from backstream.apps.verbs import tables
from backstream.operations.replicate import Deletes, Replicated


def replicate(
    table: TableName,
    *,
    to: Annotated[str, Option("--to", metavar="TABLE2", help="The table that becomes like it.", show_default=False)],
    to_profile: ToProfile = None,
    to_region: ToRegion = None,
    to_endpoint: ToEndpoint = None,
    deletes: Annotated[
        Deletes, Option(metavar="all|not-ttl|none", help="Deletes that reach TABLE2; not-ttl: all except time to live's.")
    ] = Deletes.ALL,
    copy: Annotated[bool, Option("--copy", help="Also copy TABLE's existing items, beside the changes.")] = False,
    state: Annotated[
        Path | None,
        Option("--state", metavar="FILE", help="File with its progress [replicate-TABLE-to-TABLE2.json].", show_default=False),
    ] = None,
    until_caught_up: Annotated[bool, Option("--until-caught-up", help="End once there is nothing left to read.")] = False,
    json: Json = False,
) -> int:
    """Keep another table like this one, from its stream, until stopped. Stop it, kill it, run two: nothing is lost."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    notice(f"{to} becomes like {table}" + ("" if until_caught_up else "; Ctrl-C ends it cleanly"))
    report = tables.replicate(
        table,
        to,
        place=TablePlace(to_profile, to_region, to_endpoint),
        deletes=deletes,
        copy=copy,
        state=state,
        until_caught_up=until_caught_up,
        stop=stop,
        notice=notice,
    )
    if json:
        as_json(report)
    else:
        _show(report)
    if not report.copied_whole:
        notice("the copy of the existing items was stopped on its way: run it again with --copy")
    return 0 if report.copied_whole and not report.gaps else 1


def _show(report: Replicated) -> None:
    lag = "unknown" if report.lag_seconds is None else f"{report.lag_seconds:.0f} s"
    as_facts(
        [
            ("replicated", f"{report.table} to {report.target}"),
            ("changes", f"{report.changes} read from the stream"),
            *((("copied", f"{report.copied} items looked at"),) if report.copied else ()),
            ("written", f"{report.put} put, {report.deleted} deleted; {report.unchanged} were so already"),
            ("behind", lag),
            *(
                (("lost", f"{report.gaps} gap(s): `backstream diff {report.table} {report.target} --repair`"),)
                if report.gaps
                else ()
            ),
        ]
    )
