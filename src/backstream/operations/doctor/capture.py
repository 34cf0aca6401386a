"""Checks the capture: who writes, with which lag and gaps, how far back, and the last drill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.counts import counted
from backstream.model.objectives import in_words
from backstream.operations.doctor import expected, lifecycle
from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import Check, look, ok, warning, wrong
from backstream.operations.inspect.readers import RECENT, ended, recent_writers
from backstream.operations.inspect.status import Status, status
from backstream.operations.inspect.status import captured_by_function as brought_by_function
from backstream.ports import BucketSettings
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

DAY = 86_400


class _LogSummary(msgspec.Struct, frozen=True):
    """The log's own figures: summed up, and its small objects one by one."""

    status: Status
    listed: Sequence[LogListing]


def of(patient: DoctorContext, vault: TableVault) -> list[Check]:
    """Returns all checks of the vault itself."""
    table, now = vault.catalog.table, patient.clock.now()
    found: list[_LogSummary] = []
    checks = look("capture", lambda: _captured(vault, now, found))
    if not found:
        return checks
    seen, known = found[0], found[0].status
    return [
        *checks,
        *look("delete markers", lambda: _hidden(table, known)),
        *look("lag", lambda: _lag(seen, _kept_for(vault))),
        *look("witness", lambda: _witness(seen, now)),
        *look("writers", lambda: _writers(vault, seen.listed, now)),
        *look("base backup", lambda: _base(vault, known)),
        *look("gaps", lambda: _gaps(table, known)),
        *look("last drill", lambda: _drill(table, known, now)),
        *look("compaction", lambda: _compaction(table, known)),
        *look("reaches back", lambda: _reach(patient, known)),
    ]


def _captured(vault: TableVault, now: float, found: list[_LogSummary]) -> Check:
    known = status(vault, now=now)
    seen = _LogSummary(known, [each for each in vault.inventory().listed if each.segment is not None])
    found.append(seen)
    if not seen.listed and known.changes == 0:
        follow = f"backstream tail {known.table}"
        return wrong("capture", "nothing has been captured yet", f"{follow}  # or deploy a function: backstream template --help")
    by = ", ".join(known.captured_by) or "tail"
    return ok("capture", f"by {by}; {counted(known.changes, 'change')}, the newest of {known.newest_change or 'none'}")


def captured_by_function(vault: TableVault, now: float) -> bool:
    """True if a function brought the newest changes, without the witness: it may also run without a function."""
    for piece in vault.log.newest_first_days(now, 0):
        brought = [each for each in piece if each.segment is not None and each.segment.kind is not SegmentKind.WITNESS]
        if any(each.segment is not None and each.segment.count for each in brought):
            return brought_by_function(brought)
    return False


def _hidden(table: str, known: Status) -> Check:
    """Checks for the vault's own objects below a delete marker of somebody else. `check` covers its rows."""
    name = "delete markers"
    if not known.hidden:
        return ok(name, "none hides the catalog, the log, base backups or gaps")
    more = f", and {len(known.hidden) - 1:,} more" if known.hidden[1:] else ""
    found = f"{known.hidden[0].object} is hidden{more}: it is read all the same, but other tools do not see it"
    return wrong(name, found, f"backstream check {table} --repair  # and find out who may delete in the vault")


def _witness(seen: _LogSummary, now: float) -> Iterator[Check]:
    """Checks the witness. A function proves nothing about what it did not receive, so only a capturing function needs a witness."""
    known, mark = seen.status, seen.status.watermark
    if known.unproven:
        yield wrong("witness", known.unproven[0], f"backstream witness {known.table}")
    elif brought_by_function(seen.listed) and mark is not None:
        age = max(0.0, now - moment.parse_iso_micros(mark.second) / MICROS)
        yield ok("witness", f"its last watermark, by the {mark.by} {mark.writer}, proves all up to {in_words(age)} ago")


def _kept_for(vault: TableVault) -> int:
    """For how many seconds the stream keeps records."""
    return expected.STREAM_KEEPS if vault.catalog.kinesis is None else vault.catalog.kinesis.retention


def _lag(seen: _LogSummary, keeps: int) -> Check:
    """Checks the lag by the watermark: a tail writes one every minute, and the witness as often as it runs."""
    table, lag = seen.status.table, seen.status.lag_seconds
    if lag is None:
        return warning("lag", "no second is proven to be complete yet", f"backstream witness {table}")
    if lag <= expected.LAG_NOTABLE:
        return ok("lag", f"complete up to {in_words(lag)} ago")
    function = brought_by_function(seen.listed)
    mend = f"backstream {'witness' if function else 'tail'} {table}"
    if function:
        return warning("lag", f"{in_words(lag)}: whether the function has missed anything since is not proven", mend)
    if lag > keeps:
        return wrong(
            "lag",
            f"{in_words(lag)}, and the stream keeps {in_words(keeps)}: changes may be lost; the next tail records the gap",
            mend,
        )
    left = in_words(keeps - lag)
    if lag > keeps / 2:
        return wrong("lag", f"{in_words(lag)}: nobody follows the stream; in {left} changes begin to be lost", mend)
    return warning("lag", f"{in_words(lag)}: nobody follows the stream; in {left} changes begin to be lost", mend)


def _writers(vault: TableVault, listed: Sequence[LogListing], now: float) -> Check:
    """Checks the present writers: two are never wrong, but one is enough."""
    written = recent_writers(vault, listed, now)
    at_work = sorted({said["writer"] for _, said in written if said.get("writer")} - ended(written))
    if len(at_work) > 1:
        return warning("writers", f"{', '.join(at_work)}: each change is kept twice, and paid for twice", "stop all but one")
    return ok("writers", at_work[0] if at_work else f"nobody within the last {in_words(RECENT)}")


def _base(vault: TableVault, known: Status) -> Check:
    if vault.catalog.complete_from is not None and not known.base_backups:
        return ok("base backup", "not needed: the table was empty at `init`")
    if known.base_backups:
        last = known.base_backups[-1]
        return ok("base backup", f"{last.kind} {last.id}, of {last.ended}")
    found = "none, and the table was not empty at `init`: rows that do not change are not in the vault"
    return wrong("base backup", found, f"backstream backfill {known.table}")


def _gaps(table: str, known: Status) -> Check:
    if not known.gaps:
        closed = f"; {len(known.closed_gaps)} made up for by base backups" if known.closed_gaps else ""
        return ok("gaps", f"none{closed}")
    first = known.gaps[0]
    more = f", and {len(known.gaps) - 1} more" if known.gaps[1:] else ""
    found = f"changes are missing, {first.since} to {first.until}: {first.reason}{more}"
    return wrong("gaps", found, f"backstream backfill {table}  # exact again from then on")


def _drill(table: str, known: Status, now: float) -> Check:
    last, mend = known.last_drill, f"backstream drill {table}"
    if last is None:
        return warning("last drill", "there was none: nobody knows that a restore works", mend)
    if not last.passed:
        return wrong("last drill", f"of {last.began}: failed{'' if last.error is None else f': {last.error}'}", mend)
    age = now - moment.parse_iso_micros(last.began) / MICROS
    if age > expected.DRILL_DAYS * DAY:
        return warning("last drill", f"passed, but {in_words(age)} ago", mend)
    return ok("last drill", f"passed, {in_words(max(0.0, age))} ago")


def _compaction(table: str, known: Status) -> Check:
    found = f"{known.segments:,} small objects in the log, {known.compacted_objects:,} compacted ones"
    if known.foreign:
        return warning(
            "compaction", f"{found}; {known.foreign:,} that are not of the log", "look below _backstream/, and move them away"
        )
    if known.segments > expected.SMALL_OBJECTS:
        return warning("compaction", f"{found}: histories and restores read them one by one", f"backstream compact {table}")
    return ok("compaction", found)


def _reach(patient: DoctorContext, known: Status) -> Check:
    """Checks how far back a restore of the whole table is exact, and how long old versions stay."""
    if not known.ranges:
        return warning("reaches back", "no moment can be restored exactly yet", f"backstream status {known.table}")
    bucket = None if patient.place is None else patient.place.bucket
    return ok("reaches back", f"to {known.ranges[0].since}; {_kept(bucket, '' if patient.place is None else patient.place.prefix)}")


def _kept(bucket: BucketSettings | None, prefix: str) -> str:
    days = None if bucket is None else lifecycle.keeps_days(prefix, bucket.lifecycle())
    return "old objects stay for good" if days is None else f"old versions stay {days} days"
