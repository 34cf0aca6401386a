"""Snapshots: byte for byte, in AWS's format, loadable by ImportTable; and never taken for whole when they are not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.config import Config
from backstream.clock import SystemClock
from backstream.errors import Unavailable
from backstream.model import moment, moment_arguments
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.vault.aws_export import Export, ExportWriter
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Codec
from kit.clock import ManualClock
from kit.exports import data_lines, files_below, import_table, md5, objects_below, plain
from kit.faulty_store import FaultyStore
from kit.feed import Feed
from kit.images import SCHEMA, hard_images, image, key
from kit.scene import Ran, Scene, same
from kit.spoil import spoil

NOW = int(time.time())
T = NOW - 3_600


@pytest.fixture
def feed(scene: Scene) -> Feed:
    """A vault in a folder, rows that change before and after the moment. The table itself is long gone."""
    feed = feed_of(scene)
    feed.put(T - 9, *(image("row", number, v={"S": "then"}) for number in range(40)))
    feed.delete(T, *(key("row", number) for number in range(5)))
    feed.put(T + 1, image("later", 1), image("row", 9, v={"S": "ruined"}))
    feed.deliver()
    return feed


def feed_of(scene: Scene, **words: Any) -> Feed:
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    return Feed(scene.store(), scene.table, began=T - 600, naming=Naming.PLAIN, **words)


def snapshot(scene: Scene, to: str, *words: str, at: int = T) -> Ran:
    return scene.call("snapshot", scene.table, "--at", str(at), "--to", to, "--json", *words)


def read_back(url: str, scene: Scene, export_id: str) -> dict[bytes, bytes]:
    """An export's items, by canonical key, through this tool's reader; each must be there once."""
    store = FolderFiles(Path(url.removeprefix("file://"))) if url.startswith("file:") else Config(url).files(url)
    export = Export.open(store, export_id)
    images = [each for file in export.files for each in export.images(file)]
    found = {wire.key_of(scene.schema, each): each for each in images}
    assert len(found) == len(images)
    return found


# --- what it holds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("codec", Codec)
def test_every_hard_item_once_byte_for_byte(scene: Scene, layout: Layout, codec: Codec) -> None:
    feed = feed_of(scene, layout=layout)
    feed.put(T, *hard_images().values())
    feed.put(T + 1, image("plain", "0", v={"S": "ruined"}))
    feed.deliver()
    to = f"file://{scene.folder}/out"
    ran = snapshot(scene, to, "--compress", codec.value)
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["items"], report["failed"], report["complete"]) == (len(hard_images()), 0, True)
    assert read_back(to, scene, report["id"]) == feed.model.at(T)
    lines = data_lines(files_below(scene.folder / "out"))
    assert sorted(lines) == sorted(b'{"Item":' + each + b"}" for each in feed.model.at(T).values())


def test_the_files_and_their_manifests_are_those_that_aws_documents(scene: Scene, feed: Feed) -> None:
    ran = snapshot(scene, f"s3://{scene.bucket}/exports/mine")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert report["url"] == f"s3://{scene.bucket}/exports/mine/AWSDynamoDB/{report['id']}"
    files = objects_below(scene.aws, scene.bucket, "exports/")
    folder = f"exports/mine/AWSDynamoDB/{report['id']}"
    names = ["_started", "data/00000001.json.gz", "manifest-files.json", "manifest-files.md5"]
    names += ["manifest-summary.json", "manifest-summary.md5"]
    assert sorted(files) == [f"{folder}/{name}" for name in names]
    assert files[f"{folder}/_started"] == b""
    data = files[f"{folder}/data/00000001.json.gz"]
    etag = scene.aws.client("s3").head_object(Bucket=scene.bucket, Key=f"{folder}/data/00000001.json.gz")["ETag"]
    assert [json.loads(line) for line in files[f"{folder}/manifest-files.json"].splitlines()] == [
        {
            "itemCount": 35,
            "md5Checksum": md5(data),
            "etag": etag.strip('"'),
            "dataFileS3Key": f"{folder}/data/00000001.json.gz",
        }
    ]
    for manifest in ("manifest-files", "manifest-summary"):
        assert files[f"{folder}/{manifest}.md5"].decode() == md5(files[f"{folder}/{manifest}.json"])
    summary = json.loads(files[f"{folder}/manifest-summary.json"])
    times = [summary.pop("startTime"), summary.pop("endTime")]
    assert times == sorted(times)
    assert all(moment_arguments.parse(each, NOW) >= NOW for each in times)
    catalog = feed.catalog
    assert summary == {
        "version": "2020-06-30",
        "exportArn": f"{catalog.table_arn}/export/{report['id']}",
        "tableArn": catalog.table_arn,
        "tableId": catalog.table_id,
        "exportTime": moment.iso(T).replace("Z", ".000Z"),
        "s3Bucket": scene.bucket,
        "s3Prefix": "exports/mine",
        "s3SseAlgorithm": None,
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": 35,
        "outputFormat": "DYNAMODB_JSON",
    }
    assert (report["table"], report["at"], report["items"], report["files"]) == (scene.table, moment.iso(T), 35, 1)
    assert report["bytes"] == len(data)
    assert report["seconds"] >= 0


def test_the_summary_is_the_last_thing_written(feed: Feed) -> None:
    store = FaultyStore(MemoryStore(SystemClock()))
    export = ExportWriter(store, "1-a", Codec.ZSTD, file_bytes=200)
    export.start()
    for each in hard_images().values():
        export.add(each)
    export.close()
    export.complete(feed.catalog, T, began=T, ended=T + 1)
    assert store.puts[0] == "AWSDynamoDB/1-a/_started"
    manifests = ["manifest-files.md5", "manifest-files.json", "manifest-summary.md5", "manifest-summary.json"]
    assert store.puts[-4:] == [f"AWSDynamoDB/1-a/{name}" for name in manifests]
    whole = Export.open(store, "1-a")
    assert len(whole.files) > 10
    assert [each for file in whole.files for each in whole.images(file)] == list(hard_images().values())
    assert all(file.item_count for file in whole.files)


def test_a_table_that_was_empty_is_one_empty_file(scene: Scene, feed: Feed) -> None:
    to = f"file://{scene.folder}/out"
    report = snapshot(scene, to, at=T - 300).json()
    assert (report["items"], report["files"], report["complete"]) == (0, 1, True)
    assert read_back(to, scene, report["id"]) == feed.model.at(T - 300) == {}


def test_people_are_told_where_it_is(scene: Scene, feed: Feed) -> None:
    ran = scene.call("snapshot", scene.table, "--at", str(T), "--to", f"file://{scene.folder}/out")
    assert ran.code == 0, ran.err
    assert f"file://{scene.folder}/out/AWSDynamoDB/" in ran.out
    assert "35 in 1 files" in ran.out
    assert feed.model.at(T)


# --- where it goes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "compression"), [(Codec.GZIP, "GZIP"), (Codec.ZSTD, "ZSTD"), (Codec.GZIP, "NONE")])
def test_import_table_makes_a_table_equal_to_the_source(scene: Scene, codec: Codec, compression: Any) -> None:
    scene.create()
    scene.init()
    # The embedded server's own import breaks lines at U+2028; see test_every_hard_item_once_byte_for_byte.
    hard = [each for each in hard_images().values() if "\u2028".encode() not in each]
    scene.put(*hard)
    then = scene.items()
    at = int(time.time())
    scene.tail()
    ran = snapshot(scene, f"s3://{scene.bucket}/exports", "--compress", codec.value, at=at)
    assert ran.code == 0, ran.err
    prefix = f"exports/AWSDynamoDB/{ran.json()['id']}/data/"
    new = scene.table + "-imported"
    ended = import_table(scene.aws, scene.bucket, prefix, new, SCHEMA, compression) if compression != "NONE" else {}
    if compression == "NONE" or ended.get("FailureCode") == "InputCompressionTypeNotSupported":  # the embedded server's ZSTD
        _decompress(scene, prefix)
        ended = import_table(scene.aws, scene.bucket, "plain/" + prefix, new, SCHEMA, "NONE")
    assert ended["ImportStatus"] == "COMPLETED", ended
    assert ended["ImportedItemCount"] == len(hard)
    assert same(scene.items(new), then)


def _decompress(scene: Scene, prefix: str) -> None:
    for name, body in objects_below(scene.aws, scene.bucket, prefix).items():
        scene.aws.client("s3").put_object(Bucket=scene.bucket, Key=f"plain/{name}", Body=plain(name, body))


def test_a_bucket_without_versions_will_do(scene: Scene, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.aws.client("s3").create_bucket(Bucket=scene.bucket + "-plain")
    to = f"s3://{scene.bucket}-plain"
    ran = snapshot(scene, to)
    assert ran.code == 0, ran.err
    for name, value in scene.environment.items():
        monkeypatch.setenv(name, value)
    assert read_back(to, scene, ran.json()["id"]) == feed.model.at(T)
    keys = objects_below(scene.aws, scene.bucket + "-plain", "")
    assert all(name.startswith("AWSDynamoDB/") for name in keys), "no prefix, no slash before it"


def test_a_place_that_is_none_or_cannot_be_written_is_said(scene: Scene, feed: Feed) -> None:
    wrong = snapshot(scene, "ftp://x")
    assert (wrong.code, "s3://bucket/prefix" in wrong.err) == (2, True)
    missing = snapshot(scene, "s3://backstream-no-such-bucket/x")
    assert (missing.code, "backstream-no-such-bucket" in missing.err, missing.out) == (1, True, "")
    (scene.folder / "file").write_text("in the way")
    blocked = snapshot(scene, f"file://{scene.folder}/file")
    assert (blocked.code, "Traceback" in blocked.err, blocked.out) == (1, False, "")
    assert feed.model.at(T)


# --- what it refuses --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "word"), [(T - 601, "before the first backup"), (NOW + 3_600, "in the future")], ids=["too early", "too late"]
)
def test_a_moment_outside_the_window_is_refused_before_anything_is_written(scene: Scene, feed: Feed, at: int, word: str) -> None:
    ran = snapshot(scene, f"file://{scene.folder}/out", at=at)
    assert (ran.code, word in ran.err, ran.out) == (4, True, "")
    assert "recovery window" in ran.err
    assert not (scene.folder / "out").exists()
    assert feed.model.at(T)


def test_a_gap_is_refused_or_named(scene: Scene) -> None:
    feed = feed_of(scene, empty=False)
    feed.put(T, image("a", 1))
    feed.deliver()
    to = f"file://{scene.folder}/out"
    refused = snapshot(scene, to)
    assert (refused.code, (scene.folder / "out").exists()) == (4, False)
    allowed = snapshot(scene, to, "--allow-gap")
    assert (allowed.code, allowed.json()["items"]) == (0, 1)
    assert any("did not change since `init`" in each for each in allowed.json()["warnings"])


# --- what is never taken for whole ------------------------------------------------------------------------------------------------


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_there_without_manifests(scene: Scene, feed: Feed) -> None:
    row = next(path for path in (scene.folder / "vault").rglob("body") if b'"17"' in path.read_bytes() and "log" not in path.parts)
    row.write_bytes(b"not an image")
    ran = snapshot(scene, f"file://{scene.folder}/out")
    report = ran.json()
    assert (ran.code, report["complete"], report["failed"], report["items"]) == (1, False, 1, 34)
    assert [json.loads(each["what"])["number"] for each in report["failures"]] == [{"N": "17"}]
    assert "LEFT OUT" in ran.err
    assert "not complete" in ran.err
    files = files_below(scene.folder / "out")
    assert sorted(Path(name).name for name in files) == ["00000001.json.gz", "_started"]
    assert len(data_lines(files)) == 34
    assert feed.model.at(T)


def test_a_damaged_segment_is_named_and_there_are_no_manifests(scene: Scene, feed: Feed) -> None:
    segment = next(each.name for each in feed.vault.log.listing())
    spoil(feed.store, segment, b"")
    refused = snapshot(scene, f"file://{scene.folder}/out")
    assert (refused.code, segment in refused.err, (scene.folder / "out").exists()) == (4, True, False)
    ran = snapshot(scene, f"file://{scene.folder}/out", "--allow-gap")
    assert (ran.code, segment in ran.err, ran.json()["complete"]) == (1, True, False)
    assert not list((scene.folder / "out").rglob("manifest*"))


@pytest.mark.parametrize("part", ["_started", "data/00000002", "manifest-files.json", "manifest-summary.json"])
def test_a_write_that_fails_ends_it_without_a_summary(part: str) -> None:
    clock = ManualClock(T)
    store = FaultyStore(MemoryStore(clock), lambda name: part in name)
    feed = Feed(MemoryStore(clock), "flights", began=T - 600)
    export = ExportWriter(store, "1-a", Codec.GZIP, file_bytes=1)

    def write() -> None:
        export.start()
        for number in range(9):
            export.add(image("row", number))
        export.close()
        export.complete(feed.catalog, T, began=T, ended=T)

    with pytest.raises(Unavailable):
        write()
    export.abandon()
    assert not any(name.endswith("manifest-summary.json") for name in store.puts)
