"""One Iceberg table holds one DynamoDB table's changes: what would mix two is refused, and a table created again goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from backstream.apps.verbs.tabular.lakes import Lake
from backstream.engine.local.engine import LocalEngine
from backstream.errors import OutsideWindow, Refused
from backstream.model.columns.schema import STATES
from backstream.operations.export.iceberg.follow import replace_state, source_of
from backstream.operations.export.iceberg.table import SOURCE, IcebergTable
from backstream.operations.export.run import ExportOptions
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.stage import Stage
from operations.test_export import around
from operations.test_export_iceberg import HOUR, NAME, append, catalog_in, rows_in_state, sequences, settle
from operations.test_identity import recreate


def lived(table: str = "flights") -> Stage:
    """Three items of a table, and two hours later."""
    stage = Stage(ManualClock(), table=table)
    stage.put([1, 2, 3])
    settle(stage)
    return stage


def test_two_tables_whose_names_become_one_are_not_mixed(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}")
    assert lake.named("Order.Items", "changes") == lake.named("order_items", "changes")
    one, other = lived("Order.Items"), lived("order_items")
    assert append(one, tmp_path).rows == 3
    with pytest.raises(Refused, match=r"its backstream.source is arn:\S*Order.Items ") as refused:
        append(other, tmp_path)
    assert "table/order_items" in refused.value.hint
    assert "choose another with --as NAMESPACE.NAME" in refused.value.hint
    assert len(sequences(tmp_path)) == 3
    one.put([1])
    settle(one)
    assert append(one, tmp_path).rows == 1


def test_vaults_that_know_no_arn_are_not_mixed(tmp_path: Path) -> None:
    """An older tool's backup of a table that is gone, adopted; and another one, of the same name."""

    def replace(stage: Stage) -> int:
        vault = TableVault(
            stage.store, msgspec.structs.replace(stage.vault().catalog, table_arn="", table_id=""), engines=LocalEngine
        )
        table = IcebergTable(catalog_in(tmp_path), "lake.state", source_of(vault), "state", STATES)
        return replace_state(vault, table, int(stage.clock.now()) - 1, around(stage, tmp_path), ExportOptions()).rows

    one = lived()
    assert (replace(one), replace(one)) == (3, 3)
    two = Stage(ManualClock(one.clock.now()))
    two.put([1])
    settle(two)
    with pytest.raises(Refused, match="is not the one of these changes"):
        replace(two)
    assert len(rows_in_state(tmp_path)[1]) == 3


def test_a_table_that_was_created_again_goes_on_in_its_iceberg_table(tmp_path: Path) -> None:
    stage = lived()
    append(stage, tmp_path)
    before = catalog_in(tmp_path).load_table(NAME).properties[SOURCE]
    recreate(stage)
    stage.clock.sleep(5)
    stage.put([7])
    settle(stage)
    assert append(stage, tmp_path, ExportOptions(allow_gap=True)).rows == 1
    after = catalog_in(tmp_path).load_table(NAME).properties[SOURCE]
    assert (before != after, after) == (True, source_of(stage.vault()).identity)
    assert len(sequences(tmp_path)) == 4


def test_another_vault_of_the_same_table_leaves_no_hole(tmp_path: Path) -> None:
    """It began later than the rows end: the changes between are in neither."""
    stage = lived()
    append(stage, tmp_path)
    later = Stage(ManualClock(stage.clock.now() + 2 * HOUR))
    later.put([7])
    settle(later)
    assert source_of(later.vault()) == source_of(stage.vault())
    with pytest.raises(OutsideWindow, match="is before the vault's first change"):
        append(later, tmp_path)
    assert len(sequences(tmp_path)) == 3
