"""Checks the rest of a table's own folder: objects that belong to nothing, and the records that only few commands read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from backstream.operations.inspect.check.own_names import is_own
from backstream.operations.inspect.check.records import look
from backstream.operations.inspect.check.report import FindingKind, RepairableFinding, wrong
from backstream.vault import below_markers
from backstream.vault.attribution.findings import AttributionStore
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder
from backstream.vault.columns import ColumnStore
from backstream.vault.drills import Drills
from backstream.vault.one_level import one_level
from backstream.vault.table_vault import TableVault

FOREIGN = "a foreign object: Backstream writes nothing of that name"
_LOOKED_INTO = ("log/", "base/", "gaps/")  # whoever reads these names what is foreign in them
_FILES = "snapshots/"  # of AWS's ImportTable: nothing that the vault claims


def look_around(vault: TableVault) -> Iterator[RepairableFinding]:
    """Yields the foreign objects, and the columns, findings of `blame` and reports of drills that cannot be read.

    Each object of these kinds is read.
    """
    store, table = vault.store, vault.catalog.table
    own, columns = folder(table), ColumnStore(store, table)
    attribution, drills = AttributionStore(store, table), Drills(store, table)
    for each in _objects(vault, own):
        if not is_own(vault, each.name):
            if not each.markers and not each.name.endswith("/"):  # a console's "folder" is nobody's
                yield wrong(FindingKind.FOREIGN, each.name, FOREIGN)
        elif each.name == columns.name:
            yield from look(each.name, FindingKind.DAMAGED, columns.load)
        elif each.name.startswith(f"{own}actors/"):
            yield from look(each.name, FindingKind.DAMAGED, partial(attribution.examine, each))
        elif each.name.startswith(f"{own}drills/"):
            yield from look(each.name, FindingKind.DAMAGED, partial(drills.check, each.name))


def _objects(vault: TableVault, own: str) -> Iterator[First]:
    for prefix, _ in one_level(vault.store, own):
        if prefix not in (*_LOOKED_INTO, _FILES):
            listed = below_markers.firsts(vault.store, own + prefix)
            yield from (each for each in listed if prefix.endswith("/") or each.name == own + prefix)
