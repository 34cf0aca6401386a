"""`export --format iceberg`: each change is in the table exactly once, whoever writes, whatever kills it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from backstream.errors import ConditionNotMet, GapInTheWay, PartlyDone, Refused, UsageError
from backstream.model.columns.schema import CHANGES, STATES
from backstream.operations.changes import ChangesContext
from backstream.operations.export.iceberg import follow as following
from backstream.operations.export.iceberg import orphans
from backstream.operations.export.iceberg.catalogs import open_catalog, properties_of
from backstream.operations.export.iceberg.follow import Appended, append_changes, replace_state, source_of
from backstream.operations.export.iceberg.table import POSITION, RETRIES, IcebergTable, position_in, write_id
from backstream.operations.export.run import ExportOptions
from backstream.ports import Put
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.columns import ColumnStore
from backstream.vault.gaps.gaps import Gap
from kit import images
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.losing import lose
from kit.scene import Scene
from kit.stage import Stage
from operations.test_export import Life, around, typed_of

NAME = "backstream.flights_changes"
HOUR = 3_600


def catalog_in(folder: Path) -> Catalog:
    return open_catalog(None, f"file://{folder}", {})


def table_in(stage: Stage, folder: Path, *, kind: str = "changes", name: str = NAME) -> IcebergTable:
    fixed = CHANGES if kind == "changes" else STATES
    return IcebergTable(catalog_in(folder), name, source_of(stage.vault()), kind, fixed)


def append(stage: Stage, folder: Path, options: ExportOptions | None = None, **words: Any) -> Appended:
    context = ChangesContext(stage.clock, SMALL)
    return append_changes(stage.vault(), table_in(stage, folder), context, options or ExportOptions(), **words)


def rows_in(folder: Path, name: str = NAME) -> tuple[pa.Schema, list[dict[str, Any]]]:
    """The rows that pyiceberg's scan returns, with the true names of columns as `typed_of` wants them."""
    table = catalog_in(folder).load_table(name)
    found = table.scan().to_arrow()
    documented = {field.name: json.loads(field.doc) for field in table.schema().fields if field.doc}
    fields = [
        field.with_metadata({key: value.encode() for key, value in documented[field.name].items()})
        if field.name in documented
        else field.remove_metadata()
        for field in found.schema
    ]
    return pa.schema(fields), sorted(found.to_pylist(), key=lambda each: each["sequence"] or each["key"])


def sequences(folder: Path) -> list[str]:
    return [each["sequence"] for each in rows_in(folder)[1]]


def settle(stage: Stage, seconds: float = 2 * HOUR) -> None:
    """Time passes, and a tail proves that nothing more has happened."""
    stage.clock.sleep(seconds)
    stage.follow()


def check(seed: int, folder: Path) -> None:
    """A random history, appended at random times, is in the table exactly once; a state replaces the one before."""
    life, source = Life(seed), random.Random(seed)
    stage = life.stage
    for _ in range(source.randrange(1, 4)):
        append(stage, folder)
        life._live()
        if source.random() < 0.5:
            settle(stage)
    settle(stage)
    appended = append(stage, folder)
    expected = life.changes(life.begun - 1, int(stage.clock.now()))
    if not expected:
        assert appended.rows == 0, "a table of changes is made with the first of them"
        return
    schema, rows = rows_in(folder)
    told = [(each["micros"] // 1_000_000, each["key"], each["old"], each["new"]) for each in rows]
    assert sorted(told, key=repr) == sorted(expected, key=repr)
    for each in rows:
        assert typed_of(schema, each) == json.loads(each["new"] if each["new"] is not None else each["key"])
    for at in (life.moments[0], int(stage.clock.now()) - 1):
        replace_state(
            stage.vault(), table_in(stage, folder, kind="state", name="lake.state"), at, around(stage, folder), ExportOptions()
        )
        _, items = rows_in_state(folder)
        assert {each["key"].encode(): each["image"].encode() for each in items} == stage.expected(at)


def rows_in_state(folder: Path) -> tuple[pa.Schema, list[dict[str, Any]]]:
    found = catalog_in(folder).load_table("lake.state").scan().to_arrow()
    return found.schema, found.to_pylist()


@pytest.mark.parametrize("seed", range(2))
def test_a_random_history_is_in_the_table_exactly_once(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(100, 2_100, 100))
def test_many_random_histories_are_in_the_table_exactly_once(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 100):
        check(seed, tmp_path / str(seed))


def begun(*, layout: Layout = Layout.LOG) -> Stage:
    """Three items, and two hours later."""
    stage = Stage(ManualClock(), layout=layout)
    stage.put([1, 2, 3])
    settle(stage)
    return stage


def test_snapshots_tell_their_moments_and_one_commit_writes_rows_and_position(tmp_path: Path) -> None:
    stage = begun()
    one = append(stage, tmp_path)
    stage.put([1])
    stage.table.write([Put(images.image("z", 4, Note={"S": "new"}))])
    settle(stage)
    two = append(stage, tmp_path)
    assert (one.rows, one.commits, two.rows, two.commits) == (3, 1, 2, 1)
    assert two.since == one.until
    table = catalog_in(tmp_path).load_table(NAME)
    assert [each.summary["backstream.until"] for each in table.snapshots() if each.summary] == [one.until, two.until]
    assert table.properties[POSITION] == two.until
    assert table.properties[RETRIES] == "0"
    assert len(table.scan(snapshot_id=table.snapshots()[0].snapshot_id).to_arrow()) == 3
    assert "Note_s" in {field.name for field in table.schema().fields}
    again = append(stage, tmp_path)
    assert (again.rows, again.commits) == (0, 0)
    assert len(catalog_in(tmp_path).load_table(NAME).snapshots()) == 2


def test_only_hours_that_are_proven_to_be_complete_are_appended(tmp_path: Path) -> None:
    """A change that was made within the proven hours' last one waits, and so does one that nobody has vouched for."""
    stage = begun()
    stage.clock.sleep(HOUR - stage.clock.now() % HOUR + 60)
    stage.put([5])
    stage.clock.sleep(5)
    stage.follow()
    assert append(stage, tmp_path).rows == 3
    settle(stage)
    assert append(stage, tmp_path).rows == 1


def test_hours_without_a_change_are_no_snapshots_and_no_hole(tmp_path: Path) -> None:
    stage = begun()
    append(stage, tmp_path)
    for _ in range(3):
        settle(stage, 20 * HOUR)
        assert append(stage, tmp_path).commits == 0
    stage.put([1])
    settle(stage, 20 * HOUR)
    assert append(stage, tmp_path).rows == 1
    assert len(sequences(tmp_path)) == 4


def test_many_changes_are_several_commits_each_up_to_an_hours_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LEAST", 2_000)
    stage = Stage(ManualClock())
    for _ in range(5):
        stage.put([1, 2, 3, 4])
        settle(stage, HOUR)
    settle(stage)
    done = append(stage, tmp_path)
    assert done.rows == 20
    assert done.commits > 2
    table = catalog_in(tmp_path).load_table(NAME)
    ends = [each.summary["backstream.until"] for each in table.snapshots() if each.summary]
    assert all(str(each).endswith(":59:59Z") for each in ends)
    assert len(set(sequences(tmp_path))) == 20


def test_of_two_writers_at_once_one_appends_and_the_other_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the other's look at the position and its commit."""
    stage = begun()
    append(stage, tmp_path)
    stage.put([1, 2])
    settle(stage)
    written = IcebergTable._written

    def late(self: IcebergTable, *words: Any) -> Any:
        yield from written(self, *words)
        monkeypatch.setattr(IcebergTable, "_written", written)
        assert append(stage, tmp_path).rows == 2

    monkeypatch.setattr(IcebergTable, "_written", late)
    with pytest.raises(ConditionNotMet, match="another writer"):
        append(stage, tmp_path)
    assert len(sequences(tmp_path)) == len(set(sequences(tmp_path))) == 5
    table = table_in(stage, tmp_path)
    table.open()
    left = orphans.orphans(table, stage.clock.now())
    assert [each.removable for each in left if each.name.endswith(".parquet")] == [True]
    assert orphans.remove(table, left) == 1
    assert len(sequences(tmp_path)) == 5
    assert not [each for each in orphans.orphans(table, stage.clock.now()) if each.name.endswith(".parquet")]


def test_a_writer_that_comes_second_finds_the_position_moved(tmp_path: Path) -> None:
    stage = begun()
    table = table_in(stage, tmp_path)
    table.open()
    append(stage, tmp_path)
    with pytest.raises(ConditionNotMet, match="another writer"):
        table.append([], ColumnStore(stage.store, "flights").load(), 5, 10, 1_000)
    assert len(sequences(tmp_path)) == 3


def set_property(folder: Path, name: str, value: str) -> None:
    with catalog_in(folder).load_table(NAME).transaction() as under_way:
        under_way.set_properties({name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (RETRIES, "4", "changes could be appended twice"),
        ("backstream.source", "arn:aws:dynamodb:eu-west-1:1:table/other", "is not the one of these changes"),
        ("backstream.kind", "state", "is not the one of these changes"),
        (POSITION, "2030-01-01T00:00:00Z", "was rolled back"),
    ],
)
def test_a_table_that_is_not_safe_to_append_to_is_refused(name: str, value: str, words: str, tmp_path: Path) -> None:
    stage = begun()
    append(stage, tmp_path)
    set_property(tmp_path, name, value)
    stage.put([1])
    settle(stage)
    with pytest.raises(Refused, match=words):
        append(stage, tmp_path)
    assert len(sequences(tmp_path)) == 3


def test_a_rollback_is_seen(tmp_path: Path) -> None:
    stage = begun()
    append(stage, tmp_path)
    stage.put([1])
    settle(stage)
    append(stage, tmp_path)
    table = catalog_in(tmp_path).load_table(NAME)
    with table.manage_snapshots() as manage:
        manage.rollback_to_snapshot(table.snapshots()[0].snapshot_id)
    with pytest.raises(Refused, match="was rolled back: its rows end at"):
        append(stage, tmp_path)


def test_the_beginning_is_only_chosen_once(tmp_path: Path) -> None:
    stage = begun()
    append(stage, tmp_path)
    with pytest.raises(UsageError, match="it goes on from there"):
        append(stage, tmp_path, since=int(stage.clock.now()) - 10)


def test_a_gap_is_not_passed_over(tmp_path: Path) -> None:
    stage = begun()
    second = int(stage.clock.now()) - 3_000
    stage.vault().gaps.record(Gap(reason="lost", since=second, until=second + 10, stream=stage.vault().catalog.stream))
    settle(stage)
    with pytest.raises(GapInTheWay):
        append(stage, tmp_path)
    done = append(stage, tmp_path, ExportOptions(allow_gap=True))
    assert done.rows == 3
    assert any("may be missing" in each for each in done.warnings)


def test_a_damaged_image_stops_it_before_anything_is_written(tmp_path: Path) -> None:
    stage = begun(layout=Layout.ROWS)
    row = next(each for each in stage.store.versions("flights/"))
    lose(stage.store, row.name, row.version)
    with pytest.raises(PartlyDone, match="images that cannot be read"):
        append(stage, tmp_path)
    done = append(stage, tmp_path, ExportOptions(skip_damaged=True))
    assert (done.rows, len(done.damaged)) == (3, 1)


def test_names_of_data_files_tell_their_position() -> None:
    name = f"s3://lake/data/00000-3-{write_id(1_796_028_945)}.parquet"
    assert position_in(name) == 1_796_028_945
    assert position_in("s3://lake/data/00000-0-51fd6cad-61db-4863-8f8a-4637be6630dc.parquet") is None
    assert position_in("x.parquet") is None


@pytest.mark.parametrize(
    ("catalog", "properties"),
    [
        ("sqlite:////x/c.db", {"type": "sql", "uri": "sqlite:////x/c.db", "warehouse": "s3://lake"}),
        ("https://rest.example", {"type": "rest", "uri": "https://rest.example", "warehouse": "s3://lake"}),
        ("glue", {"type": "glue", "warehouse": "s3://lake"}),
        (
            "arn:aws:s3tables:eu-west-1:1:bucket/b",
            {
                "type": "rest",
                "uri": "https://s3tables.eu-west-1.amazonaws.com/iceberg",
                "warehouse": "arn:aws:s3tables:eu-west-1:1:bucket/b",
                "rest.sigv4-enabled": "true",
                "rest.signing-name": "s3tables",
                "rest.signing-region": "eu-west-1",
            },
        ),
        ("prod", {}),
    ],
)
def test_catalogs(catalog: str, properties: dict[str, str]) -> None:
    assert properties_of(catalog, "s3://lake")[1] == properties


def test_a_bucket_needs_a_catalog() -> None:
    with pytest.raises(UsageError, match="which catalog"):
        properties_of(None, "s3://lake")


# --- kill -9 --------------------------------------------------------------------------------------------------------------------


def killed_at(folder: Path, request: int) -> bool:
    """Runs an append in a process that is killed at that request of its vault, its files or its catalog. False if it ended."""
    done = subprocess.run(
        [sys.executable, "-m", "kit.killed_export", str(folder / "vault"), str(folder / "lake"), str(request)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == -signal.SIGKILL


def kill(requests: Sequence[int], folder: Path) -> int:
    """Kills an append at each of these requests, one after the other, with new changes between; then lets one end."""
    clock = ManualClock()
    (folder / "vault").mkdir()
    stage = Stage(clock, store=DirectoryStore(folder / "vault", clock))
    kills = 0
    for number, request in enumerate(requests):
        stage.put([1, 2])
        stage.table.write([Put(images.image("z", 3, **{f"a{number}": {"N": "1"}}))])
        settle(stage)
        kills += killed_at(folder, request)
        seen = sequences(folder / "lake") if (folder / "lake" / "catalog.db").exists() and exists(folder / "lake") else []
        assert len(seen) == len(set(seen))
        assert len(seen) % 3 == 0, "half a commit"
    append(stage, folder / "lake")
    found = sequences(folder / "lake")
    assert len(found) == len(set(found)) == 3 * len(requests)
    table = table_in(stage, folder / "lake")
    table.open()
    left = orphans.orphans(table, stage.clock.now())
    assert orphans.remove(table, left) == len([each for each in left if each.name.endswith(".parquet")])
    assert sequences(folder / "lake") == found
    return kills


def exists(folder: Path) -> bool:
    return bool(catalog_in(folder).table_exists(NAME))


def test_a_kill_loses_nothing_and_appends_nothing_twice(tmp_path: Path) -> None:
    assert kill([18, 17], tmp_path) == 2  # right after a commit, and before one whose files are written


@pytest.mark.soak
def test_thirty_kills_at_any_request_lose_nothing_and_append_nothing_twice(tmp_path: Path) -> None:
    source = random.Random(1)
    assert kill([source.randrange(1, 17) for _ in range(36)], tmp_path) >= 30


# --- the command ----------------------------------------------------------------------------------------------------------------


def test_the_command_says_what_only_iceberg_has(scene: Scene) -> None:
    ran = scene.call("export", "flights", "--to", "file:///x", "--at", "now", "--follow")
    assert (ran.code, "only with --format iceberg" in ran.err) == (2, True), ran.err
    ran = scene.call("export", "flights", "--to", "s3://lake", "--format", "iceberg", "--follow")
    assert ran.code != 0
