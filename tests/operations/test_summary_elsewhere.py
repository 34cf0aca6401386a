"""`changes --summary` with executors counts what this machine counts."""

from __future__ import annotations

import msgspec
import pytest

from backstream.errors import BackstreamError, NothingMatches
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.changes import (
    ChangeCriteria,
    Changes,
    ChangesContext,
    ChangeSummary,
    ChangeWindow,
    items,
    spread,
    summed_up,
)
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.executors_here import beside
from kit.lived import SMALL, all_changes, deliver, key, live, lived
from kit.spoil import remove, spoil
from kit.stage import Stage


def furnished(layout: Layout, *, twice: bool = False) -> tuple[Stage, ChangeWindow]:
    """Changes in a set and in segments, a base backup within the window, and a window that begins amid the changes.

    `twice`: each change has two lines.
    """
    stage, seconds = lived(layout=layout)
    if twice:
        deliver(stage, all_changes(stage))
    compact(stage.vault(), stage.clock, memory=SMALL)
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    more = live(stage, 2, first=3)
    return stage, ChangeWindow(seconds[0] - 3, more[-1])


def summed(
    stage: Stage, vault: TableVault, span: ChangeWindow, asked: ChangeCriteria, *, allow_gap: bool = False
) -> tuple[ChangeSummary, list[object]]:
    changes = Changes(vault, span, asked, ChangesContext(stage.clock, SMALL), allow_gap=allow_gap)
    found = summed_up(changes, "id")
    selection = changes.selection
    return found, [changes.warnings, changes.gone, changes.doubtful, selection.undecided, selection.ambiguous]


ASKED = {
    "all": ChangeCriteria(),
    "one item": ChangeCriteria(keys=[key(2)]),
    "by event": ChangeCriteria(events=["REMOVE", "INSERT"]),
    "by condition": ChangeCriteria(where='v > 0 or id = "z"'),
    "by attribute": ChangeCriteria(attributes=["v"]),
}


@pytest.mark.parametrize("few", [300, 0], ids=["few items", "many items"])
@pytest.mark.parametrize("layout", Layout)
def test_the_counts_are_the_same(layout: Layout, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "FEW", few)
    monkeypatch.setattr(spread, "ORDER_OBJECTS", 2)
    stage, span = furnished(layout, twice=True)
    there, executors = beside(stage.vault(), SMALL)
    for name, asked in ASKED.items():
        here = summed(stage, stage.vault(), span, asked)
        assert summed(stage, there, span, asked) == here, name
        assert here[0].changes
    assert {"GatherChanges", "CountChanges"} <= set(executors.asked)
    with pytest.raises(NothingMatches, match="no change of flights"):
        summed(stage, there, span, ChangeCriteria(keys=[key(99)]))


@pytest.mark.parametrize("layout", Layout)
def test_what_cannot_be_read_is_said_or_refused(layout: Layout) -> None:
    stage, span = furnished(layout)
    listed = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count and not each.markers]
    spoil(stage.store, listed[0].name, b"no", stage.vault().log.metadata(listed[0]))
    remove(stage.store, listed[1].name)
    for name in sorted({each.name for each in stage.store.list("flights/")})[:2]:
        remove(stage.store, name)
    there, _ = beside(stage.vault(), SMALL)
    here = summed(stage, stage.vault(), span, ChangeCriteria(), allow_gap=True)
    assert summed(stage, there, span, ChangeCriteria(), allow_gap=True) == here
    assert here[1][0]
    assert bool(here[1][1]) == (layout is Layout.ROWS)
    assert refused(stage, there, span) == refused(stage, stage.vault(), span)


def refused(stage: Stage, vault: TableVault, span: ChangeWindow) -> tuple[type[BackstreamError], str]:
    with pytest.raises(BackstreamError) as raised:
        summed(stage, vault, span, ChangeCriteria())
    return type(raised.value), raised.value.message


def test_the_counts_are_in_the_report() -> None:
    stage, span = furnished(Layout.LOG)
    found, _ = summed(stage, beside(stage.vault(), SMALL)[0], span, ChangeCriteria())
    assert sum(found.events.values()) == sum(each.changes for each in found.times) == found.changes
    assert found.items == len(found.busiest)
    assert msgspec.json.encode(found)
