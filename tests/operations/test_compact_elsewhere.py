"""`compact` with executors: the vault is, byte for byte, the one that a compaction on this machine leaves."""

from __future__ import annotations

from copy import deepcopy

import msgspec
import pytest

from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import Compaction, compact, plan, spread
from backstream.operations.inspect.check import CheckContext, check
from backstream.ports import StoredObject
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.executors_here import beside
from kit.lived import LOG, SMALL, Told, all_changes, deliver, live, lived, told
from kit.spoil import spoil
from kit.stage import Stage


def objects(store: MemoryStore) -> dict[str, list[tuple[bytes, dict[str, str]]]]:
    """All versions of all names."""
    return {
        name: [(each.body, dict(each.info.metadata)) if isinstance(each, StoredObject) else (b"marker", {}) for each in versions]
        for name, versions in store._versions.items()
    }


def report(done: Compaction) -> Compaction:
    return msgspec.structs.replace(done, seconds=0.0)


def once(what: Told) -> Told:
    """The same without how often a reader meets a change."""
    return msgspec.structs.replace(what, changes=0)


def both(stage: Stage) -> tuple[Compaction, Compaction]:
    """Compact the vault here, and the vault as it was with executors; both reports."""
    store = stage.store
    assert isinstance(store, MemoryStore)
    before = deepcopy(store._versions)
    there, executors = beside(stage.vault(), SMALL)
    spread = report(compact(there, stage.clock, memory=SMALL))
    assert executors.asked
    found = objects(store)
    store._versions = before
    here = report(compact(stage.vault(), stage.clock, memory=SMALL))
    assert objects(store) == found
    return here, spread


@pytest.mark.parametrize("layout", Layout)
def test_the_vault_is_the_same(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PART_BYTES", 1_000)
    monkeypatch.setattr(spread, "ORDER_OBJECTS", 2)
    stage, seconds = lived(layout=layout)
    again = [msgspec.structs.replace(each, event_id=f"again-{each.sequence}") for each in all_changes(stage)]
    deliver(stage, again)  # each change has two lines, which are not equal
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    known = once(told(stage, seconds))
    here, there = both(stage)
    assert here == there
    assert here.parts
    assert max(each.partitions for each in stage.vault().compacted.current().sets) > 1
    assert once(told(stage, seconds)) == known
    assert not check(stage.vault(), CheckContext(stage.clock, SMALL), percent=100).found
    live(stage, 2, first=3)  # a set is merged with what comes next
    here, there = both(stage)
    assert here == there
    assert not check(stage.vault(), CheckContext(stage.clock, SMALL), percent=100).found


def test_what_cannot_be_read_is_left_and_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "ORDER_OBJECTS", 2)
    stage, _ = lived()
    segments = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    spoil(stage.store, segments[1].name, b"no", stage.vault().log.metadata(segments[1]))
    stage.store.put(f"{LOG}dt=2026-11-23/hour=04/foreign.txt", b"?")
    here, there = both(stage)
    assert here == there
    assert {segments[1].name} < {each.name for each in here.left}
    assert here.missing
