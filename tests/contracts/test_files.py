"""What every `ports.Files` promises: a folder of plain files, a bucket without versions, and each `ObjectStore`."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.clock import SystemClock
from backstream.errors import AccessDenied, BackstreamError, MissingBucket, MissingObject
from backstream.ports import Files
from backstream.stores.directory import DirectoryStore
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.stores.s3.store import S3Store
from kit.aws import Aws
from kit.transports import s3_api

NAMES = ("a", "AWSDynamoDB/1-a/_started", "AWSDynamoDB/1-a/data/00000001.json.gz", "with space/é+%2F.json")


@pytest.fixture(params=["folder", "plain bucket", "memory", "directory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Each of them, empty."""
    if request.param == "plain bucket":
        aws: Aws = request.getfixturevalue("aws")
        name = request.getfixturevalue("table_name")
        aws.client("s3").create_bucket(Bucket=name)
        return S3Store(s3_api(aws, name), "some/prefix", SystemClock(), versioned=False)
    if request.param == "folder":
        return FolderFiles(tmp_path / "made" / "when needed")
    return MemoryStore(SystemClock()) if request.param == "memory" else DirectoryStore(tmp_path, SystemClock())


def test_what_was_put_is_there_under_its_name(files: Files) -> None:
    for number, name in enumerate(NAMES):
        assert files.put(name, b"\x00\xff" * number)
    for number, name in enumerate(NAMES):
        stored = files.get(name)
        assert (stored.info.name, stored.info.size, stored.body) == (name, 2 * number, b"\x00\xff" * number)


def test_the_last_write_is_what_is_read(files: Files) -> None:
    files.put("a/b", b"longer than the second")
    files.put("a/b", b"2")
    assert files.get("a/b").body == b"2"


def test_what_is_not_there_is_missing(files: Files) -> None:
    files.put("a/b", b"1")
    with pytest.raises(MissingObject, match="a/c"):
        files.get("a/c")
    assert not files.url.endswith("/")


def test_a_folder_holds_the_files_as_they_are_named_and_nothing_else(tmp_path: Path) -> None:
    FolderFiles(tmp_path).put("a/b.json", b"1")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == ["a/b.json"]
    assert FolderFiles(tmp_path).get("a/b.json").info.modified == (tmp_path / "a" / "b.json").stat().st_mtime


def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MissingBucket, match="no folder"):
        FolderFiles(tmp_path / "file").put("a", b"1")
    with pytest.raises(BackstreamError, match="Is a directory") as caught:
        FolderFiles(tmp_path.parent).get(tmp_path.name)
    assert not isinstance(caught.value, MissingObject | AccessDenied)
    assert (tmp_path / "file").read_text() == "in the way"
