"""`tail` from the outside: where to go on, what was missed meanwhile, and the stream that a table has now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import Failed, NotFound, Refused
from backstream.layouts import catalog as catalogs
from backstream.layouts.catalog import Catalog
from backstream.layouts.gaps import Gap
from backstream.layouts.images import images_for
from backstream.layouts.log import DAY
from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.model.change import stream_label
from backstream.operations.lanes import lanes
from backstream.operations.shards import Parts, Settings
from backstream.operations.tail import Tail, TailReport
from backstream.ports import ChangeStream, Clock, Table, TableFacts

Streams = Callable[[str], ChangeStream]  # a stream's ARN -> the stream


class Following(msgspec.Struct, frozen=True):
    """What `follow` works with. `writer` names this process in the vault; `notice` is told what an operator should see."""

    table: Table
    streams: Streams
    clock: Clock
    writer: str
    notice: Callable[[str], None]
    stop: threading.Event
    settings: Settings = Settings()


def follow(vault: TableVault, following: Following, *, until_caught_up: bool) -> TailReport:
    """Bring the vault up to the table, and keep it there until `stop` is set (or only once, `until_caught_up`).

    Refused where the table has no stream; Failed where the stream ends under a tail that was to go on.
    """
    facts = following.table.facts()
    if not facts.stream_enabled or facts.stream_arn is None:
        raise Refused(
            f"the stream of {facts.name} is off: its changes are being lost",
            hint=f"Run `backstream init {facts.name} --enable-stream`, then `tail`; the time between becomes a recorded gap.",
        )
    stream = following.streams(facts.stream_arn)
    evidence = _evidence(vault, stream, following.clock.now())
    vault, evidence, gaps = _after_absence(vault, following, facts, evidence)
    report = _run(vault, following, stream, facts.stream_arn, evidence, until_caught_up=until_caught_up)
    if report.ended and not until_caught_up:
        raise Failed(
            f"the stream of {facts.name} was disabled: changes made from now on are lost",
            hint=f"Run `backstream init {facts.name} --enable-stream`, then `tail` again; the time between becomes a recorded gap.",
        )
    return msgspec.structs.replace(report, gaps=report.gaps + gaps)


def _run(
    vault: TableVault, following: Following, stream: ChangeStream, arn: str, evidence: int, *, until_caught_up: bool
) -> TailReport:
    catalog = vault.catalog
    with ThreadPoolExecutor(following.settings.writers, thread_name_prefix="writer") as pool:
        parts = Parts(
            stream=stream,
            label=stream_label(arn),
            log=vault.log,
            gaps=vault.gaps,
            images=images_for(vault.store, catalog),
            schema=catalog.key_schema,
            pool=pool,
            clock=following.clock,
            settings=following.settings,
            writer=following.writer,
            evidence=evidence,
            notice=following.notice,
        )
        recent = vault.log.recent(following.clock.now())
        return Tail(catalog.table, parts, recent, following.stop).run(until_caught_up=until_caught_up)


def _evidence(vault: TableVault, stream: ChangeStream, now: float) -> int:
    """The second up to which the vault is known to hold everything that the stream ever said."""
    durable = vault.window(now, lanes(stream.facts().shards)).durable
    return moment.parse_iso_micros(vault.catalog.initialised) // 1_000_000 if durable is None else durable


def _after_absence(vault: TableVault, following: Following, facts: TableFacts, evidence: int) -> tuple[TableVault, int, int]:
    """Record what was missed while nobody followed: the vault to go on with, what it holds by now, and how many gaps that made."""
    now = int(following.clock.now())
    if facts.stream_arn != vault.catalog.stream_arn and facts.stream_arn is not None:
        evidence = max(evidence, _drain(vault, following, evidence))
        why = "the table was deleted and created again" if facts.table_id != vault.catalog.table_id else "the stream was replaced"
        until = max(evidence, _began(facts.stream_arn, now))
        _record(vault, following, Gap(reason=why, since=evidence, until=until, stream=stream_label(facts.stream_arn)))
        return TableVault(vault.store, _with_stream(vault, facts)), until, 1
    if evidence < now - DAY:
        why = "nobody followed the stream for longer than it keeps records"
        _record(vault, following, Gap(reason=why, since=evidence, until=now - DAY, stream=vault.catalog.stream))
        return vault, now - DAY, 1
    return vault, evidence, 0


def _drain(vault: TableVault, following: Following, evidence: int) -> int:
    """Read what is left of the stream before this one: it can still be read for a day. The second it was read up to."""
    arn = vault.catalog.stream_arn
    old = following.streams(arn)
    try:
        old.facts()
    except NotFound:
        return evidence
    report = _run(vault, following, old, arn, evidence, until_caught_up=True)
    return evidence if report.durable is None else report.durable


def _with_stream(vault: TableVault, facts: TableFacts) -> Catalog:
    arn = facts.stream_arn or ""
    catalog = msgspec.structs.replace(
        vault.catalog, stream=stream_label(arn), stream_arn=arn, table_arn=facts.arn, table_id=facts.table_id
    )
    catalogs.save(vault.store, catalog)
    return catalog


def _began(arn: str, now: int) -> int:
    """A stream's label is the time at which it was enabled; one of another form says nothing, so: now."""
    try:
        return moment.parse_iso_micros(stream_label(arn) + "Z") // 1_000_000
    except ValueError:
        return now


def _record(vault: TableVault, following: Following, gap: Gap) -> None:
    vault.gaps.record(gap)
    following.notice(f"GAP: changes of {moment.iso(gap.since)} to {moment.iso(gap.until)} are lost: {gap.reason}")
