"""Finds the vault's own objects that no moment from the horizon on needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, takewhile

from backstream.errors import Damaged
from backstream.model import moment
from backstream.operations.base.compact import plan
from backstream.operations.retain.shortening import LINKED_DAYS
from backstream.operations.retain.sweep import Doomed, whole
from backstream.ports import ObjectVersion
from backstream.vault import below_markers
from backstream.vault.bases import KEPT_ID, PLAN, BaseKind
from backstream.vault.catalog import folder
from backstream.vault.erasure import erased_bases
from backstream.vault.log import chains
from backstream.vault.log.compacted import Generation
from backstream.vault.log.log import DAY
from backstream.vault.log.segments import Segment, SegmentKind
from backstream.vault.table_vault import TableVault

ABANDONED = 86_400  # seconds after its last write, a state that was not finished is taken to be given up
_NO_SIGNS = (SegmentKind.REBUILT, SegmentKind.ADOPTED, SegmentKind.EXPORT, SegmentKind.REPAIR)


def _names(vault: TableVault, prefix: str) -> Iterator[tuple[str, list[ObjectVersion]]]:
    """Yields each name below the table's own folder with its rows, newest first."""
    listing = vault.store.versions(folder(vault.catalog.table) + prefix)
    return ((name, list(rows)) for name, rows in groupby(listing, key=lambda each: each.name))


def segments(vault: TableVault, generation: Generation, horizon: int, now: float) -> Iterator[Doomed]:
    """Yields the log's segments that hold nothing after the horizon, except for those that a writer must find again.

    A tail's segment goes only if the generation tells what the next one of its shard follows: a tail may have read old records
    again since.
    """
    listed = [each for each in vault.inventory().listed if each.segment is not None and each.segment.kind not in _NO_SIGNS]
    signs = plan.signs(listed, now)
    day, hour = moment.day_and_hour(horizon)
    end = f"{folder(vault.catalog.table)}log/dt={day}/hour={hour}0"  # "0" follows "/": past that hour's segments
    for name, rows in takewhile(lambda each: each[0] < end, _names(vault, "log/")):
        segment = vault.log.segment_of(name)
        if segment is not None and segment.max_time <= horizon and name not in signs and _is_told(segment, generation, horizon):
            yield whole(rows)


def _is_told(segment: Segment, generation: Generation, horizon: int) -> bool:
    """True if nobody will miss a segment: it is no run, the generation's runs include it, or it is older than anybody names."""
    run = chains.run_of(segment)
    if run is None or segment.max_time < horizon - LINKED_DAYS * DAY:
        return True
    known = (each for each in generation.runs if (each.stream, each.shard) == (run.stream, run.shard))
    return any(each.holds(run.first) and each.holds(run.last) for each in known)


def compacted(vault: TableVault, generation: Generation, horizon: int) -> Iterator[Doomed]:
    """Yields objects of sets that do not count any more, and the records that only they need."""
    alive = {each.id for each in generation.sets}
    for name, rows in _names(vault, "compacted/"):
        number, set_id = vault.compacted.owner_of(name)
        if number is not None and number < generation.number - 1 and _is_old(rows, horizon):
            yield whole(rows)
        if set_id is None or set_id in alive or int(set_id.partition("-")[0]) > generation.number:
            continue
        # The sources of a set explain who hid its segments, as long as one of them may be there.
        if name != vault.compacted.sources_name(set_id) or _is_old(rows, horizon):
            yield whole(rows)


def partitions(vault: TableVault, set_id: str) -> list[ObjectVersion]:
    """Returns the bodies of the objects that hold a set's lines."""
    sources = vault.compacted.sources_name(set_id)
    return [row for name, rows in _names(vault, f"compacted/{set_id}/") if name != sources for row in rows if not row.marker]


def _is_old(rows: list[ObjectVersion], horizon: int) -> bool:
    return all(each.modified <= horizon for each in rows)


def bases(vault: TableVault, horizon: int, now: float) -> Iterator[Doomed]:
    """Yields the base backups that the horizon has passed: first the parts, then what tells that they do not count.

    An erasure may just write the horizon's own one, or a kept state, anew under another id: such a pair is the erasure's to remove.
    """
    records: dict[str, list[str]] = {}
    for record, base in vault.bases.every_record():
        records.setdefault(base.id, []).append(record)
    own = vault.bases.own()
    kept = {erased_bases.stem(each.id) for each in [*vault.bases.every_kept(), *([] if own is None else [own])]}
    for each in sorted(one for one in vault.bases.passed() if erased_bases.stem(one) not in kept):
        objects = [row for _, rows in _names(vault, f"base/{each}/") for row in rows]
        complete = each in records and not each.startswith(KEPT_ID)  # of a kept state: another run may just be about to publish it
        if complete or _is_given_up(vault, each, objects, horizon, now):
            of_records = [row for record in records.get(each, ()) for row in vault.store.versions_of(record)]
            parts = [row for row in objects if _is_body_of_part(row)]
            yield Doomed(parts, [*(row for row in objects if not _is_body_of_part(row)), *of_records])


def _is_body_of_part(row: ObjectVersion) -> bool:
    return not row.marker and not row.name.endswith(f"/{PLAN}")


def _is_given_up(vault: TableVault, base: str, objects: list[ObjectVersion], horizon: int, now: float) -> bool:
    """True if a base backup that is not complete has not grown since the horizon; a state, for a day."""
    begun = vault.bases.plan(base)
    last = now - ABANDONED if begun is not None and begun.kind is BaseKind.STATE else horizon
    return all(each.modified <= last for each in objects)


def gaps(vault: TableVault, horizon: int, left: Callable[[str, str], None]) -> Iterator[Doomed]:
    """Yields the records of gaps that ended by the horizon. A marker goes first: a record that is only a marker would be a loss.

    `left`: receives a record that cannot be read, and why: nobody can tell when its gap ended, so it stays.
    """
    for name, rows in _names(vault, "gaps/"):
        record = below_markers.first_of(rows)
        if not name.endswith(".json") or not record.version:
            continue
        try:
            gap = vault.gaps.read(record)
        except Damaged as error:
            left(name, error.message)
            continue
        if gap.until <= horizon:
            bodies, markers = whole(rows).first, whole(rows).then
            yield Doomed(markers or bodies, bodies if markers else ())


def drills(vault: TableVault, horizon: int) -> Iterator[Doomed]:
    """Yields the records of drills from before the horizon, except for the last one."""
    found = list(_names(vault, "drills/"))
    for name, rows in found[:-1]:
        began = _began(name.rpartition("/")[2])
        if began is not None and began <= horizon:
            yield whole(rows)


def _began(name: str) -> int | None:
    try:
        return moment.parse_compact(f"{name[:15]}Z")
    except ValueError:
        return None
