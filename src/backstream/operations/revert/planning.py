"""Makes the plan of a revert: checks the window, reads its changes, merges each item with its present state. Nothing is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError, OutsideWindow, Refused
from backstream.model import moment, prices
from backstream.model.changes import merge
from backstream.model.changes.merge import Merged, MergeStep, MergeVerdict
from backstream.model.counts import counted
from backstream.model.values.sizes import write_units
from backstream.operations import changes as changing
from backstream.operations.changes import Changes, ItemChanges
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.plan import units_a_second
from backstream.operations.restore.targets.table_setup import is_over
from backstream.operations.revert.fitting import Fitting
from backstream.operations.revert.plan_file import (
    FAILED,
    LEAVE,
    Plan,
    PlanCounts,
    PlanHead,
    PlanRow,
    PlanWriter,
    Undoing,
    action_of,
    raw,
)
from backstream.operations.revert.request import Around, OnConflict, RevertRequest
from backstream.ports import TableFacts
from backstream.vault import catalog as catalogs
from backstream.vault.table_vault import TableVault

TOGETHER = 100  # items that are looked at in the live table by one request
FOUND_BY_READING = "a read of the table found it changed: no change of the stream tells the cause"
MISSING = "a change of this item is missing from the vault"
TOO_MANY = (
    "{} of it are selected one by one, more than a plan holds: take it back as a whole, selected by --key or --partition alone, "
    "or in shorter windows"
)


def make_plan(
    vault: TableVault,
    request: RevertRequest,
    around: Around,
    path: Path,
    name: str,
    *,
    max_units: float | None,
    show: Callable[[PlanRow], None],
) -> Plan:
    """Writes the plan of a revert to a file, and returns it. `name`: the revert's id; `show` receives each row as it is made.

    Raises UsageError, OutsideWindow, GapInTheWay and Refused if the window or the table does not allow a revert; NotFound if
    nothing is selected.
    """
    planning = _Planning(vault, request, around, max_units)
    rows = planning.rows()
    first = next(rows, None)  # what is refused is refused before there is a file
    writer = PlanWriter(path, planning.head(name))
    try:
        for row in itertools.chain([] if first is None else [first], rows):
            planning.count(row)
            writer.add(row)
            show(row)
        writer.seal(planning.counts())
    except BaseException:
        writer.discard()
        raise
    return Plan(path)


class _Planning:
    def __init__(self, vault: TableVault, request: RevertRequest, around: Around, max_units: float | None) -> None:
        self._vault = vault
        self._request = request
        self._around = around
        self._facts = around.table.facts()
        _check_table(vault, self._facts, request)
        reading = changing.ChangesContext(around.clock, around.memory, around.progress)
        self._changes = Changes(vault, request.span, request.asked, reading, allow_gap=request.allow_gap)
        _check_proven(self._changes, request)
        _check_life(vault, request)
        self._fitting = Fitting(self._facts)
        self._ttl = _time_to_live(vault, around)
        self._units_a_second = units_a_second(self._facts.description, max_units)
        self._counts = PlanCounts()
        self._missing = self._items_that_lack_changes()

    def head(self, name: str) -> PlanHead:
        """Returns the plan's first line."""
        span, certainty = self._request.span, self._changes.certainty
        return PlanHead(
            id=name,
            table=self._vault.catalog.table,
            arn=self._facts.arn,
            table_id=self._facts.table_id,
            since=moment.iso(span.since),
            until=moment.iso(span.until),
            made=moment.iso(self._around.clock.now()),
            proven_until=certainty.proven_until,
            merge=self._request.merge,
            on_conflict=self._request.on_conflict,
            selection=self._request.asked.words,
            warnings=list(certainty.notes),
        )

    def _items_that_lack_changes(self) -> frozenset[bytes]:
        """Returns the items with a recorded gap in this window that still stands."""
        span = self._request.span
        gaps = [gap for gap in self._vault.gaps.of_items() if gap.since <= span.until and gap.until >= span.first]
        keys = {gap.key.encode() for gap in gaps if gap.key is not None}
        standing = lost_changes.standing(self._vault, keys, self._around.clock.now())
        return frozenset(each.key for each in standing if each.since <= span.until and each.until >= span.first)

    # --- rows ---

    def rows(self) -> Iterator[PlanRow]:
        """Yields the items that are written or left alone."""
        self._around.progress.phase("items", None)
        for together in batches(self._changes.items(), TOGETHER):
            found = self._around.table.fetch([each.key for each in together])
            live = {self._vault.key_of(image): image for image in found}
            for each in together:
                self._around.progress.advance(1)
                row = self._row(each, live.get(each.key))
                if row is None:
                    self._counts.unchanged += 1
                else:
                    yield row

    def _row(self, item: ItemChanges, live: bytes | None) -> PlanRow | None:
        doubt = self._doubt(item)
        if doubt:
            return PlanRow(key=msgspec.Raw(item.key), action=LEAVE, verdict=FAILED, reason=doubt, live=raw(live))
        steps, chosen = steps_of(item)
        request = self._request
        try:
            merged = merge.undone_steps(steps, chosen, live, request.merge, overwrite=request.on_conflict is OnConflict.OVERWRITE)
        except BackstreamError as error:
            return PlanRow(key=msgspec.Raw(item.key), action=LEAVE, verdict=FAILED, reason=error.message, live=raw(live))
        return self._row_of(item.key, merged, live, [_undoing(*each) for each in zip(steps, chosen, strict=True)])

    def _doubt(self, item: ItemChanges) -> str:
        if item.key in self._missing:
            return MISSING
        if item.scanned:
            return FOUND_BY_READING
        return TOO_MANY.format(counted(item.selected, "change")) if item.too_many else item.doubt

    def _row_of(self, key: bytes, merged: Merged, live: bytes | None, undoing: list[Undoing]) -> PlanRow | None:
        if merged.verdict is MergeVerdict.UNCHANGED:
            return None
        if merged.verdict is not MergeVerdict.WRITE:
            return PlanRow(
                key=msgspec.Raw(key), action=LEAVE, verdict=merged.verdict, reason=merged.why, live=raw(live), undoing=undoing
            )
        after = merged.image
        unfit = "" if after is None else self._fitting.unfit(after)
        if unfit:
            return PlanRow(key=msgspec.Raw(key), action=LEAVE, verdict=FAILED, reason=unfit, live=raw(live), undoing=undoing)
        return PlanRow(
            key=msgspec.Raw(key),
            action=action_of(live, after),
            verdict=merged.verdict,
            reason=_reason(live, after),
            changed=merge.changed_names(live, after),
            live=raw(live),
            after=raw(after),
            undoing=undoing,
        )

    # --- counts ---

    def count(self, row: PlanRow) -> None:
        """Counts a row, and its write units."""
        self._counts.add(row)
        if not row.is_written:
            return
        images = [bytes(each) for each in (row.live, row.after) if bytes(each) != b"null"]
        self._counts.write_units += max(map(write_units, images))
        after = bytes(row.after)
        if self._ttl is not None and after != b"null" and is_over(after, self._ttl, 0, self._around.clock.now()):
            self._counts.expired += 1

    def counts(self) -> PlanCounts:
        """Returns all counts."""
        counts = self._counts
        selection = self._changes.selection
        counts.undecided, counts.ambiguous = selection.undecided, selection.ambiguous
        counts.dollars = round(counts.write_units * prices.WRITE_UNIT, 6)
        counts.estimated_seconds = round(counts.write_units / self._units_a_second, 1)
        return counts


def steps_of(item: ItemChanges) -> tuple[list[MergeStep], list[bool]]:
    """Returns the changes that are undone: one, the net of all of them, if all are."""
    if all(item.chosen):
        return [MergeStep(item.before, item.after)], [True]
    return [MergeStep(each.old, each.new) for each in item.changes], list(item.chosen)


def _undoing(step: MergeStep, chosen: bool) -> Undoing:  # noqa: FBT001 - a pair of lists in step
    return Undoing(raw(step.old), raw(step.new), chosen)


def _reason(live: bytes | None, after: bytes | None) -> str:
    if after is None:
        return "the window created it"
    return "the window deleted it" if live is None else "the window changed it"


def _time_to_live(vault: TableVault, around: Around) -> str | None:
    """Returns the attribute by which items expire, None if they do not; as the vault knows it if the table does not state it."""
    settings = around.table.settings()
    return catalogs.settings_of(vault.catalog).time_to_live if "time_to_live" in settings.unknown else settings.time_to_live


def _check_table(vault: TableVault, facts: TableFacts, request: RevertRequest) -> None:
    """Raises Refused if the live table is not the vault's."""
    catalog = vault.catalog
    if not request.into_another:
        safety.check_same_table(Identity(catalog.table_arn, catalog.table_id), facts, of="the vault's")
    if facts.schema != catalog.key_schema:
        raise Refused(f"the table {facts.name} has another key schema than the vault's; nothing was touched")


def _check_proven(changes: Changes, request: RevertRequest) -> None:
    """Refuses a window that reaches beyond the proven period: it may hold unseen changes. Only one that ends now may."""
    durable, span = changes.window.durable, request.span
    if request.allow_gap or (durable is not None and span.until <= durable):
        return
    if request.to_now and durable is not None and durable > span.since:
        return
    table = changes.table
    raise OutsideWindow(
        f"{moment.iso(span.until)} is beyond what is proven: {safety.known_until(changes.window)}; nothing was touched",
        hint=f"`backstream witness {table}`, or `backstream tail {table} --until-caught-up`, proves it; or choose an earlier --to. "
        "--allow-gap takes back what has arrived.",
    )


def _check_life(vault: TableVault, request: RevertRequest) -> None:
    """Refuses to bring rows of a deleted table back into the table that has its name now."""
    created: Sequence[int] = [life.created for life in vault.catalog.lives if life.created > request.span.since]
    if created:
        raise OutsideWindow(
            f"{vault.catalog.table} was deleted and created again at {moment.iso(created[-1])}, after the window began; "
            "nothing was touched",
            hint="Choose a window that begins after that.",
        )
