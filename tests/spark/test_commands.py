"""Commands with `--engine spark`: what they write is, byte for byte, what the local engine writes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.model import moment
from backstream.operations.base.compact import compact
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit import images
from kit.lived import SMALL
from kit.scene import Ran, Scene, file_items, next_second, same
from kit.spark_cluster import SparkCluster, needs_spark
from kit.spoil import remove, spoil

pytestmark = [pytest.mark.spark, needs_spark, pytest.mark.timeout(1_800)]
ROWS = 60


Words = list[str]


@pytest.fixture
def on_spark(cluster: SparkCluster) -> Words:
    """The words that choose the engine."""
    return ["--engine", "spark", "--master", cluster.master]


def lived(scene: Scene, layout: Layout) -> str:
    """Rows that were written, read as a base backup, changed and deleted, all captured; a moment in the middle of it."""
    scene.create()
    scene.init(layout=layout)
    scene.put(*images.hard_images().values(), *(images.image("z", number, v={"N": "1"}) for number in range(ROWS)))
    scene.backup().backfill()
    scene.put(*(images.image("z", number, v={"N": "2"}) for number in range(0, ROWS, 2)))
    scene.delete(*(images.key("z", number) for number in range(0, ROWS, 5)))
    scene.tail()
    at = next_second()
    scene.put(*(images.image("z", number, v={"N": "3"}) for number in range(1, ROWS, 3)))
    scene.tail()
    next_second()
    return moment.iso(at)


def to_file(scene: Scene, at: str, name: str, *words: str) -> Ran:
    return scene.call("restore", scene.table, "--at", at, "--to-file", str(scene.folder / name), "--json", *words)


def told(ran: Ran) -> dict[str, Any]:
    """A report without what differs in any case."""
    return {name: value for name, value in ran.json().items() if name not in ("seconds", "target", "id", "url", "undo", "left")}


def without_progress(err: str) -> str:
    """The same without what a slow machine says each minute."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("progress: "))


@pytest.mark.parametrize("layout", Layout)
def test_files_tables_and_exports_are_those_of_the_local_engine(scene: Scene, on_spark: Words, layout: Layout) -> None:
    at = lived(scene, layout)
    here, there = to_file(scene, at, "local"), to_file(scene, at, "spark", *on_spark)
    assert (here.code, there.code) == (0, 0), there.err
    assert told(here) == told(there)
    lines = sorted((scene.folder / "local").read_bytes().splitlines())
    assert sorted((scene.folder / "spark").read_bytes().splitlines()) == lines
    assert len(lines) > ROWS // 2

    new = f"{scene.table}-new"
    filled = scene.call("restore", scene.table, "--at", at, "--to", new, "--max-write-units", "100000", "--json", *on_spark)
    assert (filled.code, filled.json()["put"], filled.json()["failed"]) == (0, len(lines), 0), filled.err
    assert same(scene.items(new), file_items(scene.folder / "local"))

    done = scene.call("snapshot", scene.table, "--at", at, "--to", f"s3://{scene.bucket}/exports", "--json", *on_spark)
    assert (done.code, done.json()["items"]) == (0, len(lines)), done.err
    s3 = scene.aws.client("s3")
    found = s3.list_objects_v2(Bucket=scene.bucket, Prefix="exports/")["Contents"]
    names = [each["Key"] for each in found if "/data/" in each["Key"]]
    assert [Path(name).name for name in names] == [f"p{number:06d}.json.gz" for number in range(done.json()["files"])]
    parts = [gzip.decompress(s3.get_object(Bucket=scene.bucket, Key=name)["Body"].read()) for name in names]
    assert sorted(b"".join(parts).splitlines()) == lines
    assert {"manifest-files.json", "manifest-summary.json"} <= {Path(each["Key"]).name for each in found}


def test_in_place_and_taken_back(scene: Scene, on_spark: Words) -> None:
    at = lived(scene, Layout.ROWS)
    before = scene.items()
    done = scene.call("restore", scene.table, "--at", at, "--in-place", "--yes", "--json", *on_spark)
    assert done.code == 0, done.err
    report = done.json()
    assert report["put"] > 0
    assert scene.call("restore", scene.table, "--at", at, "--in-place", "--dry-run", "--json").json()["put"] == 0
    assert scene.call("restore", scene.table, "--undo", report["undo"].split()[-1], "--yes").code == 0
    assert same(scene.items(), before)


def test_verify_finds_what_was_changed_behind_the_vault(scene: Scene, on_spark: Words) -> None:
    lived(scene, Layout.LOG)
    words = ["verify", scene.table, "--patience", "0", "--json", *on_spark]
    assert scene.call(*words).code == 0
    scene.put(images.image("z", 1, v={"N": "99"}))
    found = scene.call(*words)
    assert found.code == 3
    assert found.json()["different"] + found.json()["in_flight"] == 1


def test_what_cannot_be_read_is_named_and_refused_as_by_the_local_engine(scene: Scene, on_spark: Words) -> None:
    at = lived(scene, Layout.LOG)
    vault = scene.vault()
    listed = next(each for each in vault.log.listing() if each.segment is not None and each.segment.count)
    spoil(scene.store(), listed.name, b"no", vault.log.metadata(listed))
    here, there = to_file(scene, at, "local"), to_file(scene, at, "spark", *on_spark)
    assert (here.code, here.err) == (there.code, without_progress(there.err))
    assert here.code == 4
    assert listed.name in there.err
    assert not (scene.folder / "spark").exists()
    here, there = to_file(scene, at, "local", "--allow-gap"), to_file(scene, at, "spark", "--allow-gap", *on_spark)
    assert told(here) == told(there)
    assert here.code == there.code == 1
    assert sorted((scene.folder / "spark").read_bytes().splitlines()) == sorted((scene.folder / "local").read_bytes().splitlines())


def test_executors_without_credentials(scene: Scene, on_spark: Words, credentials: Path) -> None:
    at = lived(scene, Layout.LOG)
    hidden = credentials.rename(credentials.with_suffix(".away"))
    try:
        ran = to_file(scene, at, "spark", *on_spark)
    finally:
        hidden.rename(credentials)
    assert ran.code == 1
    assert "an executor on" in ran.err
    assert "cannot read the vault" in ran.err
    assert "their own credentials" in ran.err
    assert not list(scene.folder.glob("*spark*"))
    assert to_file(scene, at, "spark", *on_spark).code == 0


def test_another_python_on_the_executors(scene: Scene, on_spark: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    at = lived(scene, Layout.LOG)
    assert to_file(scene, at, "first", *on_spark).code == 0  # so that the application is there
    pyspark = import_module("pyspark")
    monkeypatch.setattr(pyspark.SparkContext._active_spark_context, "pythonVer", "3.9")
    ran = to_file(scene, at, "spark", *on_spark)
    assert ran.code == 1
    assert "the executors' Python" in ran.err
    assert "PYSPARK_PYTHON" in ran.err
    assert not list(scene.folder.glob("*spark*"))


def both(scene: Scene, on_spark: Words, code: int, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The reports of both engines, which end with the same code."""
    here, there = scene.call(*words, "--json"), scene.call(*words, "--json", *on_spark)
    assert (here.code, there.code) == (code, code), there.err
    return here.json(), there.json()


@pytest.mark.parametrize("layout", Layout)
def test_questions_and_exports(scene: Scene, on_spark: Words, layout: Layout) -> None:
    at = lived(scene, layout)
    since = moment.iso(int(SystemClock().now()) - 600)
    here, there = both(scene, on_spark, 0, "changes", scene.table, "--from", since, "--to", at, "--summary", "--allow-gap")
    assert there == here
    assert here["changes"] > here["items"] > 0

    place = scene.folder / "export"
    for name in ("here", "there"):
        (place / name).mkdir(parents=True)
        words = on_spark if name == "there" else []
        ran = scene.call("export", scene.table, "--at", at, "--to", f"file://{place / name}", "--json", *words)
        assert ran.code == 0, ran.err
    assert rows_of(place / "there") == rows_of(place / "here")
    assert rows_of(place / "here")

    here, there = both(scene, on_spark, 0, "check", scene.table, "--read-data")
    assert told_of(there) == told_of(here)
    damage(scene)
    here, there = both(scene, on_spark, 3, "check", scene.table, "--read-data")
    assert {each["kind"] for each in here["findings"]} >= {"damaged", *(["missing"] if layout is Layout.ROWS else [])}
    assert told_of(there) == told_of(here)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    manifest = json.loads((folder / "_export.json").read_bytes())
    files = [folder / each["name"] for each in manifest["files"]]
    assert {file.name for file in files} == {file.name for file in folder.glob("*.parquet")}
    return sorted((row for file in files for row in pq.ParquetFile(file).read().to_pylist()), key=lambda row: str(row["key"]))


def damage(scene: Scene) -> None:
    vault, store = scene.vault(), scene.store()
    segments = [each for each in vault.log.listing() if each.segment is not None and each.segment.count]
    spoil(store, segments[0].name, b"no", vault.log.metadata(segments[0]))
    remove(store, segments[1].name)
    for name in sorted({each.name for each in store.list(f"{scene.table}/")})[:3]:
        spoil(store, name, b"{}")


def told_of(report: dict[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    findings = Counter(json.dumps(each, sort_keys=True) for each in report.pop("findings"))
    return {name: value for name, value in report.items() if name != "seconds"}, findings


def test_a_compaction(scene: Scene, on_spark: Words) -> None:
    """Its objects are those of a compaction on this machine, of a copy of the vault. Nothing that the vault tells changes."""
    at = lived(scene, Layout.LOG)
    before = told(to_file(scene, at, "before"))
    copied = MemoryStore(SystemClock())
    for each in scene.store().list("_backstream/"):
        found = scene.store().get(each.name)
        copied.put(each.name, found.body, found.info.metadata)
    done = scene.call("compact", scene.table, "--json", *on_spark)
    assert done.code == 0, done.err
    assert done.json()["lines"] > ROWS
    compact(TableVault.open(copied, scene.table, engines=LocalEngine), SystemClock(), memory=SMALL)
    assert bodies(scene.store(), scene.table) == bodies(copied, scene.table)
    assert told(to_file(scene, at, "after")) == before
    assert sorted((scene.folder / "after").read_bytes().splitlines()) == sorted((scene.folder / "before").read_bytes().splitlines())
    assert scene.call("check", scene.table, "--read-data").code == 0


def bodies(store: ObjectStore, table: str) -> list[tuple[str, bytes]]:
    """The objects of all sets, without the sets' ids, which name the versions of what they replace."""
    names = [each.name for each in store.list(f"_backstream/{table}/compacted/") if "-of-" in each.name]
    found = sorted((name.rpartition("/")[2], store.get(name).body) for name in names)
    assert found
    return found
