"""`check` with executors: they read the lines and the rows, and find what this machine finds."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.inspect.check import CheckContext, Checked, FindingKind, check, line_objects
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.executors_here import beside
from kit.lived import ITEMS, LOG, SMALL, live, lived, names
from kit.spoil import remove, spoil
from kit.stage import Stage


def furnished(layout: Layout, *, compacted: bool) -> Stage:
    """A vault with a base backup, changes before and after it, and perhaps a set."""
    stage, _ = lived(layout=layout)
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    if compacted:
        compact(stage.vault(), stage.clock, memory=SMALL)
    live(stage, 2, first=3)
    return stage


def plant(stage: Stage) -> None:
    """Every kind of damage that reading finds: to lines, to objects that are not there any more, and to rows."""
    vault, store = stage.vault(), stage.store
    segments = [each for each in vault.log.listing() if each.segment is not None and each.segment.count and not each.markers]
    spoil(store, segments[0].name, store.get(segments[0].name).body[:-7], vault.log.metadata(segments[0]))
    remove(store, segments[2].name)
    for each in vault.compacted.current().sets[:1]:
        name = vault.compacted.part_names(each)[0]
        spoil(store, name, store.get(name).body[:-9])
    part = next(part for base in vault.bases.ids() for part in vault.bases.parts(base))
    spoil(store, part.name, b"no")
    store.put(f"{LOG}dt=2026-11-23/hour=04/foreign.txt", b"?")
    rows = sorted({each.name for each in store.list("flights/")})
    if not rows:
        return
    versions = [each for each in store.versions_of(rows[0]) if not each.marker]
    spoil(store, rows[0], store.get(rows[0], versions[0].version).body)  # another version, without metadata
    body, info = store.get(rows[1]).body, store.get(rows[2]).info
    spoil_in_place(store, rows[2], body)
    spoil_in_place(store, rows[3], store.get(rows[3]).body + b" ")
    assert info.metadata


def spoil_in_place(store: object, name: str, body: bytes) -> None:
    """Other bytes under the same version, as a disk does it."""
    versions = store._versions[name]  # type: ignore[attr-defined]
    versions[-1] = msgspec.structs.replace(versions[-1], body=body)


def told(found: Checked) -> tuple[object, ...]:
    """A report without what differs in any case, its findings in any order."""
    rest = {name: value for name, value in msgspec.structs.asdict(found).items() if name not in ("seconds", "findings")}
    return rest, Counter(msgspec.json.encode(each) for each in found.findings)


def checked(stage: Stage, vault: TableVault, percent: float) -> Checked:
    return check(vault, CheckContext(stage.clock, SMALL), percent=percent)


@pytest.mark.parametrize("compacted", [False, True], ids=["segments", "a set"])
@pytest.mark.parametrize("layout", Layout)
def test_executors_find_what_this_machine_finds(layout: Layout, monkeypatch: pytest.MonkeyPatch, *, compacted: bool) -> None:
    monkeypatch.setattr(line_objects, "ORDER_OBJECTS", 2)
    stage = furnished(layout, compacted=compacted)
    there, executors = beside(stage.vault(), SMALL)
    assert told(checked(stage, there, 100)) == told(checked(stage, stage.vault(), 100))
    assert not checked(stage, there, 100).found
    plant(stage)
    here, found = checked(stage, stage.vault(), 100), checked(stage, beside(stage.vault(), SMALL)[0], 100)
    assert told(found) == told(here)
    assert {each.kind for each in here.findings} >= {FindingKind.DAMAGED, FindingKind.FOREIGN}
    assert {"ReadLines"} <= set(executors.asked)
    if layout is Layout.ROWS:
        assert here.bodies > len(ITEMS)
        assert "ReadRows" in executors.asked
        assert told(checked(stage, beside(stage.vault(), SMALL)[0], 40)) == told(checked(stage, stage.vault(), 40))
        whys = {each.why for each in here.findings}
        assert {
            "it holds the image of another item",
            "its bytes are not those that were written: the log has another SHA-256",
        } <= whys
    assert names(stage.store, LOG)
