"""`status`: a table's protection in the vault, and the period in which a restore is exact."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model import moment, prices
from backstream.model.objectives import Objectives, in_words
from backstream.model.prices import Cost
from backstream.model.window import KnownGap, Window
from backstream.operations.inspect import kept_shown, safety
from backstream.operations.inspect.check import Finding, records
from backstream.operations.inspect.locks import LockShown
from backstream.operations.inspect.readers import readers_at_work
from backstream.stores.one_look import one_look
from backstream.vault.catalog import Catalog, folder
from backstream.vault.drills import Held
from backstream.vault.log.log import LATE, LogListing
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

LOOKS = 5  # a compaction takes longer than a look
LEAST_SEEN = 3_600  # seconds of capture, from which on a month can be estimated
PROVEN_WITHIN = 900  # seconds: three runs of a witness that is due every five minutes


class Status(msgspec.Struct, frozen=True):
    """One table's state of protection. Times are ISO 8601, UTC; None if there is nothing to report.

    `window_from`, `window_to`: a restore of the whole table is exact between these; `lag_seconds`: the age of the newest second
    that is known to be complete; `gaps`: missing changes, each `since`, `until` and `reason`; `captured_by`: the log's writers.
    `ranges`: all such periods, each `since` and `until`; the newest one is the window. Between them are `closed_gaps`, which a
    later base backup or export has made up for. `base_backups`: the complete ones, each `id`, `kind`, `began` and `ended`.
    `segments`: small objects of the log; `compacted_objects`: objects that `compact` made, with the number of their changes;
    `foreign`: objects in the log that do not belong to it. `last_drill`: its result; `missed`: the objectives that are not met, and
    why. `costs`: the cost of requests in both layouts, for segments as large as this log's. `failures`: the bucket that receives
    the batches which Lambda discards; `unseen`: sources that could not be read; `adopted`: an older tool's objects, which do not
    belong to the window; `hidden`: the vault's own objects that somebody has hidden by a delete marker. They are read all the same,
    and `check --repair` brings them back; `damaged`: second versions of objects that are written once, which are not read.
    `watermark`: the last proof that everything up to a second is in the vault; `unproven`: why there is no such proof for a
    function's later changes; `readers`: the present readers of the stream. `horizon`: the second from which `retain` keeps history;
    None if all of it is kept. `dollars_a_month`: an estimate, see `prices.monthly`.
    `locks`: in a bucket with Object Lock, until when each part is locked. `keep`: the rule of `retain`; `kept_states`: the moments
    before the horizon that can be restored all the same; `erasures`: the last of them.
    """

    table: str
    layout: str
    naming: str
    tenant_attribute: str | None
    window_from: str | None
    window_to: str | None
    lag_seconds: int | None
    gaps: list[GapShown]
    closed_gaps: list[GapShown]
    ranges: list[RangeShown]
    base_backups: list[BaseShown]
    changes: int
    segments: int
    compacted_changes: int
    compacted_objects: int
    foreign: int
    log_bytes: int
    newest_change: str | None
    captured_by: list[str]
    last_drill: Held | None
    costs: list[Cost]
    missed: list[str] = []
    failures: str | None = None
    unseen: list[str] = []
    adopted: OlderShown | None = None
    hidden: list[Finding] = []
    damaged: list[Finding] = []
    watermark: WatermarkShown | None = None
    unproven: list[str] = []
    readers: list[str] = []
    horizon: str | None = None
    dollars_a_month: float | None = None
    locks: list[LockShown] = []
    keep: kept_shown.RuleShown | None = None
    kept_states: list[str] = []
    erasures: list[kept_shown.ErasureShown] = []


class WatermarkShown(msgspec.Struct, frozen=True):
    """Everything up to `second` is in the vault, or in a recorded gap.

    `written`: when that was recorded; `by`: `tail` or `witness`; `writer`: the process or function.
    """

    second: str
    written: str
    by: str
    writer: str


class OlderShown(msgspec.Struct, frozen=True):
    """An older tool's objects: `since` to `until` by their arrival; `limits`: the limits of that knowledge.

    `stale`: True if it has written since; `init --adopt` takes that in.
    """

    since: str
    until: str
    versions: int
    stale: bool
    limits: str


class GapShown(msgspec.Struct, frozen=True):
    """A gap, for people and programs."""

    since: str
    until: str
    reason: str


class RangeShown(msgspec.Struct, frozen=True):
    """A period in which a restore is exact."""

    since: str
    until: str


class BaseShown(msgspec.Struct, frozen=True):
    """A complete base backup, or an incremental export that was taken in."""

    id: str
    kind: str
    began: str
    ended: str


def status(vault: TableVault, *, now: float, objectives: Objectives = Objectives()) -> Status:  # noqa: B008 - frozen
    """Returns the status from the log's listing and the gaps. Nothing is read from the table.

    Each listing is made once. If a compaction has changed meanwhile which objects count, all is looked at anew.
    """
    compacted = f"{folder(vault.catalog.table)}compacted/"
    together = f"{compacted}g"  # the generations, and the indexes of gaps
    for _ in range(LOOKS):
        look = one_look(vault.store, [together], [compacted])
        found = _status(vault.seen_through(look), now, objectives)
        if not look.has_changed():
            return found
    return _status(vault, now, objectives)


def _status(vault: TableVault, now: float, objectives: Objectives) -> Status:
    # The log before the gaps: a gap is recorded before the watermark that passes it is written.
    log = vault.inventory()
    window = vault.window(now)
    standing = set(window.open_gaps)
    small = [each.segment for each in log.segments if each.segment is not None]
    written = [each for each in small if each.count]
    compacted = sum(each.lines for each in log.sets)
    changes = sum(each.count for each in written)
    newest = max([*(each.max_time for each in written), *(each.until for each in log.sets)], default=None)
    writers = {each.segment.kind for each in log.listed if each.segment is not None}
    catalog = vault.catalog
    lag = None if window.durable is None else max(0, int(now) - window.durable)
    last = next(iter(vault.drills.newest(1)), None)
    log_bytes = sum(each.size for each in log.segments if each.segment is not None) + sum(each.size for each in log.sets)
    per_segment = changes / len(written) if written else prices.USUAL_BATCH
    return Status(
        table=catalog.table,
        layout=catalog.layout,
        naming=catalog.naming,
        tenant_attribute=catalog.tenant_attribute,
        window_from=None if window.since is None else moment.iso(window.since),
        window_to=None if window.until is None else moment.iso(window.until),
        lag_seconds=lag,
        gaps=[_gap(gap) for gap in window.gaps if gap in standing],
        closed_gaps=[_gap(gap) for gap in window.gaps if gap not in standing],
        ranges=[RangeShown(moment.iso(each.since), moment.iso(each.until)) for each in window.ranges],
        base_backups=[
            BaseShown(each.id, each.kind, moment.iso(each.begin), moment.iso(each.end)) for each in vault.bases.complete()
        ],
        changes=changes + compacted,
        segments=len(small),
        compacted_changes=compacted,
        compacted_objects=sum(each.partitions for each in log.sets),
        foreign=sum(1 for each in log.listed if each.segment is None and not each.damage),
        log_bytes=log_bytes,
        newest_change=None if newest is None else moment.iso(newest),
        captured_by=sorted(_WRITERS[kind] for kind in writers if kind in _WRITERS),
        last_drill=last,
        costs=prices.costs(per_segment),
        missed=[*objectives.missed_rpo(lag), *_missed_rto(objectives, last)],
        failures=catalog.failures,
        unseen=safety.not_seen(window),
        adopted=_older(vault, window),
        hidden=[each.finding for each in records.concealed_at_a_glance(vault, log.hidden)],
        damaged=[each.finding for each in records.planted(vault, log)],
        watermark=_watermark(vault, now),
        unproven=_unproven(catalog, log.listed, window.durable, now),
        readers=readers_at_work(vault, log.listed, now),
        dollars_a_month=_monthly(catalog, changes, log_bytes, per_segment, window),
        horizon=None if catalog.horizon is None else catalog.horizon.since,
        keep=kept_shown.rule(catalog),
        kept_states=kept_shown.states(window),
        erasures=kept_shown.erasures(vault),
    )


def _monthly(catalog: Catalog, changes: int, log_bytes: int, per_segment: float, window: Window) -> float | None:
    """Returns what the vault of a table costs a month; None in the first hour, which says nothing about a month."""
    seconds = window.ranges[-1].until - window.ranges[0].since if window.ranges else 0
    if seconds < LEAST_SEEN:
        return None
    return prices.monthly(catalog.layout, changes / seconds, log_bytes, per_segment)


def _watermark(vault: TableVault, now: float) -> WatermarkShown | None:
    found = vault.coverage.watermark(now)
    if found is None or found.segment is None:
        return None
    writer = vault.log.metadata(found).get("writer", "")
    by = "witness" if found.segment.witnessed else "tail"
    return WatermarkShown(moment.iso(found.segment.max_time), moment.iso(int(found.modified)), by, writer)


def _unproven(catalog: Catalog, listed: Sequence[LogListing], durable: int | None, now: float) -> list[str]:
    """Explains a missing proof: a function proves nothing about what it did not receive, so a witness must run beside it."""
    late = PROVEN_WITHIN + (0 if catalog.kinesis is None else LATE)
    if not captured_by_function(listed) or (durable is not None and now - durable <= late):
        return []
    since = "at all" if durable is None else f"for {in_words(now - durable)}"
    mend = f"run `backstream witness {catalog.table}` every 5 minutes, or deploy it"
    return [f"a function captures, and the witness has not run {since}: nothing newer is proven; {mend}"]


def captured_by_function(listed: Sequence[LogListing]) -> bool:
    """True if the latest changes were brought by a function, or by the witness beside one."""
    written = [each for each in listed if each.segment is not None and each.segment.count]
    newest = max(written, key=lambda each: each.modified, default=None)
    return newest is not None and newest.segment is not None and newest.segment.kind in _FUNCTIONS


def _older(vault: TableVault, window: Window) -> OlderShown | None:
    kept, adopted = window.older, vault.catalog.adopted
    if kept is None or adopted is None:
        return None
    return OlderShown(adopted.since, adopted.until, adopted.versions, kept.stale, safety.LIMITS)


def _missed_rto(objectives: Objectives, last: Held | None) -> list[str]:
    """Returns why the recovery time objective is missed: only drills measure it, and a failed one measures nothing."""
    if objectives.rto_seconds is None:
        return []
    if last is None:
        return objectives.missed_rto(None, "there was no drill yet")
    failed = [] if last.passed else [f"the last drill, of {last.began}, has failed"]
    return [*objectives.missed_rto(last.rto_seconds), *failed]


def _gap(gap: KnownGap) -> GapShown:
    return GapShown(moment.iso(gap.since), moment.iso(gap.until), gap.reason)


_FUNCTIONS = (SegmentKind.LAMBDA, SegmentKind.PARALLEL, SegmentKind.WITNESS)
_WRITERS = {
    SegmentKind.TAIL: "tail",
    SegmentKind.KINESIS: "tail (Kinesis)",
    SegmentKind.LAMBDA: "lambda",
    SegmentKind.PARALLEL: "lambda (parallel)",
    SegmentKind.WITNESS: "witness",
    SegmentKind.REBUILT: "rebuild",
    SegmentKind.ADOPTED: "older tool",
}
