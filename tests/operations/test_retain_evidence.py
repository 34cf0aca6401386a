"""A state that `retain` writes comes from the vault itself: it proves nothing that the table has not shown."""

from __future__ import annotations

import pytest

from backstream.operations.compare.verify import verify
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from operations.test_retain import DAY, Kept
from operations.test_verify import surroundings


@pytest.mark.parametrize("layout", list(Layout))
def test_the_horizon_is_not_claimed_where_the_table_shows_that_its_state_was_wrong(layout: Layout) -> None:
    """A change was lost before the horizon, and its row never changes again: only the table tells, after the retention."""
    clock = ManualClock(1_764_000_000.0)
    stage = Kept(clock, layout=layout, store=MemoryStore(clock))
    stage.live(2)
    stage.put([9])
    for stream in stage.table.streams:
        for shard in stream._shards.values():
            shard.records[:] = [each for each in shard.records if b'"9"' not in each.keys]
    stage.live(3)
    report = stage.retain(DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    assert report.horizon == horizon.since
    assert stage.vault().window(clock.now()).ranges[0].since == horizon.second
    found = verify(stage.vault(), surroundings(stage.table, clock))
    assert found.missing == 1
    (gap,) = stage.vault().gaps.all()
    assert gap.since <= horizon.second
    assert stage.vault().window(clock.now()).ranges == []
