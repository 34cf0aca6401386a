"""`export` into Iceberg: a table of changes ends with a second that is proven, and begins where history does."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.errors import Refused
from backstream.stores.memory import MemoryStore
from kit.clock import ManualClock
from operations.test_export_iceberg import append, begun, sequences, settle
from operations.test_retain import DAY, Kept


def test_a_second_that_is_not_proven_is_refused_because_what_arrives_later_would_be_missing(tmp_path: Path) -> None:
    stage = begun()
    stage.put([4])
    stage.clock.sleep(10)
    now = int(stage.clock.now())
    with pytest.raises(Refused, match="may still arrive"):
        append(stage, tmp_path, until=now)
    assert append(stage, tmp_path, until=int(stage.vault().window(now).durable or 0)).rows == 3
    settle(stage)
    assert append(stage, tmp_path, until=now).rows == 1
    assert len(sequences(tmp_path)) == 4


def test_a_new_table_begins_at_the_horizon(tmp_path: Path) -> None:
    """Without --from it began with the vault's first change, which `retain` has removed: each run was refused."""
    clock = ManualClock(1_764_000_000.0)
    stage = Kept(clock, store=MemoryStore(clock))
    stage.live(4)
    stage.retain(2 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    settle(stage)
    done = append(stage, tmp_path)
    assert done.since == horizon.since
    assert done.rows == sum(second > horizon.second for second, _, _ in stage.model) > 0
