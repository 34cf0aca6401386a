"""The witness: a second reader of a table's stream. It checks each record against the log, and leaves a watermark.

A function does not learn what it did not receive. The witness reads the shards themselves, from the last position to their tips.
It writes the records that the log lacks, and then states the second up to which everything is in the vault. Two at once, or one
beside a tail, are merely wasteful. Killed at any request, it has claimed nothing that was not durable: the watermark comes last.
"""

from __future__ import annotations

import msgspec

from backstream.errors import Unavailable
from backstream.model import moment
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.shards import Settings
from backstream.operations.capture.tail import TailReport
from backstream.operations.capture.witness_sink import WitnessFindings
from backstream.vault.table_vault import TableVault

BUDGET = 240.0  # seconds; a run every five minutes has ended before the next begins
SETTINGS = Settings(segment_count=2_000, segment_bytes=4 << 20, children_wait=10.0, mark_busy=60.0, mark_idle=60.0)


class Witnessed(msgspec.Struct, frozen=True):
    """The result of a run of the witness. Times are ISO 8601, UTC; None if there is nothing to report.

    `checked`: the number of records read from the stream; `missing`: the number of them that the log lacked and holds now;
    `oldest_missing`: the time of the oldest of these; `gaps`: the number of recorded gaps; `proven_to`: everything up to there is
    in the vault or in a recorded gap; `caught_up`: True if there was nothing left to read; `waiting_for`: closed shards without
    listed children yet, at whose end the proof stands still; `throttled`: the number of times that the stream asked to slow down;
    `forgotten`: the number of checked records that are discarded, because their items were erased with `--forget-future`.
    """

    table: str
    checked: int
    missing: int
    oldest_missing: str | None
    gaps: int
    proven_to: str | None
    caught_up: bool
    waiting_for: list[str]
    throttled: int
    seconds: float
    forgotten: int = 0


def witness(vault: TableVault, following: Following, *, budget: float = BUDGET) -> Witnessed:
    """Reads the stream from the last proven position, checks it against the log, writes missing records, and leaves a watermark.

    `budget`: seconds after which it stops reading; the next run continues from there. Raises Refused and Failed like `follow`, and
    Unavailable if records could not be written: nothing is claimed then.
    """
    began, findings = following.clock.now(), WitnessFindings()
    reading = msgspec.structs.replace(following, findings=findings, deadline=began + budget)
    report = follow(vault, reading, until_caught_up=True)
    if findings.watermark is None or (report.durable is not None and findings.watermark < report.durable):
        raise Unavailable(
            f"the watermark of {report.table} was not written: nothing new is proven",
            hint="Run it again: what it found missing is in the vault now.",
        )
    return _report(report, findings, following.clock.now() - began)


def _report(report: TailReport, findings: WitnessFindings, seconds: float) -> Witnessed:
    def iso(second: int | None) -> str | None:
        return None if second is None else moment.iso(second)

    return Witnessed(
        table=report.table,
        checked=report.captured + report.forgotten,
        missing=findings.missing,
        oldest_missing=iso(findings.oldest),
        gaps=report.gaps + findings.lost,
        proven_to=iso(findings.watermark),
        caught_up=report.caught_up,
        waiting_for=list(report.childless),
        throttled=report.throttled,
        seconds=round(seconds, 3),
        forgotten=report.forgotten,
    )
