"""`redrive`: what Lambda gave up comes back into the vault."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import Json, TableName, Vault
from backstream.apps.cli.output import NAMED_FAILURES, as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import PartlyDone
from backstream.model.counts import counted
from backstream.operations.capture.redrive import Redriven


def redrive(
    table: TableName,
    *,
    vault: Vault = None,
    source: Annotated[
        str | None,
        Option("--from", metavar="s3://BUCKET", help="The on-failure destination [default: init's].", show_default=False),
    ] = None,
    give_up: Annotated[
        list[str] | None,
        Option("--give-up", metavar="WHAT", help="Declare a remaining sequence number or object lost: a gap."),
    ] = None,
    accept_settings: Annotated[
        bool, Option("--accept-settings", help="The bucket may belong to another account than the table.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Only list the waiting batches.")] = False,
    json: Json = False,
) -> None:
    """Bring back the batches that Lambda discarded. Safe at any time, beside a running function, and repeatedly."""
    with ProgressBar() as bar:
        report = (
            library.open(vault)
            .table(table)
            .redrive(source=source, give_up=give_up or (), dry_run=dry_run, accept_settings=accept_settings, progress=bar)
        )
    for left in report.left[:NAMED_FAILURES]:
        notice(f"LEFT: {left.batch}" + (f", record {left.sequence}" if left.sequence else "") + f": {left.why}")
    if report.left[NAMED_FAILURES:]:
        notice(f"... and {len(report.left) - NAMED_FAILURES} more: --json names every one")
    for each in report.not_found:
        notice(f"note: nothing that is left is {each}: there was nothing of that to give up")
    for each in report.notes:
        notice(f"note: {each}")
    if json:
        as_json(report)
    else:
        _show(report)
    if report.left:
        raise PartlyDone(
            f"{len(report.left)} object(s) or record(s) are left in {report.source}: as long as they are there, they are a gap",
            hint="Mend what is named and run it again, or declare one lost with --give-up WHAT. A base backup closes the gap.",
        )


def _show(report: Redriven) -> None:
    done = (
        "nothing: a dry run"
        if report.dry_run
        else f"{counted(report.redriven, 'batch', 'batches')}, {counted(report.captured, 'change')} in the vault"
    )
    as_facts(
        [
            ("table", report.table),
            ("from", report.source),
            ("found", f"{counted(report.batches, 'batch', 'batches')}, {counted(report.records, 'record')}"),
            ("redriven", done),
            *((("discarded", f"{counted(report.forgotten, 'change')} of erased items"),) if report.forgotten else ()),
            *(("given up", each) for each in report.given_up),
            ("left", f"{len(report.left):,}"),
        ]
    )
