"""One PUT of a record of a compaction that none made: what drills and restores in place say, and that no row is deleted for it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from backstream.vault.catalog import Layout
from backstream.vault.log.generation import Generation
from kit.aws import Aws
from kit.images import image
from kit.lived import GENERATIONS
from kit.scene import Scene, next_second

ROWS = 6


@pytest.fixture(params=[Layout.LOG, pytest.param(Layout.ROWS, marks=pytest.mark.soak)])
def scene(request: pytest.FixtureRequest, aws: Aws, table_name: str, tmp_path: Path) -> Scene:
    """A table of some rows with a vault in a folder, compacted, and changes since."""
    (tmp_path / "vault").mkdir()
    made = Scene(aws, "", table_name, tmp_path)
    made.url = ""
    made.create()
    made.live().enable_stream()
    made.url = f"file://{tmp_path}/vault"
    assert made.call("init", made.table, "--layout", str(request.param)).code == 0
    made.put(*(image("z", number) for number in range(ROWS)))
    next_second()
    made.tail()
    assert made.call("compact", made.table).code == 0
    made.put(image("z", 0, v={"S": "later"}))
    next_second()
    next_second()
    made.tail()
    return made


@pytest.mark.parametrize("further", [1, 90_000_000])
def test_one_record_hides_nothing_from_a_drill_or_a_restore_in_place(scene: Scene, further: int) -> None:
    vault = scene.vault()
    hiding = [each.name for each in vault.log.listing() if each.segment is not None and each.segment.count]
    number = vault.compacted.current().number + further
    name = f"{GENERATIONS.replace('flights', scene.table)}{number:08d}.json"
    scene.store().put(name, msgspec.json.encode(Generation(number=number, kept=hiding)))
    before = scene.items()
    at = scene.call("status", scene.table, "--json").json()["window_to"]

    drilled = scene.call("drill", scene.table, "--at", at, "--patience", "1", "--json")
    assert drilled.code != 0
    assert name in drilled.out + drilled.err
    assert not (drilled.out.startswith("{") and drilled.json()["passed"])
    assert scene.aws.client("dynamodb").list_tables()["TableNames"].count(f"{scene.table}-drill") == 0

    refused = scene.call("restore", scene.table, "--at", at, "--in-place", "--yes")
    assert (refused.code, name in refused.err) == (4, True), refused.err
    assert scene.items().keys() == before.keys()

    allowed = scene.call("restore", scene.table, "--at", at, "--in-place", "--yes", "--allow-gap", "--json")
    assert name in allowed.err + allowed.out
    assert allowed.json()["deleted"] == 0
    assert scene.items().keys() == before.keys()
