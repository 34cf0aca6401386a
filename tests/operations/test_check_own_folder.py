"""`check` names what does not belong into a table's own folder, and the records that only few commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.operations.inspect.check import CheckContext, FindingKind, check
from backstream.stores.directory import DirectoryStore
from backstream.vault.columns import ColumnStore
from kit.clock import ManualClock
from kit.lived import lived
from kit.stage import Stage

OWN = "_backstream/flights/"
HOUR = "actors/dt=2023-11-14/hour=22/"
FINDINGS = f"{HOUR}20231114T221320Z-20231114T221320Z_1_0123456789abcdef.ndjson.zst"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    found, _ = lived(store=DirectoryStore(tmp_path, ManualClock()))
    return found


def findings(stage: Stage) -> list[tuple[FindingKind, str]]:
    return [(each.kind, each.object) for each in check(stage.vault(), CheckContext(stage.clock)).findings]


def test_nothing_is_wrong_with_what_it_wrote_itself(stage: Stage) -> None:
    assert findings(stage) == []


@pytest.mark.parametrize(
    "name",
    [
        "note",
        "note.json",
        "catalog.json.old",
        "heads/1",
        "compacted/note",
        "compacted/00000001-abcdefabcdef/note",
        "compacted/generations/note",
        "compacted/gaps/1.json",
        "drills/note",
        "erasures/note",
        "erasures/20231114T221320Z-abcdef/note.json",
        "actors/note",
        f"{HOUR}note",
        "redriven/note",
        "agreed/note",
    ],
)
def test_a_foreign_object_is_named(stage: Stage, name: str) -> None:
    stage.store.put(OWN + name, b"x", {})
    assert findings(stage) == [(FindingKind.FOREIGN, OWN + name)]
    stage.store.delete(OWN + name)
    assert findings(stage) == []


def test_each_is_named_once(stage: Stage) -> None:
    names = [f"{OWN}{each}" for each in ("note", "note.json", "note/1", "note/2/3", "note0")]
    for each in names:
        stage.store.put(each, b"x", {})
    assert sorted(findings(stage)) == sorted((FindingKind.FOREIGN, each) for each in names)


def test_a_folder_of_a_console_and_files_of_imports_are_nobodys_damage(stage: Stage) -> None:
    for name in ("snapshots/AWSDynamoDB/1/data/1.json.gz", "notes/"):
        stage.store.put(OWN + name, b"", {})
    assert findings(stage) == []


@pytest.mark.parametrize("name", ["columns.json", FINDINGS, "drills/20231114T221320.000Z_0123.json"])
def test_a_record_that_cannot_be_read_is_damaged(stage: Stage, name: str) -> None:
    stage.store.put(OWN + name, b"no", {"format": "1"})
    assert findings(stage) == [(FindingKind.DAMAGED, OWN + name)]


def test_readable_columns_are_sound(stage: Stage) -> None:
    columns = ColumnStore(stage.store, "flights")
    columns.keep(columns.load())
    assert findings(stage) == []
