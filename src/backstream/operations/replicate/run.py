"""`replicate`: keeps a table like another one, by following that one's stream."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from backstream.errors import Failed
from backstream.model import moment
from backstream.model.changes.change import stream_label
from backstream.operations.bulk.table_pair import Pair, pair_of
from backstream.operations.capture.follow import followed
from backstream.operations.capture.shards import RETENTION_SLACK, FollowerContext
from backstream.operations.capture.tail import Tail, TailReport
from backstream.operations.replicate.copy import Copied, Copying, Replicating
from backstream.operations.replicate.keeper import ReplicaKeeper
from backstream.operations.replicate.reconcile import Deletes, Reconciler
from backstream.operations.replicate.state import ReplicaHead, StateFile
from backstream.vault.log.log import DAY


class ReplicateOptions(msgspec.Struct, frozen=True):
    """The options of a replica. `copy`: also copy the source's existing items; `state`: the file with the progress."""

    state: Path
    deletes: Deletes = Deletes.ALL
    copy: bool = False
    until_caught_up: bool = False


class Replicated(msgspec.Struct, frozen=True):
    """The result of a replica. `changes` were read from the stream; `copied` items were looked at in a scan of the source.

    `copied_whole`: True if that scan, if requested, came to its end; `put` and `deleted` count writes, `unchanged` items that were
    equal already; `gaps`: the number of losses; `lag_seconds`: the seconds by which the target may be behind, None if not known.
    """

    table: str
    target: str
    changes: int
    copied: int
    copied_whole: bool
    put: int
    deleted: int
    unchanged: int
    gaps: int
    lag_seconds: float | None
    caught_up: bool


def replicate(around: Replicating, words: ReplicateOptions) -> Replicated:
    """Keeps the target like the source until `stop` is set, or until there is nothing left to read.

    Raises Refused (nothing written) if the tables do not fit each other, or if the source has no stream of whole items; Failed if
    the stream ends under it.
    """
    tables = pair_of(around.source, around.target)
    _, arn = followed(around.source)
    head = ReplicaHead(tables.source.arn, tables.target.arn, stream_label(arn), tables.source.table_id)
    state = StateFile(words.state, head)
    known, lost = _known(state, around, stream_label(arn), tables, copies=words.copy)
    replica = Reconciler(around.source, around.target, tables.schema, words.deletes, source_id=tables.source.table_id)
    keeper = ReplicaKeeper(replica, tables.schema, state, around.clock, around.say)
    parts = FollowerContext(
        stream=around.streams(arn),
        label=stream_label(arn),
        keeper=keeper,
        clock=around.clock,
        settings=around.settings,
        known=known,
        notice=around.notice,
    )
    tail = Tail(tables.source.name, parts, state.shards, around.stop)
    report, copied = _follow(tail, Copying(around, replica) if words.copy else None, words)
    if report.ended and not words.until_caught_up:
        raise Failed(f"the stream of {tables.source.name} was disabled: later changes are not in the target", hint=_whole(tables))
    return _report(tables, replica, report, copied, lost + report.gaps, keeper.lag)


def _follow(tail: Tail, copying: Copying | None, words: ReplicateOptions) -> tuple[TailReport, Copied]:
    """Follows the stream, and copies beside it: the stream keeps a day, and a copy may take longer."""
    if copying is None:
        return tail.run(until_caught_up=words.until_caught_up), Copied(0, whole=True)
    with ThreadPoolExecutor(1, thread_name_prefix="copy") as aside:
        future = aside.submit(copying.run)
        try:
            report = tail.run(until_caught_up=words.until_caught_up)
        except BaseException:
            copying.halt.set()
            raise
        return report, future.result()


def _known(state: StateFile, around: Replicating, label: str, tables: Pair, *, copies: bool) -> tuple[int, int]:
    """Returns the second up to which nothing is missing in the target, and the number of losses since."""
    now, before = int(around.clock.now()), state.before
    anew = now - DAY + RETENTION_SLACK  # the stream lets go of more while its shards are asked for, one after the other
    if before is None or before.known is None:
        if not copies:
            old = (
                f"this replica is new: items that have not changed in {tables.source.name} within the stream's day is not looked at"
            )
            around.notice(f"{old}. --copy brings it; {_whole(tables)}")
        return anew, 0
    why = ""
    if before.head.source_id and tables.source.table_id and before.head.source_id != tables.source.table_id:
        why = "the source was deleted and created again, and rows of the one before are still in the target"
    elif before.head.stream != label:
        why = "the stream was replaced"
    elif before.known < now - DAY:
        why = "nobody followed the stream for longer than it keeps records"
    if not why:
        return before.known, 0
    around.notice(f"GAP: changes since {moment.iso(before.known)} may be missing in the target: {why}. {_whole(tables)}")
    return anew, 1


def _whole(tables: Pair) -> str:
    return f"`backstream diff {tables.source.name} {tables.target.name} --repair` makes the whole table alike"


def _report(tables: Pair, replica: Reconciler, tailed: TailReport, copied: Copied, gaps: int, lag: float | None) -> Replicated:
    counts = replica.counts
    return Replicated(
        table=tables.source.name,
        target=tables.target.name,
        changes=tailed.captured,
        copied=copied.items,
        copied_whole=copied.whole,
        put=counts.put,
        deleted=counts.deleted,
        unchanged=counts.unchanged,
        gaps=gaps,
        lag_seconds=lag,
        caught_up=tailed.caught_up,
    )
