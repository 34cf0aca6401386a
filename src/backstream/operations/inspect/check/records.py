"""Checks a vault's own records besides its log: catalog, base backups, compacted sets, gaps and drills."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from backstream.errors import Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.operations.inspect.check.own_names import is_own
from backstream.operations.inspect.check.report import FindingKind, RepairableFinding, hidden, second_version, wrong
from backstream.operations.inspect.check.report import planted as of_damage
from backstream.vault import below_markers as below
from backstream.vault import catalog as catalogs
from backstream.vault import catalog_versions
from backstream.vault.bases import Base
from backstream.vault.erasure import erased_bases, forgotten
from backstream.vault.log.compacted import Set
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault

OWN = (
    ("the catalog", "catalog.json"),
    ("a gap", "gaps/"),
    ("a base backup", "base/"),
    ("a drill", "drills/"),
    ("the note that a batch has arrived", "redriven/"),
    ("the note that vault and table were the same", "agreed/"),
    ("the index of gaps", "compacted/gaps/"),
    ("the record of an erasure", "erasures/"),
    ("who made changes", "actors/"),
    ("the names of typed columns", "columns.json"),
)


def concealed(vault: TableVault, segments: Sequence[LogListing] = ()) -> Iterator[RepairableFinding]:
    """Yields the vault's own objects that a delete marker of somebody else hides, from listings alone.

    `segments`: the log's, from `Inventory.hidden`.
    """
    yield from concealed_records(vault)
    yield from concealed_log(vault, segments)


def concealed_records(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields those that are neither of the log nor compacted."""
    store, table = vault.store, vault.catalog.table
    folder = catalogs.folder(table)
    try:
        folded = vault.gaps.folded()
    except Damaged as error:  # the gaps that it has folded show as hidden then
        yield wrong(FindingKind.DAMAGED, f"{folder}compacted/gaps/", error.message)
        folded = set()
    for what, prefix in OWN:
        listed = below.every_first(store, folder + prefix)
        concealed = (each for each in listed if each.version and each.markers and (each.name, each.version) not in folded)
        yield from (hidden(each.name, each.markers, what) for each in concealed if is_own(vault, each.name))


def concealed_at_a_glance(vault: TableVault, segments: Sequence[LogListing]) -> Iterator[RepairableFinding]:
    """Yields what hides a claim of the vault, by listings that do not grow with its history. `check` looks everywhere.

    `segments`: hidden segments of the log, as in `Inventory.hidden`.
    """
    store, folder = vault.store, catalogs.folder(vault.catalog.table)
    folded = vault.gaps.folded_lately()
    for what, listed in (
        ("the catalog", below.every_first(store, folder + "catalog.json")),
        ("a gap", vault.gaps.recent_records()),
        ("a base backup", below.every_first(store, folder + "base/complete/")),
        *([("the record of an erasure", below.every_first(store, folder + "erasures/"))] if vault.catalog.erasures else []),
        *(("a base backup", below.every_first(store, f"{folder}base/{each.id}/")) for each in vault.bases.complete()[-1:]),
    ):
        concealed = (each for each in listed if each.version and each.markers and (each.name, each.version) not in folded)
        yield from (hidden(each.name, each.markers, what) for each in concealed if is_own(vault, each.name))
    yield from concealed_log(vault, segments)


def concealed_log(vault: TableVault, segments: Sequence[LogListing]) -> Iterator[RepairableFinding]:
    """Yields the same for compacted objects, and for these segments of the log."""
    yield from _of_sets(vault)
    for each in segments:
        yield hidden(each.name, each.markers, "a segment of the change log", each.seconds)


def _of_sets(vault: TableVault) -> Iterator[RepairableFinding]:
    """Checks the generation in force, and the objects of its sets; again if another one came into force meanwhile."""
    compacted = vault.compacted
    while True:
        in_force = compacted.in_force()
        record, generation = in_force.record, in_force.generation
        if record is None:
            return
        seconds = _seconds(generation.sets)
        found = [hidden(record.name, record.markers, "the record of compacted objects", seconds)] if record.markers else []
        for one in generation.sets:
            concealed = [each for each in compacted.written(one.id) if each.markers]
            found += [hidden(each.name, each.markers, "a compacted object", (one.since, one.until)) for each in concealed]
        if compacted.current().number == generation.number:
            yield from found
            return


def planted(vault: TableVault, found: Inventory) -> Iterator[RepairableFinding]:
    """Yields later versions of objects that are written once, as far as they have been listed. Call it after `concealed`."""
    for each in found.segments:
        if each.damage:
            yield second_version(each.name, each.strange)
    for part in vault.compacted.seen():
        yield from map(of_damage, vault.compacted.planted(part))


def planted_records(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields later versions of records that are written once: of base backups, erasures, sets. Nobody reads them."""
    folder = catalogs.folder(vault.catalog.table)
    of_sets = (f"compacted/{each.id}/" for each in vault.compacted.current().sets)
    for prefix in ("base/", "erasures/", *of_sets):
        for each in below.every_first(vault.store, folder + prefix):
            if each.over and each.name.endswith((".json", "/sources.ndjson.zst")):
                over = msgspec.structs.replace(each, later=each.over)
                yield from map(of_damage, below.damage_of(vault.store, over))


def _seconds(sets: Sequence[Set]) -> tuple[int, int] | None:
    return (min(each.since for each in sets), max(each.until for each in sets)) if sets else None


def readable(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields the records that are missing, damaged, or foreign."""
    yield from _catalogs(vault)
    yield from _gaps(vault)
    yield from _bases(vault)
    yield from _compacted_bases(vault)
    yield from _erasures(vault)


def without_generation(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields a finding if it is unknown which compacted sets count.

    All moments from the first compacted change on are affected, by as many changes as the existing sets hold.
    """
    records = vault.compacted.generations()
    if not records:
        return
    record = records[max(records)]
    try:
        vault.compacted.generation(record)
    except Damaged as error:
        lines, since = _in_sets(vault)
        kind = FindingKind.DAMAGED if record.version else FindingKind.MISSING
        yield wrong(kind, record.name, error.message, None if since is None else (since, None), lines)
        yield from concealed_records(vault)
        yield from _catalogs(vault)
        yield from _gaps(vault)
        yield from _bases(vault)
        yield from _erasures(vault)


def _in_sets(vault: TableVault) -> tuple[int | None, int | None]:
    """Returns the number of lines in all sets' objects, and the second of the first change; None if the objects lack them."""
    try:
        indexes = list(vault.compacted.indexes())
    except Damaged:
        return None, None
    seconds = [each.seconds[0] for each in indexes if each.seconds is not None]
    return sum(each.lines for each in indexes), min(seconds, default=None)


def _catalogs(vault: TableVault) -> Iterator[RepairableFinding]:
    store = vault.store
    for name, version in catalog_versions.versions(store, vault.catalog.table):
        read = partial(catalog_versions.version, store, name, version)
        yield from look(f"{name} (version {version})", FindingKind.DAMAGED, read)


def _gaps(vault: TableVault) -> Iterator[RepairableFinding]:
    for each in vault.gaps.records():
        yield from look(each.name, FindingKind.DAMAGED if each.version else FindingKind.MISSING, partial(vault.gaps.read, each))


def _erasures(vault: TableVault) -> Iterator[RepairableFinding]:
    """Checks the records that explain why items are missing, and which changes are to be discarded."""
    for each in vault.catalog.erasures:
        yield from look(vault.erasures.name_of(each), FindingKind.DAMAGED, partial(vault.erasures.recorded, each))
    if vault.catalog.forgotten is not None:
        name = forgotten.name_of(vault.catalog)
        yield from look(name, FindingKind.DAMAGED, partial(forgotten.recorded, vault.store, vault.catalog))


def _bases(vault: TableVault) -> Iterator[RepairableFinding]:
    bases = vault.bases
    complete = bases.complete()
    for base in complete:
        yield from _base(vault, base)
    for base in bases.every_kept():
        if not bases.counts(base):
            yield from look(bases.name_of(base), FindingKind.MISSING, partial(bases.whole, base), (base.end, base.end))
    lost = {base.id: (name, base.end) for name, base in bases.lost()}
    last = vault.catalog.base_backup
    if last is not None and last.id not in {each.id for each in complete} and not _is_passed(vault, last):
        lost.setdefault(last.id, (f"base backup {last.id}", moment.parse_iso_micros(last.ended) // MICROS))
    for name, ended in lost.values():
        yield wrong(FindingKind.MISSING, name, "the record of a complete base backup: it does not count without", (ended, None))
    for name in bases.foreign():
        yield wrong(FindingKind.FOREIGN, name, "not of this vault")
    passed = bases.passed()
    for each in (one for one in bases.ids() if one not in passed):
        yield from look(f"{catalogs.folder(vault.catalog.table)}base/{each}/", FindingKind.DAMAGED, partial(bases.plan, each))


def _is_passed(vault: TableVault, base: catalogs.BaseBackup) -> bool:
    """True if the horizon has passed a base backup in the catalog. An older version of `backfill` noted it all the same."""
    horizon = vault.catalog.horizon
    return horizon is not None and moment.parse_iso_micros(base.began) // MICROS <= horizon.second


def _compacted_bases(vault: TableVault) -> Iterator[RepairableFinding]:
    """Checks that base backups in a set still have a record."""
    known = {each.id for each in vault.bases.complete()} | vault.bases.passed()
    for one in vault.compacted.current().bases:
        for lost in set(one.bases) - known - set(erased_bases.replaced(one.bases, known)):
            yield wrong(
                FindingKind.MISSING, f"base backup {lost}", "it was compacted, and its record is missing", (one.since, None)
            )


def _base(vault: TableVault, base: Base) -> Iterator[RepairableFinding]:
    """Checks that a base backup has the parts and rows in its record.

    Every moment that builds on it is affected, from its end on.
    """
    name = vault.bases.name_of(base)
    if base.kind.is_whole:
        yield from look(name, FindingKind.MISSING, partial(vault.bases.whole, base), (base.end, None))
    else:
        yield from look(name, FindingKind.DAMAGED, partial(vault.bases.account, base), (base.begin, base.end))


def look(
    name: str, kind: FindingKind, work: Callable[[], object], seconds: tuple[int, int | None] | None = None
) -> Iterator[RepairableFinding]:
    """Yields a finding if `work`, which reads the object of this name, finds it missing or damaged."""
    try:
        work()
    except MissingObject as error:
        yield wrong(FindingKind.MISSING, name, error.message.removeprefix(f"{name}: "), seconds)
    except Damaged as error:
        yield wrong(kind, name, error.message.removeprefix(f"{name}: "), seconds)
