"""`check` of a vault whose superseded versions have expired, as the template's own rule does: nothing is wrong with it."""

from __future__ import annotations

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.operations.base.compact import compact
from backstream.operations.inspect import check as checks
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.losing import lose
from kit.stage import Stage


@pytest.mark.parametrize("layout", list(Layout))
def test_what_compaction_hid_may_expire(layout: Layout) -> None:
    clock = ManualClock()
    stage = Stage(clock, layout=layout, shards=1)
    for _ in range(3):
        stage.put([1, 2, 3])
        clock.move(10)
        stage.follow()
        clock.move(7_200)
        compact(stage.vault(), clock)
    hidden = [each for each in stage.store.versions("_backstream/") if not each.latest]
    assert any("/generations/" in each.name for each in hidden)
    for each in hidden:
        lose(stage.store, each.name, each.version)
    report = checks.check(
        TableVault.open(stage.store, stage.table.name, engines=LocalEngine), checks.CheckContext(clock), percent=100
    )
    assert not report.findings
    assert report.changes == 9
