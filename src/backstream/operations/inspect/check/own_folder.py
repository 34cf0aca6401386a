"""Checks the rest of a table's own folder: objects that belong to nothing, and the records that only few commands read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from backstream.operations.inspect.check.own_names import is_own
from backstream.operations.inspect.check.records import look
from backstream.operations.inspect.check.report import FindingKind, RepairableFinding, wrong
from backstream.vault import below_markers
from backstream.vault.attribution.findings import AttributionStore
from backstream.vault.catalog import folder
from backstream.vault.columns import ColumnStore
from backstream.vault.drills import Drills
from backstream.vault.table_vault import TableVault

FOREIGN = "a foreign object: Backstream writes nothing of that name"
_LOOKED_INTO = ("log/", "base/", "gaps/")  # whoever reads these names what is foreign in them
_FILES = "snapshots/"  # of AWS's ImportTable: nothing that the vault claims
_LAST = "\U0010ffff"  # sorts after every other character


def look_around(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields the foreign objects, and the columns, findings of `blame` and reports of drills that cannot be read.

    Each object of these kinds is read.
    """
    store, table = vault.store, vault.catalog.table
    yield from _foreign(vault)
    columns, attribution, drills = ColumnStore(store, table), AttributionStore(store, table), Drills(store, table)
    yield from look(columns.name, FindingKind.DAMAGED, columns.load)
    for each in attribution.every():
        yield from look(each.name, FindingKind.DAMAGED, partial(attribution.examine, each))
    for name in filter(partial(is_own, vault), drills.names()):
        yield from look(name, FindingKind.DAMAGED, partial(drills.check, name))


def _foreign(vault: TableVault) -> Iterator[RepairableFinding]:
    own = folder(vault.catalog.table)
    for prefix in _inside(vault, own):
        if prefix in (*_LOOKED_INTO, _FILES):
            continue
        for each in below_markers.newest(vault.store, own + prefix):
            is_there = not each.markers and (prefix.endswith("/") or each.name == own + prefix)
            if is_there and not each.name.endswith("/") and not is_own(vault, each.name):  # a console's "folder" is nobody's
                yield wrong(FindingKind.FOREIGN, each.name, FOREIGN)


def _inside(vault: TableVault, own: str) -> Iterator[str]:
    """Yields the folders in the table's own folder, each with its slash, and the names of the objects beside them."""
    after, last = "", ""
    while (entry := next(vault.store.versions(own, after=after), None)) is not None:
        first, slash, _ = entry.name.removeprefix(own).partition("/")
        if first + slash != last:
            last = first + slash
            yield last
            after = f"{own}{last}{_LAST}" if slash else entry.name
        else:  # a name of the same folder that begins with the last character: "0" follows "/"
            after = f"{own}{first}0"
