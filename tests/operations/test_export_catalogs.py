"""Iceberg catalogs over HTTP, with files in S3: each change is in the table once, whoever writes and whatever answer is lost."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import CommitFailedException

from backstream.apps.verbs.tabular.lakes import Lake
from backstream.errors import ConditionNotMet, Failed, Refused, UsageError
from backstream.model.columns.schema import CHANGES
from backstream.operations.changes import ChangesContext
from backstream.operations.export.iceberg import catalogs, orphans
from backstream.operations.export.iceberg.catalogs import open_catalog
from backstream.operations.export.iceberg.follow import Appended, append_changes, source_of
from backstream.operations.export.iceberg.table import RETRIES, SOURCE, IcebergTable
from backstream.operations.export.run import ExportOptions
from backstream.ports import Put
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.scene import Scene, next_second
from kit.stage import Stage

HOUR = 3_600
KINDS = ("sqlite", "glue", "s3tables")


@pytest.fixture(autouse=True)
def environment(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyiceberg and its SDKs find the servers where botocore's variables say."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def named(kind: str, aws: Aws, bucket: str, folder: Path) -> tuple[str, str]:
    """A catalog, as `--catalog` names it, and its warehouse."""
    if kind == "s3tables":
        made: Any = aws.client("s3tables")  # type: ignore[call-overload] # its types are not installed
        return str(made.create_table_bucket(name=f"tables-{uuid.uuid4().hex[:12]}")["arn"]), "s3://of-its-own"
    return (f"sqlite:///{folder}/catalog.db" if kind == "sqlite" else "glue"), f"s3://{bucket}/lake"


class Following:
    """A table that lives, its vault, and its Iceberg table in a catalog."""

    def __init__(self, catalog: str, warehouse: str) -> None:
        self.stage = Stage(ManualClock())
        self.lake = Lake(warehouse, catalog, f"n{uuid.uuid4().hex[:8]}.flights")

    def live(self, *numbers: int) -> None:
        """Writes, and two hours that a tail vouches for."""
        self.stage.put(numbers)
        self.stage.clock.sleep(2 * HOUR)
        self.stage.follow()

    def table(self) -> IcebergTable:
        """As a run of its own opens it."""
        opened = open_catalog(self.lake.catalog, self.lake.warehouse, self.lake.properties)
        return IcebergTable(opened, self.lake.name or "", source_of(self.stage.vault()), "changes", CHANGES)

    def append(self) -> Appended:
        return append_changes(self.stage.vault(), self.table(), ChangesContext(self.stage.clock, SMALL), ExportOptions())

    def sequences(self) -> list[str]:
        """What a reader finds that knows the catalog alone."""
        table = self.table()
        table.open()
        return sorted(map(str, table.table.scan(selected_fields=("sequence",)).to_arrow().column("sequence").to_pylist()))


@pytest.fixture(params=KINDS)
def following(request: pytest.FixtureRequest, aws: Aws, bucket: str, tmp_path: Path) -> Following:
    return Following(*named(request.param, aws, bucket, tmp_path))


def test_each_change_is_in_the_table_once_and_its_columns_grow(following: Following) -> None:
    following.live(1, 2, 3)
    assert [(each.rows, each.commits) for each in (following.append(), following.append())] == [(3, 1), (0, 0)]
    following.stage.table.write([Put(images.image("z", 4, Note={"S": "new"}))])
    following.live(1)
    assert following.append().rows == 2
    found = following.sequences()
    assert len(found) == len(set(found)) == 5
    table = following.table()
    table.open()
    assert table.table.properties[RETRIES] == "0"
    assert "Note_s" in {each.name for each in table.table.schema().fields}
    assert len(table.table.scan(snapshot_id=table.table.snapshots()[0].snapshot_id).to_arrow()) == 3


def test_of_two_writers_one_appends(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    following.live(1)
    following.append()
    following.live(2, 3)
    written = IcebergTable._written

    def late(self: IcebergTable, *words: Any) -> Any:
        yield from written(self, *words)
        monkeypatch.setattr(IcebergTable, "_written", written)
        assert following.append().rows == 2

    monkeypatch.setattr(IcebergTable, "_written", late)
    with pytest.raises(ConditionNotMet, match="another writer"):
        following.append()
    found = following.sequences()
    assert len(found) == len(set(found)) == 3
    if not following.lake.cleans_itself:
        table = following.table()
        table.open()
        left = orphans.orphans(table, following.stage.clock.now())
        assert orphans.remove(table, left) == 1
        assert following.sequences() == found


def test_a_commit_whose_answer_was_lost_is_told_from_another_writers(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore sends UpdateTable again where no answer came. Then the table's version has changed, by this very commit."""
    following = Following("glue", f"s3://{bucket}/lake")
    following.live(1, 2)
    following.append()
    following.live(3)
    committed = GlueCatalog.commit_table

    def sent_again(self: GlueCatalog, *words: Any) -> Any:
        committed(self, *words)
        raise CommitFailedException("Cannot commit: the table was changed concurrently")

    monkeypatch.setattr(GlueCatalog, "commit_table", sent_again)
    assert following.append().rows == 1
    monkeypatch.setattr(GlueCatalog, "commit_table", committed)
    assert len(following.sequences()) == 3
    assert following.append().commits == 0


def test_a_table_without_our_properties_is_not_taken(aws: Aws, bucket: str, tmp_path: Path) -> None:
    """A catalog that leaves out a new table's properties gets them before the first row; a table of rows does not."""
    following = Following(*named("s3tables", aws, bucket, tmp_path))
    following.live(1)
    following.append()
    table = following.table()
    table.open()
    with table.table.transaction() as under_way:
        under_way.remove_properties(SOURCE, "backstream.kind")
    following.live(2)
    with pytest.raises(Refused, match="is not the one of these changes"):
        following.append()


def test_errors_of_catalogs_are_ours(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    following = Following("glue", "s3://nowhere-at-all/lake")
    following.live(1)
    with pytest.raises(Failed, match="the table n"):
        following.append()

    def lost(*_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://glue.example")

    monkeypatch.setattr(GlueCatalog, "load_table", lost)
    with pytest.raises(Failed, match="Could not connect to the endpoint URL"):
        following.append()
    with pytest.raises(UsageError, match="needs a package"):
        open_catalog("bare", "s3://x", {"type": "hive", "uri": "thrift://127.0.0.1:1"})
    words = (
        "--format",
        "iceberg",
        "--follow",
        "--catalog",
        f"{catalogs.S3_TABLES}eu-west-1:111122223333:bucket/b",
        "--remove-orphans",
    )
    ran = scene.call("export", "flights", "--to", "s3://lake", *words)
    assert (ran.code, "S3 Tables remove" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("kind", ["glue", "s3tables"])
def test_the_command_fills_a_table_of_a_catalog_on_aws(kind: str, scene: Scene, tmp_path: Path) -> None:
    scene.create()
    scene.init(layout="log")
    scene.put(images.image("z", 1), images.image("z", 2))
    next_second()
    scene.tail()
    catalog, warehouse = named(kind, scene.aws, scene.bucket, tmp_path)
    name = f"n{uuid.uuid4().hex[:8]}.flights"
    words = ("export", scene.table, "--to", warehouse, "--format", "iceberg", "--catalog", catalog, "--as", name, "--json")
    ran = scene.call(*words, "--at", "1s ago")
    assert (ran.code, ran.json()["rows"], ran.json()["iceberg_table"]) == (0, 2, name), ran.err
    ran = scene.call(*words, "--at", "1s ago")
    assert (ran.code, ran.json()["rows"]) == (0, 2), ran.err
    found = open_catalog(catalog, warehouse, Lake(warehouse).properties).load_table(name).scan().to_arrow()
    assert sorted(found.column("image").to_pylist()) == sorted(each.decode() for each in scene.items().values())
