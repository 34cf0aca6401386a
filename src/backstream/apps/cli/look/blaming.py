"""`blame`: which principal made each change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated

import msgspec

from backstream.apps import library
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.options import AllowGap, Json, TableName, Vault
from backstream.apps.cli.output import as_facts, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import BackstreamError, NotFound
from backstream.model.counts import counted
from backstream.model.values.visible import visible_json, visible_line
from backstream.operations.blame import Blamed, BlameFinding, Outcome
from backstream.operations.blame.run import no_events
from backstream.vault.attribution.findings import Caller

NAMED = 20  # files that are named on stderr


def blame(
    table: TableName,
    key: Annotated[str | None, Argument(metavar="[KEY]", help="Only this item.", show_default=False)] = None,
    *,
    cloudtrail: Annotated[
        str,
        Option(metavar="URL", help="s3://bucket/AWSLogs/... or a folder with CloudTrail's files.", show_default=False),
    ],
    since: Annotated[
        str | None,
        Option("--from", metavar="MOMENT", help="The window begins after this second [all].", show_default=False),
    ] = None,
    until: Annotated[str, Option("--to", metavar="MOMENT", help="The last second of the window.")] = "now",
    annotate: Annotated[
        bool, Option("--annotate", help="Keep the findings in the vault, for history, changes and revert.")
    ] = False,
    vault: Vault = None,
    allow_gap: AllowGap = False,
    json: Json = False,
) -> int:
    """Show which principal made each change, by CloudTrail's data events of DynamoDB.

    Data events are off by default and cost money: see docs/who.md. If several calls fit a change, all of them are listed.
    """
    shown = _AsJson() if json else _AsText()
    with shown.until_an_error(), ProgressBar() as bar:
        report = (
            library.open(vault)
            .table(table)
            .blame(
                cloudtrail,
                key=key,
                from_=since,
                to=until,
                annotate=annotate,
                allow_gap=allow_gap,
                each=shown.each,
                progress=bar,
            )
        )
    shown.end(report)
    for note in report.notes:
        notice(f"note: {note}")
    for each in report.unreadable[:NAMED]:
        notice(f"NOT READ: {each.file}: {each.why}")
    if report.unreadable[NAMED:]:
        notice(f"... and {counted(len(report.unreadable) - NAMED, 'more file')}: --json names every one")
    if report.changes == 0 and key is not None:
        raise NotFound(
            f"no change of {key} in {table} between {report.since} and {report.until}",
            hint=f"`backstream history {table} KEY` shows all that the vault knows of an item.",
        )
    if report.changes == 0:
        notice(f"no change of {table} between {report.since} and {report.until}")
    elif report.events == 0 and report.changes > report.dynamodb:
        raise no_events(report)
    return 1 if report.unreadable else 0


class _AsJson:
    """One object: the findings as they come, then the sums."""

    def __init__(self) -> None:
        self._before = b'{"findings":['

    def each(self, finding: BlameFinding) -> None:
        """Writes a finding."""
        self._write(self._before + visible_json(msgspec.json.encode(finding)))
        self._before = b",\n"

    @contextmanager
    def until_an_error(self) -> Iterator[None]:
        """Ends the document after an error, if it was begun: what was found is in it, without sums."""
        try:
            yield
        except BackstreamError:
            if not self._before.startswith(b"{"):
                self._write(b"]}\n")
                sys.stdout.buffer.flush()
            raise

    def end(self, report: Blamed) -> None:
        """Writes the sums."""
        begin = self._before if self._before.startswith(b"{") else b""
        self._write(begin + b"]," + visible_json(msgspec.json.encode(report))[1:] + b"\n")
        sys.stdout.buffer.flush()

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)


class _AsText:
    """A few lines for each change, then the sums."""

    @staticmethod
    def until_an_error() -> AbstractContextManager[None]:
        """Lines need no end."""
        return nullcontext()

    def each(self, finding: BlameFinding) -> None:
        """Writes a finding."""
        for line in _lines(finding):
            sys.stdout.write(visible_line(line) + "\n")

    def end(self, report: Blamed) -> None:
        """Writes the sums."""
        sys.stdout.flush()
        as_facts(list(_sums(report)))


def _lines(finding: BlameFinding) -> Iterator[str]:
    who = finding.actor or ("AMBIGUOUS" if finding.status is Outcome.AMBIGUOUS else "-")
    source = "" if finding.actor is None else f" ({finding.actor_source})"
    yield f"{finding.time}  {finding.event:<8}  {who}{source}  {bytes(finding.key).decode()}  {finding.sequence}"
    if finding.why:
        yield f"    {finding.status.upper()}: {finding.why}"
    if finding.status is Outcome.MATCHED and not finding.settled:
        yield "    not settled: events of that time may still be delivered, or could not be read; run it again later"
    for call in finding.calls:
        yield f"    {_call(call)}"
    if finding.fitting > len(finding.calls):
        yield f"    ... and {counted(finding.fitting - len(finding.calls), 'more call')}"


def _call(call: Caller) -> str:
    parts = {
        "by": call.arn or call.invoked_by or call.principal_id,
        "role": call.session_issuer,
        "type": call.type,
        "for": call.invoked_by if call.arn else "",
        "key": call.access_key_id,
        "from": call.source_ip_address,
        "agent": call.user_agent,
        "request": call.request_id,
    }
    told = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return f"{call.event_name} {call.event_time}: {told or 'its event names nobody'}"


def _sums(report: Blamed) -> Iterator[tuple[str, str]]:
    yield "table", report.table
    yield "window", f"{report.since} to {report.until}"
    yield "changes", f"{report.changes:,}"
    yield "matched", f"{report.matched:,}, each by the one call that fits"
    yield "ambiguous", f"{report.ambiguous:,}"
    yield "no call", f"{report.none:,} without a call, {report.undelivered:,} whose call may not be delivered yet"
    if report.dynamodb:
        yield "time to live", f"{report.dynamodb:,} deleted by DynamoDB itself"
    yield "CloudTrail", f"{counted(report.files, 'file')}, {counted(report.events, 'call')} that wrote to the table"
    yield "delivered", f"up to {report.newest_delivery or '-'}"
    if report.annotated or report.known:
        yield "annotated", f"{counted(report.annotated, 'finding')} kept, {report.known:,} known before"
