"""`restore --from-file`: dumps as dynamodump makes them, whole and damaged, into a new table, one that is there, and a file."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Damaged, NotFound, Refused, TargetNotEmpty
from backstream.model import moment
from backstream.model.values import wire
from backstream.operations.restore import InPlace, NewTable, RestoreContext, Restored, RestoreRequest, ToFile
from backstream.operations.restore.from_file import restore_held
from backstream.ports import Put, Write
from backstream.stores.dumps import DynamodumpDump
from backstream.tables.memory import MemoryTable
from backstream.vault.dumps.dynamodump import LIMITS, DynamodumpTable
from kit import images
from kit.clock import ManualClock
from kit.scene import Scene, file_items, same

TABLE = "flights"
WRITTEN = 1_699_000_000

SCHEMA = {
    "Table": {
        "TableName": TABLE,
        "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/flights",
        "TableStatus": "ACTIVE",
        "CreationDateTime": "2023-11-01T10:00:00+00:00",
        "AttributeDefinitions": [
            {"AttributeName": "zone", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "by", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9, "NumberOfDecreasesToday": 0},
        "ItemCount": 3,
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-who",
                "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1, "NumberOfDecreasesToday": 0},
                "IndexStatus": "ACTIVE",
                "IndexArn": "arn:aws:dynamodb:us-east-1:000000000000:table/flights/index/by-who",
            }
        ],
    },
    "ResponseMetadata": {"HTTPStatusCode": 200},
}


def dumped(folder: Path, pages: Sequence[Sequence[bytes]], table: str = TABLE) -> Path:
    """What `dynamodump -m backup` leaves: indented JSON, each page an answer of Scan."""
    root = folder / "dump" / table
    (root / "data").mkdir(parents=True)
    (root / "schema.json").write_text(json.dumps(SCHEMA, indent=2))
    for number, page in enumerate(pages, 1):
        items = [json.loads(each) for each in page]
        answer: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if number < len(pages):
            answer["LastEvaluatedKey"] = {name: items[-1][name] for name in ("zone", "number")}
        path = root / "data" / f"{number:04d}.json"
        path.write_text(json.dumps(answer, indent=2))
        os.utime(path, (WRITTEN + number, WRITTEN + number))
    return folder / "dump"


HARD = list(images.hard_images().values())
PAGES = [HARD[:10], HARD[10:11], HARD[11:]]
WHOLE = {wire.key_of(images.SCHEMA, image): image for image in HARD}


class Place:
    """A table, another one that may be created, and what a restore stands in."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.table = MemoryTable(TABLE, self.clock, images.SCHEMA)
        self.new = MemoryTable("new", self.clock)
        self.folder = folder

    def restore(self, path: Path, target: Any, **words: Any) -> Restored:
        """`restore flights --from-file`."""
        tables = {TABLE: self.table, "new": self.new}
        around = RestoreContext(lambda name: tables[name], self.clock, self.folder)
        held = DynamodumpTable(DynamodumpDump(path, TABLE), TABLE, self.clock.now())
        return restore_held(held, TABLE, RestoreRequest(at=0, target=target, **words), around, LocalEngine)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place."""
    return Place(tmp_path)


def contents(table: MemoryTable) -> dict[bytes, bytes]:
    """Every item of a table."""
    return {wire.key_of(images.SCHEMA, image): image for page in table.scan() for image in page}


def zipped(path: Path) -> Path:
    """`-a zip`."""
    with zipfile.ZipFile(path.with_name("dump.zip"), "w") as archive:
        for each in sorted(path.rglob("*.json"), reverse=True):
            archive.write(each, each.relative_to(path.parent))
    return path.with_name("dump.zip")


def tarred(path: Path) -> Path:
    """`-a tar`."""
    with tarfile.open(path.with_name("dump.tar.bz2"), "w:bz2") as archive:
        for each in sorted(path.rglob("*.json"), reverse=True):
            archive.add(each, each.relative_to(path.parent))
    return path.with_name("dump.tar.bz2")


FORMS: list[Callable[[Path], Path]] = [lambda path: path, lambda path: path / TABLE, zipped, tarred]


@pytest.mark.parametrize("form", FORMS, ids=["folder", "the table's folder", "zip", "tar"])
def test_into_a_new_table(place: Place, form: Callable[[Path], Path]) -> None:
    """With its indexes and capacity, every item as it was dumped."""
    path = form(dumped(place.folder, PAGES))
    report = place.restore(path, NewTable("new"))
    assert (report.put, report.failed, report.deleted, report.undo, report.left) == (len(WHOLE), 0, 0, None, None)
    assert report.warnings[0] == LIMITS
    assert same(contents(place.new), WHOLE)
    described: dict[str, Any] = msgspec.json.decode(place.new.facts().description)
    assert [each["IndexName"] for each in described["GlobalSecondaryIndexes"]] == ["by-who"]
    assert described["ProvisionedThroughput"]["WriteCapacityUnits"] == 9
    assert list(place.folder.glob("backstream-restore-*")) == []


def test_the_moment_is_that_of_the_dump(place: Place) -> None:
    report = place.restore(dumped(place.folder, PAGES), ToFile(place.folder / "items"))
    assert report.at == moment.iso(WRITTEN + 3)
    assert same(file_items(place.folder / "items"), WHOLE)


def test_in_place(place: Place) -> None:
    """What differs is put, what is the same is not written, what is not in the dump is left alone. A dry run says so and stops."""
    path = dumped(place.folder, PAGES)
    stranger, changed = images.image("not dumped", 1), images.image("plain", "0", v={"S": "changed"})
    place.table.write([Put(HARD[0]), Put(stranger), Put(changed)])
    before = contents(place.table)
    planned = place.restore(path, InPlace(), dry_run=True)
    assert (planned.put, planned.unchanged, planned.deleted, planned.dry_run) == (len(WHOLE) - 1, 2, 0, True)
    assert contents(place.table) == before
    report = place.restore(path, InPlace())
    assert (report.put, report.unchanged, report.deleted) == (len(WHOLE) - 1, 2, 0)
    assert same(contents(place.table), WHOLE | {wire.key_of(images.SCHEMA, stranger): stranger})
    assert place.restore(path, InPlace()).put == 0


def test_nothing_unprocessed_is_lost(place: Place) -> None:
    """A table that takes one write of each batch."""

    class Slow(MemoryTable):
        def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
            super().write(writes[:1], took)
            return writes[1:]

    place.new = Slow("new", place.clock)
    assert place.restore(dumped(place.folder, PAGES), NewTable("new")).failed == 0
    assert same(contents(place.new), WHOLE)


def cut(path: Path) -> None:
    """The last page ends in the middle."""
    page = path / TABLE / "data" / "0003.json"
    page.write_bytes(page.read_bytes()[:-100])


def short(path: Path) -> None:
    """An item was taken out of a page."""
    page = path / TABLE / "data" / "0001.json"
    answer = json.loads(page.read_text())
    answer["Items"].pop()
    page.write_text(json.dumps(answer))


def nonsense(path: Path) -> None:
    """An attribute is no value."""
    page = path / TABLE / "data" / "0002.json"
    answer = json.loads(page.read_text())
    answer["Items"][0]["v"] = {"S": 5}
    page.write_text(json.dumps(answer))


def keyless(path: Path) -> None:
    """An item without its key."""
    page = path / TABLE / "data" / "0002.json"
    answer = json.loads(page.read_text())
    del answer["Items"][0]["zone"]
    page.write_text(json.dumps(answer))


def other_schema(path: Path) -> None:
    """A description that is none."""
    (path / TABLE / "schema.json").write_text('{"Tables": []}')


def empty_schema(path: Path) -> None:
    """A description without keys."""
    (path / TABLE / "schema.json").write_text('{"Table": {"TableName": "flights"}}')


def two_others(path: Path) -> None:
    """It holds other tables."""
    (path / TABLE).rename(path / "other")
    shutil.copytree(path / "other", path / "others")


BROKEN = [
    (cut, Damaged, "0003.json is not a page"),
    (short, Damaged, "0001.json holds 9 items, and says 10"),
    (nonsense, Damaged, "0002.json"),
    (keyless, Damaged, "0002.json"),
    (other_schema, Damaged, "schema.json is not the description"),
    (empty_schema, BackstreamError, "key"),
    (lambda path: (path / TABLE / "schema.json").unlink(), NotFound, "no table at all"),
    (two_others, NotFound, "other, others"),
    (shutil.rmtree, NotFound, "no dump at"),
]


@pytest.mark.parametrize(("damage", "error", "words"), BROKEN)
def test_a_damaged_dump_is_refused(
    place: Place, damage: Callable[[Path], object], error: type[BackstreamError], words: str
) -> None:
    """Nothing is created, nothing written, and the word names the file."""
    path = dumped(place.folder, PAGES)
    damage(path)
    with pytest.raises(error, match=words):
        place.restore(path, NewTable("new"), allow_gap=True)
    with pytest.raises(NotFound):
        place.new.facts()


@pytest.mark.parametrize(("page", "words"), [(2, "page 0002 is missing"), (3, "page 0002 says that more follow")])
def test_a_dump_that_is_not_whole(place: Place, page: int, words: str) -> None:
    """A page that is missing refuses, unless what is there is asked for."""
    path = dumped(place.folder, PAGES)
    (path / TABLE / "data" / f"{page:04d}.json").unlink()
    with pytest.raises(Refused, match=words):
        place.restore(path, NewTable("new"))
    with pytest.raises(NotFound):
        place.new.facts()
    report = place.restore(path, NewTable("new"), allow_gap=True)
    assert words in report.warnings[1]
    assert report.put == len(contents(place.new)) == len(WHOLE) - len(PAGES[page - 1])


def test_a_cut_archive_is_refused(place: Place) -> None:
    for path in (zipped(dumped(place.folder, PAGES)), tarred(place.folder / "dump")):
        path.write_bytes(path.read_bytes()[:-2_000])
        with pytest.raises(Damaged, match="archive"):
            place.restore(path, NewTable("new"))


def test_a_table_that_is_not_empty(place: Place) -> None:
    place.new = MemoryTable("new", place.clock, images.SCHEMA)
    place.new.write([Put(HARD[0])])
    with pytest.raises(TargetNotEmpty):
        place.restore(dumped(place.folder, PAGES), NewTable("new"))


def test_the_command(scene: Scene) -> None:
    """On real servers: into a new table, then in place, without a vault; and words that do not go together."""
    path = dumped(scene.folder, [HARD[:10], HARD[10:20]], scene.table)
    none = {"BACKSTREAM_VAULT": ""}
    new = f"{scene.table}-new"
    ran = scene.call("restore", scene.table, "--from-file", str(path), "--to", new, "--json", environment=none)
    assert ran.code == 0, ran.err
    report = ran.json()
    assert {"table", "at", "target", "put", "deleted", "unchanged", "failed", "dry_run", "seconds"} <= report.keys()
    assert (report["put"], report["target"]) == (20, new)
    assert LIMITS in ran.err
    whole = {wire.key_of(images.SCHEMA, image): image for image in HARD[:20]}
    assert same(scene.items(new), whole)

    scene.create()
    refused = scene.call("restore", scene.table, "--from-file", str(path), "--in-place", environment=none)
    assert refused.code == 4
    assert "what" in refused.err
    assert str(path) in refused.err
    assert scene.call("restore", scene.table, "--from-file", str(path), "--in-place", "--yes", environment=none).code == 0
    assert same(scene.items(), whole)
    assert scene.call("restore", scene.table, "--from-file", str(path), "--to", "x", "--at", "now", environment=none).code == 2
