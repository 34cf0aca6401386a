"""Checks that a table and its stream are still the vault's. Every input is checked: see docs/notes/0018.

A table is known by account, region, name and table id; its changes belong to a stream label. Input of another account or region is
refused. The same name with another table id, or another stream, is a turn: the gap is recorded first, then the catalog is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Never

import msgspec

from backstream.errors import AccessDenied, BackstreamError, Refused
from backstream.model import moment
from backstream.model.changes.change import MICROS, stream_label
from backstream.model.changes.deliveries import is_kinesis
from backstream.model.tables.owner import owner_of
from backstream.model.window import KnownGap
from backstream.operations.setup.sources import label_of
from backstream.ports import ChangeStream, Table, TableFacts
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog, Former, Life
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault

RECREATED = "the table was deleted and created again"
REPLACED = "the stream was replaced"


class Turn(msgspec.Struct, frozen=True):
    """The vault to use from now on. `gap`: the recorded gap, None if none was needed.

    `saved`: True if the catalog says so too; False if this process leaves that to others.
    """

    vault: TableVault
    gap: Gap | None = None
    saved: bool = True


class Lookup(msgspec.Struct, frozen=True):
    """Asks AWS for the description of a table and of a stream. Either may be denied."""

    table: Callable[[], Table]
    stream: Callable[[str], ChangeStream]


def _not_asked(*_: object) -> Never:
    raise AccessDenied("nobody was asked")


NOBODY = Lookup(_not_asked, _not_asked)  # where AWS is not to be asked


# --- whose ------------------------------------------------------------------------------------------------------------------------


def check_owner(catalog: Catalog, arn: str) -> None:
    """Raises Refused if an ARN (a table's, or a stream's of one) differs from the vault's table in account, region or name."""
    if not catalog.table_arn:
        return
    ours, theirs = owner_of(catalog.table_arn), owner_of(arn)
    if ours != theirs:
        raise Refused(
            f"the vault holds {ours}, not {theirs}: nothing of this was written",
            hint="Check AWS_PROFILE and AWS_REGION, or what the function is mapped to; another table needs a vault of its own.",
        )


# --- a table that was made again, a stream that was replaced ----------------------------------------------------------------------


def proven_until(vault: TableVault, now: float) -> int:
    """Returns the second up to which the vault holds everything from the stream, or a gap for the missing part."""
    durable = vault.coverage.durable(now)
    known = moment.parse_iso_micros(vault.catalog.initialised) // MICROS if durable is None else durable
    for gap in sorted(vault.gaps.all(), key=lambda gap: gap.since):
        if gap.unread and gap.since <= known:
            known = max(known, gap.until)
    return known


def has_turned(catalog: Catalog, facts: TableFacts) -> bool:
    """True if the table has another id, or another stream, than the catalog.

    Raises Refused if it belongs to another account or region.
    """
    check_owner(catalog, facts.arn)
    return _is_recreated(catalog, facts) or _has_newer_stream(catalog, facts)


def turn(vault: TableVault, facts: TableFacts, now: float, *, proven: int | None = None, save: bool = True) -> Turn:
    """If the table has another id or stream than the catalog, records the gap, then changes the catalog. Otherwise does nothing.

    `proven`: the second up to which the old stream is known, if the caller knows more than the log; `save`: False for a process
    that may not write the catalog: the gap is recorded, and a tail, the witness or `init` changes the catalog. Raises Refused if
    the table belongs to another account or region.
    """
    if not has_turned(vault.catalog, facts):
        return Turn(vault)
    known = proven_until(vault, now) if proven is None else proven
    gap = gap_of(vault.catalog, facts, now, known)
    recorded = record_turn(vault, gap)
    if save:
        catalog = catalogs.change(vault.store, vault.catalog.table, lambda each: turned(each, facts))
    else:
        catalog = turned(vault.catalog, facts)
    return Turn(vault.with_catalog(catalog), gap if recorded else None, save)


def record_turn(vault: TableVault, gap: Gap) -> bool:
    """Records the gap before another table or stream.

    Returns False if a function has done so, which leaves the catalog to others.
    """
    before = (each for each in vault.gaps.all() if each.unread)
    same = (each for each in before if (each.reason, each.stream) == (gap.reason, gap.stream))
    if any(each.since <= gap.since and gap.until <= each.until for each in same):
        return False
    vault.gaps.record(gap)
    return True


def check_lives(catalog: Catalog, gaps: Iterable[KnownGap], at: int) -> None:
    """Raises Refused if a function has seen that the table was created again, and the catalog does not know the new table yet.

    Otherwise rows of the old table would be restored as the new one's, with or without a gap. If the table was created once more by
    then, nothing remains of the one that the catalog never knew.
    """
    for gap in gaps:
        known = any(gap.since <= life.created <= max(gap.until + 1, at) for life in catalog.lives)
        if gap.reason == RECREATED and gap.until < at and not known:
            raise Refused(
                f"{RECREATED} by {moment.iso(gap.until)}, and the vault's catalog does not know the new table yet",
                hint=f"Run `backstream witness {catalog.table}` first, as a deployed witness does, or give an earlier --at.",
            )


def gap_of(catalog: Catalog, facts: TableFacts, now: float, proven: int, *, was_on: bool = True) -> Gap:
    """Returns the gap between the last proven second and the present table or stream. `was_on`: see `turned`."""
    recreated = _is_recreated(catalog, facts)
    until = _complete_from(catalog, facts, now)
    begins_complete = recreated and was_on and _was_streaming_from_the_start(catalog, facts)
    last = until - 1 if begins_complete else until
    since = min(proven, _created(facts, last)) if recreated else proven
    label = (
        catalog.stream if catalog.kinesis is not None else stream_label(facts.stream_arn) if facts.stream_arn else catalog.stream
    )
    return Gap(reason=RECREATED if recreated else REPLACED, since=min(since, last), until=max(min(since, last), last), stream=label)


def turned(catalog: Catalog, facts: TableFacts, *, was_on: bool = True) -> Catalog:
    """Returns the catalog of the present table and stream; the same one if it names them already.

    `was_on`: False if the caller has just enabled the stream itself, so that it was not on from the table's creation.
    """
    recreated, replaced = _is_recreated(catalog, facts), _has_newer_stream(catalog, facts)
    if not recreated and not replaced:
        return catalog
    arn = facts.stream_arn or ""
    former, lives = catalog.former, catalog.lives
    if replaced and catalog.stream_arn:
        former = (*former, Former(catalog.stream_arn, catalog.table_id))
    if recreated:
        label = stream_label(arn) if replaced else ""
        complete = was_on and _was_streaming_from_the_start(catalog, facts)
        created = _created(facts, label_second(label) or 0)
        lives = (*lives, Life(created, facts.table_id, label, complete))
    return msgspec.structs.replace(
        catalog,
        stream=stream_label(arn) if replaced else catalog.stream,
        stream_arn=arn if replaced else catalog.stream_arn,
        table_arn=facts.arn,
        table_id=facts.table_id,
        former=former,
        lives=lives,
    )


def _is_recreated(catalog: Catalog, facts: TableFacts) -> bool:
    return bool(catalog.table_id and facts.table_id) and catalog.table_id != facts.table_id


def _has_newer_stream(catalog: Catalog, facts: TableFacts) -> bool:
    """True if the table's own stream is a later one than the vault follows."""
    if catalog.kinesis is not None or not facts.stream_arn or not catalog.stream_arn:
        return False
    return facts.stream_arn != catalog.stream_arn and stream_label(facts.stream_arn) > catalog.stream


def _complete_from(catalog: Catalog, facts: TableFacts, now: float) -> int:
    """Returns the second up to which changes of the present table may be missing."""
    if catalog.kinesis is not None:
        return int(now)  # nothing tells when its changes began to go to the Kinesis stream
    second = label_second(stream_label(facts.stream_arn)) if facts.stream_arn else None
    return int(now) if second is None or not _has_newer_stream(catalog, facts) else second


def _was_streaming_from_the_start(catalog: Catalog, facts: TableFacts) -> bool:
    """True if the table was created with its present stream: in the same second.

    A stream enabled later takes longer to become ACTIVE.
    """
    if not _has_newer_stream(catalog, facts) or not facts.stream_arn:
        return False
    second = label_second(stream_label(facts.stream_arn))
    return second is not None and second == created_second(facts)


def created_second(facts: TableFacts) -> int | None:
    """Returns the second of the table's creation, by DescribeTable; None if it does not state it."""
    told = msgspec.json.decode(facts.description).get("CreationDateTime")
    return int(told) if isinstance(told, int | float) and not isinstance(told, bool) else None


def _created(facts: TableFacts, otherwise: int) -> int:
    told = created_second(facts)
    return otherwise if told is None else told


def label_second(label: str) -> int | None:
    """Returns the time in a stream's label, at which it was enabled; None for a label of another form."""
    try:
        return moment.parse_iso_micros(label + "Z") // MICROS
    except ValueError:
        return None


# --- a stream that delivers, and is nowhere asked for -----------------------------------------------------------------------------


def recognise(vault: TableVault, arn: str, lookup: Lookup, now: float, *, save: bool = True) -> tuple[Turn, str]:
    """Returns the vault that a delivery of this stream belongs to, and its label there. Call it before anything of it is logged.

    `save`: see `turn`. Raises Refused, and writes nothing, if it belongs to another account, region, table or source, or to a
    stream that is not known to be the table's.
    """
    if vault.catalog.kinesis is not None or is_kinesis(arn):
        return _of_kinesis(vault, arn, lookup, now, save=save)
    check_owner(vault.catalog, arn)
    label = label_of(vault.catalog, arn)
    if label == vault.catalog.stream or label in _known_labels(vault):
        return Turn(vault), label
    facts = _verified(vault, arn, label, lookup)
    if label < vault.catalog.stream:
        return Turn(vault), label
    if facts is not None and facts.stream_arn == arn:
        return turn(vault, facts, now, save=save), label
    return Turn(vault, _unnamed_turn(vault, label, now), saved=False), label


def _of_kinesis(vault: TableVault, arn: str, lookup: Lookup, now: float, *, save: bool) -> tuple[Turn, str]:
    label = label_of(vault.catalog, arn)
    try:
        facts = lookup.table().facts()
    except BackstreamError:
        return Turn(vault), label  # it may not be asked here, or is gone: a tail, the witness or `init` sees it
    return turn(vault, facts, now, save=save), label


def _known_labels(vault: TableVault) -> set[str]:
    """Returns the labels of the streams that the table is known to have had."""
    former = catalogs.former_of(vault.store, vault.catalog)
    return {stream_label(each.stream_arn) for each in former if not is_kinesis(each.stream_arn)}


def _verified(vault: TableVault, arn: str, label: str, lookup: Lookup) -> TableFacts | None:
    """Returns the table's description; None if it may not be read but the stream exists. Raises Refused if neither can be seen."""
    why = []
    facts = None
    try:
        facts = lookup.table().facts()
        check_owner(vault.catalog, facts.arn)
        if facts.stream_arn == arn:
            return facts
        why.append(f"the table's stream is {facts.stream_arn or 'off'}")
    except BackstreamError as error:
        why.append(error.message)
    try:
        if lookup.stream(arn).facts().label == label:
            return facts
    except BackstreamError as error:
        why.append(error.message)
    raise Refused(
        f"the vault does not know the stream {label} of {vault.catalog.table}, and nothing says that it is the table's "
        f"({'; '.join(why)}): nothing of this was written",
        hint=f"Run `backstream init {vault.catalog.table}`, or allow dynamodb:DescribeTable or dynamodb:DescribeStream here.",
    )


def _unnamed_turn(vault: TableVault, label: str, now: float) -> Gap | None:
    """Returns the gap before an existing stream of a table that may not be described: its identity is checked later."""
    until = label_second(label)
    until = int(now) if until is None else until
    if any(gap.stream == label and gap.unread for gap in vault.gaps.all()):
        return None
    gap = Gap(reason=REPLACED, since=min(proven_until(vault, now), until), until=until, stream=label)
    vault.gaps.record(gap)
    return gap
