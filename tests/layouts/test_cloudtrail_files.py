"""CloudTrail's folders and files: which are read for which hours, and how much of them is in memory."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged, Refused
from backstream.model.calls.cloudtrail import CallTarget
from backstream.ports import ListedFiles, ListedObject, StoredObject
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.vault.attribution import cloudtrail
from backstream.vault.attribution.cloudtrail import Trail
from kit.clock import ManualClock
from kit.cloudtrail import ACCOUNT, file_body, file_name, region_folder
from kit.images import SCHEMA

T = 1_795_407_333  # 2026-11-23T04:15:33Z
HOUR = T // 3_600
ARN = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/flights"
TARGET = CallTarget.of(ARN, SCHEMA)


class Counting:
    """Files that note what is asked for."""

    def __init__(self, files: ListedFiles) -> None:
        self._files = files
        self.prefixes: list[str] = []

    @property
    def url(self) -> str:
        return self._files.url

    def get(self, name: str) -> StoredObject:
        return self._files.get(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        self.prefixes.append(prefix)
        return self._files.list(prefix, after=after)


def files_in(tmp_path: Path, *names: str) -> FolderFiles:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    return FolderFiles(tmp_path)


def found(files: ListedFiles, path: str = "bucket", hours: tuple[int, ...] = (HOUR,)) -> list[str]:
    """The names of the files that are read, without their folders."""
    return [each.name.rpartition("_")[2].partition(".")[0] for each in Trail(files, path, TARGET).files(set(hours))]


def test_only_the_days_and_hours_that_are_needed(tmp_path: Path) -> None:
    region = region_folder()
    names = {
        unique: region + file_name(T + apart, unique)
        for unique, apart in {
            "daysbefore": -3 * 86_400,
            "before": -3 * 3_600,
            "named": -2_400,
            "soon": 240,
            "late": 6_000,
            "later": 5 * 3_600,
            "daysafter": 86_400,
        }.items()
    }
    files = Counting(
        files_in(tmp_path, *names.values(), region_folder(region="eu-west-1") + file_name(T, "elsewhere", region="eu-west-1"))
    )
    assert found(files) == ["named", "soon", "late"]
    assert [each for each in files.prefixes if each.endswith("/") and "/2026/" in each] == [f"{region}2026/11/23/"]
    assert found(files, hours=()) == []


@pytest.mark.parametrize(
    ("below", "path"),
    [
        ("", "logs"),
        ("AWSLogs/", "logs/AWSLogs"),
        (f"AWSLogs/{ACCOUNT}/", f"logs/AWSLogs/{ACCOUNT}"),
        (f"AWSLogs/{ACCOUNT}/CloudTrail/", f"logs/AWSLogs/{ACCOUNT}/CloudTrail"),
        (region_folder(), "logs/" + region_folder()),
        (region_folder() + "2026/", f"logs/{region_folder()}2026"),
        (region_folder() + "2026/11/", f"logs/{region_folder()}2026/11"),
        (region_folder() + "2026/11/23/", f"logs/{region_folder()}2026/11/23/"),
    ],
)
def test_the_folder_may_begin_anywhere(tmp_path: Path, below: str, path: str) -> None:
    files_in(tmp_path, region_folder() + file_name(T + 60, "here"), region_folder() + file_name(T + 86_400 * 3, "other"))
    assert found(FolderFiles(tmp_path / below), path) == ["here"]


def test_files_that_lie_in_no_days_folder_are_read(tmp_path: Path) -> None:
    region = region_folder()
    name = file_name(T, "copied").rpartition("/")[2]
    files = Counting(
        files_in(tmp_path, region + name, f"{region}events_mine.json", f"{region}2025/01/01/x_far.json.gz", f"{region}4_four.json")
    )
    assert sorted(found(files)) == ["copied", "four", "mine"]


def test_an_organizations_trail(tmp_path: Path) -> None:
    own, other = (region_folder(account, organization="o-exampleorg1") for account in (ACCOUNT, "999999999999"))
    files_in(tmp_path, own + file_name(T, "own"), other + file_name(T, "other", account="999999999999"))
    for below, path in {
        "": "b",
        "AWSLogs": "b/AWSLogs",
        "AWSLogs/o-exampleorg1": "b/AWSLogs/o-exampleorg1",
        own: f"b/{own}",
    }.items():
        assert found(FolderFiles(tmp_path / below), path) == ["own"]
    with pytest.raises(Refused, match=r"holds the events of account 999999999999: the table flights is in account 123456789012"):
        found(FolderFiles(tmp_path / other), f"b/{other}")


def test_another_region_is_refused(tmp_path: Path) -> None:
    region = region_folder(region="eu-west-1")
    with pytest.raises(Refused, match="holds the events of eu-west-1"):
        found(files_in(tmp_path, region + file_name(T)), region)


def test_files_without_folders(tmp_path: Path) -> None:
    names = [file_name(T + apart, unique).rpartition("/")[2] for unique, apart in {"now": 60, "old": -90_000}.items()]
    other = file_name(T, "foreign", account="999999999999").rpartition("/")[2]
    digest = "AWSLogs-old/CloudTrail-Digest/x/_digest.json.gz"
    assert found(files_in(tmp_path, *names, other, "sub/my_copy.json", digest)) == ["now", "copy"]


@pytest.fixture(params=["folder", "memory"])
def listed(request: pytest.FixtureRequest, tmp_path: Path) -> ListedFiles:
    names = ("a", "a-b", "a/b", "a/b/c", "a/bc", "b/x", "é")
    if request.param == "folder":
        return files_in(tmp_path, *(name for name in names if name not in ("a", "a/b")))
    store = MemoryStore(ManualClock(T))
    for name in names:
        if name not in ("a", "a/b"):
            store.put(name, b"?")
    return store


@pytest.mark.parametrize(
    ("prefix", "after", "names"),
    [
        ("", "", ["a-b", "a/b/c", "a/bc", "b/x", "é"]),
        ("a/", "", ["a/b/c", "a/bc"]),
        ("a/b", "", ["a/b/c", "a/bc"]),
        ("", "a/b/c", ["a/bc", "b/x", "é"]),
        ("", "a0", ["b/x", "é"]),
        ("a/", "a/b0", ["a/bc"]),
        ("c", "", []),
    ],
)
def test_a_folder_lists_its_files_as_a_bucket_does(listed: ListedFiles, prefix: str, after: str, names: list[str]) -> None:
    assert [each.name for each in listed.list(prefix, after=after)] == names


# --- what is in a file ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text() | st.integers() | st.none(), max_size=3), max_size=5),
    st.booleans(),
    st.integers(1, 40),
)
def test_events_come_as_they_were_written(events: list[dict[str, object]], indented: bool, block: int) -> None:  # noqa: FBT001
    body = msgspec.json.encode({"Records": events})
    body = msgspec.json.format(body, indent=2) if indented else body
    expected = [{name: str(value) if isinstance(value, int) else value for name, value in each.items()} for each in events]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backstream.vault.decompression.BLOCK", block)
        assert list(cloudtrail.events(body)) == expected
        assert list(cloudtrail.events(gzip.compress(body))) == expected


def test_a_bomb_takes_little_memory() -> None:
    """Many MB of one event, of nothing, and of many events: a few MB are in memory."""
    many = file_body([{"eventName": "x" * 1_000}] * 15_000)
    tracemalloc.start()
    for body in (gzip.compress(b'{"Records":[{"a":"' + b"x" * (80 << 20)), gzip.compress(b" " * (80 << 20))):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(Damaged):
            list(cloudtrail.events(body))
        assert tracemalloc.get_traced_memory()[1] - before < 100 << 20
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    assert sum(1 for _ in cloudtrail.events(many)) == 15_000
    assert tracemalloc.get_traced_memory()[1] - before < 40 << 20
    tracemalloc.stop()
