"""`tail` as a whole: the position to continue from, the changes missed meanwhile, and the stream that a table has now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import msgspec

from backstream.errors import Damaged, Failed, NotFound, Refused, WrongStreamView
from backstream.model import moment
from backstream.model.changes.change import VIEW, stream_label
from backstream.model.changes.deliveries import is_kinesis
from backstream.operations.capture.discarded import try_to_record
from backstream.operations.capture.kinesis_shards import KinesisFollower
from backstream.operations.capture.shards import RETENTION_SLACK, FollowerContext, Settings, Share, Wrote, threads
from backstream.operations.capture.sink import VaultKeeper
from backstream.operations.capture.tail import Tail, TailReport
from backstream.operations.capture.witness_sink import WitnessFindings, WitnessKeeper
from backstream.operations.inspect.explained_gaps import try_to_note
from backstream.operations.setup.destination import SentCheck, check_sent
from backstream.operations.setup.identity import check_owner, has_turned, label_second, proven_until, turn
from backstream.operations.setup.remade_kinesis import REMADE, turn_to_remade
from backstream.operations.setup.server_clock import server_clock
from backstream.operations.setup.settings import SettingsWatch
from backstream.operations.setup.sources import label_of
from backstream.ports import ChangeStream, Clock, Table, TableFacts
from backstream.vault.catalog import Catalog
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import DAY
from backstream.vault.table_vault import TableVault

Streams = Callable[[str], ChangeStream]  # a stream's ARN -> the stream


class Following(msgspec.Struct, frozen=True):
    """The context of `follow`. `writer` names this process in the vault; `notice` receives messages for an operator.

    `wrote` receives each segment, in the threads that write them. `findings`: given if the stream is only checked against the
    vault, as the witness does; `deadline`: the epoch second after which nothing more is read. `share`: the threads that several
    tables' tails have in common; None for threads of its own.
    """

    table: Table
    streams: Streams
    clock: Clock
    writer: str
    notice: Callable[[str], None]
    stop: threading.Event
    settings: Settings = Settings()
    wrote: Callable[[Wrote], None] = lambda _: None
    findings: WitnessFindings | None = None
    deadline: float = float("inf")
    share: Share | None = None


def follow(vault: TableVault, following: Following, *, until_caught_up: bool) -> TailReport:
    """Brings the vault up to the table, and keeps it there until `stop` is set (or only once, with `until_caught_up`).

    Raises Refused if the table has no stream, or one without whole items; Failed if the stream ends under a tail that should
    continue.
    """
    facts = following.table.facts()
    check_owner(vault.catalog, facts.arn)  # before anything is asked of what may be another's table
    following = _by_the_servers_clock(following)
    arn = _source(vault, following, facts)
    try_to_record(vault, following.notice)
    vault, before = _after_absence(vault, following, facts, arn)
    # Done only now, because a turn to another stream saves a catalog of its own.
    watch = SettingsWatch(vault.store, following.table, following.settings.settings_every, following.notice)
    with watch if following.findings is None else nullcontext():
        proven = vault.coverage.durable(following.clock.now())
        report = _run(vault, following, arn, before.known, until_caught_up=until_caught_up)
        before_it = None if following.findings is None else proven
        try_to_note(vault, following.clock.now(), following.notice, proven_before=before_it)
    if report.ended and not until_caught_up:
        raise Failed(
            f"the stream of {facts.name} was disabled: changes made from now on are lost",
            hint=f"Run `backstream init {facts.name} --enable-stream`, then `tail` again; the time between becomes a recorded gap.",
        )
    return msgspec.structs.replace(report, captured=report.captured + before.captured, gaps=report.gaps + before.gaps)


def _by_the_servers_clock(following: Following) -> Following:
    """Returns the same with the server's time, in case this machine's clock is wrong."""
    clock = server_clock(following.clock, following.table)
    return msgspec.structs.replace(following, clock=clock, deadline=following.deadline + clock.ahead)


def _source(vault: TableVault, following: Following, facts: TableFacts) -> str:
    """Returns the ARN of the table's stream, or of the Kinesis stream that the vault takes its changes from."""
    kinesis = vault.catalog.kinesis
    if kinesis is None:
        return stream_of(facts)
    gap = check_sent(vault, following.table, kinesis.arn, following.clock.now())
    if gap is not None:
        _tell(following, gap)
    return kinesis.arn


def followed(table: Table) -> tuple[TableFacts, str]:
    """Returns the table, and the ARN of its stream: see `stream_of`."""
    facts = table.facts()
    return facts, stream_of(facts)


def stream_of(facts: TableFacts) -> str:
    """Returns the ARN of a table's stream. Raises Refused if it has none, and WrongStreamView if it carries no whole items."""
    if not facts.stream_enabled or facts.stream_arn is None:
        raise Refused(
            f"the stream of {facts.name} is off: its changes are being lost",
            hint=f"Run `backstream init {facts.name} --enable-stream`, then `tail`; the time between becomes a recorded gap.",
        )
    if facts.stream_view != VIEW:
        raise WrongStreamView(
            f"the stream of {facts.name} carries {facts.stream_view}, which does not hold whole items: changes are being lost",
            hint=f"A view type cannot be changed: disable the stream, then run `backstream init {facts.name} --enable-stream`.",
        )
    return facts.stream_arn


def _run(
    vault: TableVault, following: Following, arn: str, known: int, *, until_caught_up: bool, closed: float = float("inf")
) -> TailReport:
    catalog, clock, settings = vault.catalog, following.clock, following.settings
    label, retention = label_of(catalog, arn), _retention(catalog)
    share = following.share
    with threads(None if share is None else share.writers, settings.writers, "writer") as pool:
        keeper = _keeper(vault, label, pool, following)
        parts = FollowerContext(
            stream=following.streams(arn),
            label=label,
            keeper=keeper,
            clock=clock,
            settings=settings,
            known=known,
            notice=following.notice,
            retention=retention,
            wrote=following.wrote,
            closed=closed,
            share=following.share,
        )
        base = None if following.findings is None else _proven(catalog, known)
        if catalog.kinesis is None:
            tail = Tail(catalog.table, parts, keeper.reached(), following.stop, base=base)
        else:
            new_follower = partial(KinesisFollower, keeper)
            tail = Tail(catalog.table, parts, keeper.arrived(retention), following.stop, new_follower, base)
        report = tail.run(until_caught_up=until_caught_up, deadline=following.deadline)
        count, known = keeper.forgetting.count, keeper.forgetting.known
        return msgspec.structs.replace(report, captured=report.captured - count - known, forgotten=count)


def _keeper(vault: TableVault, label: str, pool: ThreadPoolExecutor, following: Following) -> VaultKeeper:
    writer, notice, findings = following.writer, following.notice, following.findings
    check = _same_source_check(following, vault)
    if findings is None:
        keeper = VaultKeeper(vault, label, pool, following.clock, writer=writer, notice=notice, before_mark=check)
        if following.share is not None:
            keeper.side_by_side = following.share.writes
        return keeper
    return WitnessKeeper(vault, label, pool, following.clock, writer=writer, notice=notice, findings=findings, before_mark=check)


def _proven(catalog: Catalog, known: int) -> int:
    """Returns the last second in which no more changes can appear: the second of `init` itself may hold more."""
    initialised = moment.parse_iso_micros(catalog.initialised) // 1_000_000
    return known - 1 if known <= initialised else known


def _same_source_check(following: Following, vault: TableVault) -> Callable[[int], None]:
    """Returns the check that changes up to a second came from the same table, and to the same stream of that ARN: see
    `_check_same_table`.
    """
    catalog = vault.catalog
    if catalog.kinesis is None:
        return lambda _: _check_still_the_source(vault)
    stream = following.streams(catalog.kinesis.arn)
    begun = stream.facts().created
    is_sent = SentCheck(vault, following.table, catalog.kinesis.arn, following.clock)

    def check(second: int) -> None:
        _check_still_the_source(vault)
        _check_same_table(following.table, catalog)
        is_sent(second)
        if stream.facts().created != begun:
            raise Failed(
                f"{REMADE}: nothing more is claimed of what came from the one before",
                hint=f"Run `backstream tail {catalog.table}` again: it records the gap, and continues with the new stream.",
            )

    return check


def _check_still_the_source(vault: TableVault) -> None:
    """Raises Failed if the vault takes the changes from another source by now: what that brings counts more than the same changes
    from here, and may come later.
    """
    try:
        now = vault.anew().catalog
    except (NotFound, Damaged):
        return  # capture outlives its catalog
    if now.kinesis is not None and (vault.catalog.kinesis is None or now.kinesis.arn != vault.catalog.kinesis.arn):
        raise Failed(
            f"the vault takes the changes of {now.table} from {now.kinesis.arn} by now: nothing more is claimed of what comes from "
            "elsewhere",
            hint=f"Run `backstream tail {now.table}` again: it follows that stream.",
        )


def _check_same_table(table: Table, catalog: Catalog) -> None:
    """Raises Failed if another table has the name by now. A DynamoDB stream ends with its table; a Kinesis stream does not."""
    if has_turned(catalog, table.facts()):
        raise Failed(
            f"the table {table.name} was deleted and created again: nothing more is claimed of the one before",
            hint=f"Run `backstream tail {table.name}` again: it records the gap, and continues with the new table.",
        )


def _retention(catalog: Catalog) -> int:
    """Returns the seconds for which the stream keeps records."""
    return DAY if catalog.kinesis is None else catalog.kinesis.retention


# --- what came before: streams that were replaced, absences -----------------------------------------------------------------------


class _PreviousStream(msgspec.Struct, frozen=True):
    """The work done before the table's stream could be followed.

    `known`: up to there everything is in the vault, or in a recorded gap.
    """

    known: int
    captured: int = 0
    gaps: int = 0


def _after_absence(vault: TableVault, following: Following, facts: TableFacts, arn: str) -> tuple[TableVault, _PreviousStream]:
    """Records the changes missed while nobody followed. Returns the vault to continue with, and the work done."""
    now = int(following.clock.now())
    vault, remade = _after_remade_kinesis(vault, following, now)
    if has_turned(vault.catalog, facts):
        return _after_turn(vault, following, facts, now)
    if arn != vault.catalog.stream_arn:
        raise Refused(
            f"the stream of {facts.name} is {arn}, which is older than the one that the vault follows ({vault.catalog.stream_arn})",
            hint="Check AWS_ENDPOINT_URL_DYNAMODB: is this the table's own server? Nothing was written.",
        )
    before = _drain_former(vault, following, now, facts)
    vault, done = _after_silence(vault, following, now)
    return vault, msgspec.structs.replace(done, captured=done.captured + before, gaps=done.gaps + remade)


def _after_remade_kinesis(vault: TableVault, following: Following, now: int) -> tuple[TableVault, int]:
    """Returns the vault to continue with if the Kinesis stream of this ARN was created again, and the number of recorded gaps."""
    if vault.catalog.kinesis is None:
        return vault, 0
    done = turn_to_remade(vault, following.streams(vault.catalog.kinesis.arn).facts().created, now)
    if done.gap is not None:
        _tell(following, done.gap)
    return done.vault, 0 if done.gap is None else 1


def _after_silence(vault: TableVault, following: Following, now: int) -> tuple[TableVault, _PreviousStream]:
    known, kept_since = proven_until(vault, now), now - _retention(vault.catalog)
    if known >= kept_since:
        return vault, _PreviousStream(known)
    why = "neither a tail nor the witness read the stream for longer than it keeps records"
    until = kept_since + RETENTION_SLACK  # it lets go of more while its shards are asked for, one after the other
    _record(vault, following, Gap(reason=why, since=known, until=until, stream=vault.catalog.stream))
    return vault, _PreviousStream(until, gaps=1)


def _after_turn(vault: TableVault, following: Following, facts: TableFacts, now: int) -> tuple[TableVault, _PreviousStream]:
    """Reads the rest of the previous stream, which is kept for a day, because the table or its stream is another one now; then
    turns to the new one.
    """
    known = proven_until(vault, now)
    drained = None if vault.catalog.kinesis is not None else _drain(vault, following, vault.catalog.stream_arn, known, facts)
    if drained is not None and not drained.caught_up:
        return vault, _PreviousStream(known, drained.captured, drained.gaps)  # stopped: the next run drains the rest
    before = (
        _PreviousStream(known)
        if drained is None
        else _PreviousStream(max(known, drained.durable or 0), drained.captured, drained.gaps)
    )
    done = turn(vault, facts, now, proven=before.known)
    gaps = before.gaps
    if done.gap is not None:
        _tell(following, done.gap)
        gaps += 1
    until = before.known if done.gap is None else max(before.known, done.gap.until)
    return done.vault, _PreviousStream(until, before.captured, gaps)


def _drain(vault: TableVault, following: Following, arn: str, known: int, facts: TableFacts) -> TailReport | None:
    """Returns None if the stream is gone: a day after it was disabled, which was before the table's own was enabled."""
    try:
        following.streams(arn).facts()
    except NotFound:
        return None
    second = None if facts.stream_arn in (None, arn) else label_second(stream_label(facts.stream_arn or ""))
    return _run(vault, following, arn, known, until_caught_up=True, closed=float("inf") if second is None else second)


def _drain_former(vault: TableVault, following: Following, now: int, facts: TableFacts) -> int:
    """Reads the rest of former streams that `init` or a function has turned away from: a day old at most.

    Returns the number of changes.
    """
    captured = 0
    for former in vault.catalog.former:
        if is_kinesis(former.stream_arn):
            continue
        old = msgspec.structs.replace(
            vault.catalog, stream_arn=former.stream_arn, stream=stream_label(former.stream_arn), kinesis=None
        )
        drained = _drain(vault.with_catalog(old), following, former.stream_arn, now - DAY, facts)
        captured += 0 if drained is None else drained.captured
    return captured


def _record(vault: TableVault, following: Following, gap: Gap) -> None:
    vault.gaps.record(gap)
    _tell(following, gap)


def _tell(following: Following, gap: Gap) -> None:
    following.notice(f"GAP: changes of {moment.iso(gap.since)} to {moment.iso(gap.until)} are lost: {gap.reason}")
