"""The contract of `ports.Markers`, on each implementation: a delete marker is taken away, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backstream.clock import SystemClock
from backstream.errors import AlreadyExists, Refused
from backstream.ports import Markers, ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.stores.s3.boto import client_config
from backstream.stores.s3.markers import S3Markers
from kit.aws import Aws
from kit.transports import s3_store

Both = tuple[ObjectStore, Markers]


@pytest.fixture(params=["memory", "directory", "s3"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Both:
    """A new, empty store, and the right to take its markers away."""
    if request.param == "memory":
        memory = MemoryStore(SystemClock())
        return memory, memory
    if request.param == "directory":
        folder = DirectoryStore(tmp_path, SystemClock())
        return folder, folder
    aws: Aws = request.getfixturevalue("aws")
    bucket: str = request.getfixturevalue("bucket")
    store = s3_store(aws, bucket, "some/prefix")
    return store, S3Markers(aws.client("s3", config=client_config()), bucket, "some/prefix", store)


def history(store: ObjectStore, name: str) -> list[str]:
    return [f"-{row.version}" if row.marker else row.version for row in store.versions_of(name)]


def test_what_a_marker_hid_is_current_again(both: Both) -> None:
    store, markers = both
    store.put("a", b"1")
    below = store.put("a", b"2", {"k": "v"})
    marker = store.delete("a")
    assert markers.remove("a", marker)
    assert store.get("a").body == b"2"
    assert store.head("a").version == below
    assert store.head("a").metadata == {"k": "v"}
    assert [row.name for row in store.list("")] == ["a"]
    assert history(store, "a")[0] == below
    assert [row.latest for row in store.versions_of("a")] == [True, False]


def test_of_two_markers_one_still_hides(both: Both) -> None:
    store, markers = both
    below = store.put("a", b"1")
    first, second = store.delete("a"), store.delete("a")
    assert markers.remove("a", first)
    assert history(store, "a") == [f"-{second}", below]
    assert list(store.list("")) == []
    assert markers.remove("a", second)
    assert history(store, "a") == [below]


def test_a_version_with_a_body_is_never_removed(both: Both) -> None:
    store, markers = both
    old, new = store.put("a", b"1"), store.put("a", b"2")
    for version in (old, new):
        with pytest.raises(Refused, match="not a delete marker"):
            markers.remove("a", version)
    assert history(store, "a") == [new, old]


@pytest.mark.parametrize("name", ["a", "never"])
def test_a_marker_that_is_gone_is_no_error(both: Both, name: str) -> None:
    store, markers = both
    store.put("a", b"1")
    marker = store.delete("a")
    assert markers.remove("a", marker)
    before = list(store.versions(""))
    assert not markers.remove(name, marker)
    assert not markers.remove(name, "../a")
    assert list(store.versions("")) == before


@pytest.mark.parametrize("write", [lambda store: store.put("a", b"3"), lambda store: store.put("a", b"3", if_absent=True)])
def test_no_version_id_is_used_again(both: Both, write: Callable[[ObjectStore], str]) -> None:
    """Who removes a marker twice must not meet another version under its id."""
    store, markers = both
    marker = store.delete("a")
    assert markers.remove("a", marker)
    assert list(store.list("")) == []
    assert history(store, "a") == []
    written = write(store)
    assert written != marker
    assert not markers.remove("a", marker)
    assert store.get("a").body == b"3"
    with pytest.raises(AlreadyExists):
        store.put("a", b"4", if_absent=True)
