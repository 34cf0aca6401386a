"""The contract of `ports.ObjectStore`, on each implementation: memory, a folder, and S3's protocol over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

import pytest

from backstream.clock import SystemClock
from backstream.errors import AlreadyExists, ConditionNotMet, Failed, MissingObject
from backstream.ports import ObjectStore, StoredObject
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from kit.aws import Aws
from kit.names import ODD_NAMES, in_order
from kit.transports import TRANSPORTS, s3_store

IMPLEMENTATIONS = ("memory", "directory", *TRANSPORTS)
Made = TypeVar("Made")
MANY = 1_050  # more than a page of S3's


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A new, empty store."""
    if request.param == "memory":
        return MemoryStore(SystemClock())
    if request.param == "directory":
        return DirectoryStore(tmp_path, SystemClock())
    aws: Aws = request.getfixturevalue("aws")
    return s3_store(aws, request.getfixturevalue("bucket"), "", request.param)


def names(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [row.name for row in store.list(prefix, after=after)]


def history(store: ObjectStore, name: str) -> list[str]:
    """Version ids of one name, newest first; a marker's with a minus before it."""
    return [f"-{row.version}" if row.marker else row.version for row in store.versions_of(name)]


# --- one object ------------------------------------------------------------------------------------------------------------------


def test_a_new_store_is_empty_and_in_order(store: ObjectStore) -> None:
    store.check()
    assert not store.url.endswith("/")
    assert names(store) == []
    assert list(store.versions("")) == []


@pytest.mark.parametrize("body", [b"", b"one", bytes(range(256)), b"x\r\n" * 350_000], ids=["empty", "short", "bytes", "1 MB"])
def test_what_goes_in_comes_out(store: ObjectStore, body: bytes) -> None:
    before = time.time()
    version = store.put("flights/abc", body)
    found = store.get("flights/abc")
    assert found.body == body
    assert (found.info.name, found.info.version, found.info.size) == ("flights/abc", version, len(body))
    assert before - 1 <= found.info.modified <= time.time() + 1  # S3 tells time in seconds
    assert store.head("flights/abc") == found.info
    (listed,) = store.list("")
    (row,) = store.versions("")
    assert (listed.name, listed.size) == ("flights/abc", len(body))
    assert (row.name, row.version, row.size, row.latest, row.marker) == ("flights/abc", version, len(body), True, False)


@pytest.mark.parametrize(
    ("start", "length", "found"),
    [(0, 3, b"012"), (7, 3, b"789"), (7, 100, b"789"), (0, 10, b"0123456789"), (9, 1, b"9"), (-3, 3, b"789"), (-3, 2, b"78"),
     (-100, 100, b"0123456789"), (-100, 4, b"0123")],
)  # fmt: skip
def test_some_bytes_of_an_object(store: ObjectStore, start: int, length: int, found: bytes) -> None:
    store.put("a/b", b"older, and longer than it")
    store.put("a/b", b"0123456789")
    assert store.get_range("a/b", start, length) == found


def test_bytes_that_are_not_there(store: ObjectStore) -> None:
    store.put("a", b"0123456789")
    with pytest.raises(Failed):
        store.get_range("a", 10, 1)
    with pytest.raises(MissingObject):
        store.get_range("b", 0, 1)
    store.delete("a")
    with pytest.raises(MissingObject) as missing:
        store.get_range("a", 0, 1)
    assert missing.value.marker


def test_metadata_comes_back_with_its_version(store: ObjectStore) -> None:
    first = {"sequence": "1" * 40, "event-name": "INSERT", "actor": 'arn:aws:iam::1:user/x "y" %41 {z}', "long": "v" * 1500}
    old = store.put("a", b"1", first)
    store.put("a", b"2", {"event-name": "MODIFY"})
    plain = store.put("b", b"")
    assert store.get("a", old).info.metadata == store.head("a", old).metadata == first
    assert store.get("a").info.metadata == store.head("a").metadata == {"event-name": "MODIFY"}
    assert store.get("b").info.metadata == store.head("b", plain).metadata == {}


def test_metadata_of_a_create_only_write_is_the_callers_alone(store: ObjectStore) -> None:
    store.put("a", b"1", {"k": "v"}, if_absent=True)
    store.put("b", b"1", if_absent=True)
    assert store.get("a").info.metadata == store.head("a").metadata == {"k": "v"}
    assert store.head("b").metadata == {}


def test_the_versions_of_one_name_are_not_those_of_its_neighbours(store: ObjectStore) -> None:
    assert list(store.versions_of("a/b")) == []
    written = [store.put("a/b", b"1"), store.put("a/b", b"2")]
    for neighbour in ("a", "a/", "a/b/c", "a/bc", "a/b|d"):
        store.put(neighbour, b"not of a/b")
    marker = store.delete("a/b")
    assert [row.version for row in store.versions_of("a/b")] == [marker, *reversed(written)]
    assert [row.marker for row in store.versions_of("a/b")] == [True, False, False]
    assert [row.latest for row in store.versions_of("a/b")] == [True, False, False]
    assert [row.name for row in store.versions_of("a/")] == ["a/"]
    assert list(store.versions_of("a/b/")) == []


def test_an_overwritten_version_stays(store: ObjectStore) -> None:
    versions = [store.put("a", body) for body in (b"1", b"22", b"333")]
    assert len(set(versions)) == 3
    assert store.get("a").body == b"333"
    assert [store.get("a", version).body for version in versions] == [b"1", b"22", b"333"]
    assert [store.head("a", version).size for version in versions] == [1, 2, 3]
    assert history(store, "a") == versions[::-1]
    assert [row.size for row in store.list("")] == [3]


def test_odd_names_are_kept_as_they_are(store: ObjectStore) -> None:
    versions = {name: store.put(name, name.encode()) for name in ODD_NAMES}
    assert names(store) == [row.name for row in store.versions("")] == in_order(ODD_NAMES)
    for name in ODD_NAMES:
        assert store.get(name).body == name.encode(), name
        assert store.head(name, versions[name]).name == name
        assert name in names(store, name)
    for name in ODD_NAMES:
        store.delete(name)
    assert names(store) == []


# --- deleting, missing -----------------------------------------------------------------------------------------------------------


def test_a_delete_is_a_marker_on_top(store: ObjectStore) -> None:
    old = store.put("a", b"1")
    marker = store.delete("a")
    for read in (store.get, store.head):
        with pytest.raises(MissingObject, match="a") as missing:
            read("a")
        assert missing.value.marker
        with pytest.raises(MissingObject) as missing:
            read("a", marker)
        assert missing.value.marker
    assert names(store) == []
    assert store.get("a", old).body == b"1"
    assert [(row.version, row.marker, row.latest, row.size) for row in store.versions("")] == [
        (marker, True, True, 0),
        (old, False, False, 1),
    ]
    new = store.put("a", b"2")
    assert store.get("a").body == b"2"
    assert history(store, "a") == [new, f"-{marker}", old]


def test_markers_stand_where_they_were_put(store: ObjectStore) -> None:
    written = []
    for body in (b"1", b"2", b"3"):
        written += [store.put("a", body), f"-{store.delete('a')}", f"-{store.delete('a')}"]
    assert history(store, "a") == written[::-1]  # even though all of it happened within a second


def test_deleting_nothing_leaves_a_marker(store: ObjectStore) -> None:
    marker = store.delete("never")
    assert history(store, "never") == [f"-{marker}"]


def test_what_is_missing_is_said_to_be(store: ObjectStore) -> None:
    store.put("a/b", b"1")
    foreign = store.put("other", b"1")
    for name, version in [("never", None), ("a", None), ("a/", None), ("a/b/c", None), ("never", foreign), ("a/b", "0" * 32)]:
        for read in (store.get, store.head):
            with pytest.raises(MissingObject, match=name) as missing:
                read(name, version)
            assert not missing.value.marker, (name, version)


# --- many at once ----------------------------------------------------------------------------------------------------------------


def test_many_objects_come_each_with_its_tag(store: ObjectStore) -> None:
    """More than are under way at a time: old versions and current ones, large and empty, some of them wanted twice."""
    bodies = [b"", b"x" * 100_000, *(b"%d" % number for number in range(20))]
    versions = [store.put(f"a/{number % 5}", body, {"n": str(number)}) for number, body in enumerate(bodies)]
    wanted = [(number, f"a/{number % len(bodies) % 5}", versions[number % len(bodies)]) for number in range(300)]
    found = list(store.get_each(iter(wanted)))
    assert sorted(tag for tag, _ in found) == list(range(300))
    for tag, one in found:
        assert isinstance(one, StoredObject)
        assert one == store.get(*wanted[tag][1:]) if tag < 30 else one.body == bodies[tag % len(bodies)]
    ((_, newest),) = store.get_each([("newest", "a/1", None)])
    assert newest == store.get("a/1")
    assert list(store.get_each([])) == []


def test_of_many_objects_those_that_are_missing_come_as_errors(store: ObjectStore) -> None:
    there = store.put("there", b"1")
    marker = store.delete("deleted")
    wanted = [("never", "never", None), ("deleted", "deleted", None), ("marker", "deleted", marker), ("foreign", "never", there)]
    found = dict(store.get_each([*wanted, *((n, "there", there) for n in range(100)), ("again", "never", None)]))
    missing = {tag: one for tag, one in found.items() if isinstance(one, MissingObject)}
    assert {tag: one.marker for tag, one in missing.items()} == {
        "never": False, "deleted": True, "marker": True, "foreign": False, "again": False,
    }  # fmt: skip
    assert all(tag == "marker" or str(tag) in one.message or "never" in one.message for tag, one in missing.items())
    assert [one.body for tag, one in found.items() if isinstance(one, StoredObject)] == [b"1"] * 100


def test_many_objects_are_wanted_little_by_little(store: ObjectStore) -> None:
    store.put("a", b"1")
    taken = 0

    def endless() -> Iterator[tuple[int, str, None]]:
        nonlocal taken
        while True:
            taken += 1
            yield taken, "a", None

    threads = threading.active_count()
    coming = store.get_each(endless())
    assert taken == 0
    for given in range(1, 200):
        next(coming)
        assert taken - given < 64
    coming.close()
    before, waited = taken, time.monotonic() + 240
    while threading.active_count() > threads and time.monotonic() < waited:
        time.sleep(0.01)
    assert taken == before
    assert threading.active_count() <= threads
    assert store.get("a").body == b"1"


def test_what_the_wish_for_many_raises_ends_it(store: ObjectStore) -> None:
    store.put("a", b"1")

    def failing() -> Iterator[tuple[int, str, None]]:
        yield 1, "a", None
        raise Failed("no more wishes")

    with pytest.raises(Failed, match="no more wishes"):
        list(store.get_each(failing()))
    assert store.get("a").body == b"1"


# --- create only -----------------------------------------------------------------------------------------------------------------


def test_create_only_refuses_what_is_there(store: ObjectStore) -> None:
    first = store.put("a", b"1", if_absent=True)
    for body in (b"1", b"2"):
        with pytest.raises(AlreadyExists, match="a"):
            store.put("a", body, if_absent=True)
    assert history(store, "a") == [first]
    store.put("a/b", b"below is another name", if_absent=True)


def test_create_only_goes_on_top_of_a_marker(store: ObjectStore) -> None:
    store.put("a", b"1")
    store.delete("a")
    assert store.put("a", b"2", if_absent=True) == store.head("a").version
    assert len(history(store, "a")) == 3


def test_of_eight_creators_one_wins(store: ObjectStore) -> None:
    def create(name: str) -> str | None:
        try:
            return store.put(name, b"the same for all", if_absent=True)
        except AlreadyExists:
            return None

    with ThreadPoolExecutor(8) as pool:
        for turn in range(10):
            won = [version for version in pool.map(create, [f"lock-{turn}"] * 8) if version]
            assert won == history(store, f"lock-{turn}")


# --- in place of what was read only ---------------------------------------------------------------------------------------------


def test_what_was_read_is_replaced(store: ObjectStore) -> None:
    store.put("a", b"1")
    second = store.put("a", b"2", {"k": "v"}, if_match=store.head("a").tag)
    assert (store.get("a").body, store.head("a").version, store.head("a").metadata) == (b"2", second, {"k": "v"})
    assert store.get("a").info.tag == store.head("a").tag == store.head("a", second).tag
    assert names(store) == ["a"], "whatever was asked to learn what the server knows"


def test_what_has_changed_since_is_not(store: ObjectStore) -> None:
    store.put("a", b"1")
    tag = store.get("a").info.tag
    store.put("a", b"2")
    before = history(store, "a")
    with pytest.raises(ConditionNotMet, match="a"):
        store.put("a", b"3", if_match=tag)
    assert history(store, "a") == before


def test_what_is_not_there_cannot_be_replaced(store: ObjectStore) -> None:
    store.put("a", b"1")
    tag = store.get("a").info.tag
    store.delete("a")
    for name in ("a", "b"):
        with pytest.raises(MissingObject):
            store.put(name, b"2", if_match=tag)
    assert len(history(store, "a")) == 2
    assert history(store, "b") == []


def test_counting_at_once_loses_no_step(store: ObjectStore) -> None:
    """Each of four writers adds one, five times, to what it has read: the sum is right, and no step was written twice."""
    store.put("count", b"0")

    def count_on(_: int) -> None:
        for _ in range(5):
            while True:
                found = store.get("count")
                try:
                    store.put("count", str(int(found.body) + 1).encode(), if_match=found.info.tag)
                except ConditionNotMet:
                    continue
                break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_on, range(4)))
    assert store.get("count").body == b"20"
    assert len(history(store, "count")) == 21


# --- at once ---------------------------------------------------------------------------------------------------------------------


def test_writers_at_once_lose_no_version(store: ObjectStore) -> None:
    bodies = [str(number).encode() for number in range(120)]
    with ThreadPoolExecutor(8) as pool:
        written = dict(zip(pool.map(lambda body: store.put("a", body), bodies), bodies, strict=True))
    assert len(written) == len(bodies)
    assert set(history(store, "a")) == set(written)
    assert {version: store.get("a", version).body for version in written} == written
    assert store.head("a").version == history(store, "a")[0]


def test_a_write_that_returned_is_read_by_everybody(store: ObjectStore) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        for turn in range(20):
            name = f"a/{turn}"
            version = store.put(name, b"1")
            assert elsewhere.submit(store.head, name).result().version == version
            assert elsewhere.submit(names, store).result() == [name]
            marker = store.delete(name)
            assert elsewhere.submit(history, store, name).result() == [f"-{marker}", version]
            assert elsewhere.submit(names, store).result() == []


# --- listings --------------------------------------------------------------------------------------------------------------------


def test_a_prefix_is_text_not_a_folder(store: ObjectStore) -> None:
    for name in ("users", "users/1", "users/2/x", "users-archive/1", "users.json", "use", "User/1", "users/\U0001f6eb"):
        store.put(name, b"")
    everything = ["User/1", "use", "users", "users-archive/1", "users.json", "users/1", "users/2/x", "users/\U0001f6eb"]
    assert names(store) == everything
    assert names(store, "users") == everything[2:]
    assert names(store, "users/") == ["users/1", "users/2/x", "users/\U0001f6eb"]
    assert names(store, "users/2") == ["users/2/x"]
    assert names(store, "users/2/x/") == names(store, "v") == names(store, "user/") == []
    assert [row.name for row in store.versions("users/")] == ["users/1", "users/2/x", "users/\U0001f6eb"]


def test_a_listing_goes_on_after_a_name(store: ObjectStore) -> None:
    for name in ODD_NAMES:
        store.put(name, b"")
    everything = in_order(ODD_NAMES)
    for place, name in enumerate(everything):
        assert names(store, after=name) == everything[place + 1 :]
    assert names(store, "a", after="a/") == [name for name in everything if name.startswith("a") and name.encode() > b"a/"]
    assert names(store, "at@", after="Z") == ["at@", "at@/b"]
    assert names(store, "at@", after="b") == []


def test_a_listing_of_versions_goes_on_after_a_name(store: ObjectStore) -> None:
    for name in ODD_NAMES:
        store.put(name, b"1")
        store.put(name, b"2")
    everything = in_order(ODD_NAMES)
    for place in (0, 1, len(everything) // 2, len(everything) - 1):
        found = [row.name for row in store.versions("", after=everything[place])]
        assert found == [name for name in everything[place + 1 :] for _ in range(2)]
    found = [row.name for row in store.versions("a", after="a/")]
    assert found == [name for name in everything if name.startswith("a") and name.encode() > b"a/" for _ in range(2)]


FILLED: dict[str, tuple[str, object]] = {}  # by test: the bucket that was filled for it, and what came of that


def filled(request: pytest.FixtureRequest, store: ObjectStore, fill: Callable[[ObjectStore], Made]) -> tuple[ObjectStore, Made]:
    """The store, filled, and what that returned. A bucket is filled once, over the quicker transport: each transport reads it."""
    implementation = request.node.callspec.params["store"]
    if implementation not in TRANSPORTS:
        return store, fill(store)
    aws, test = request.getfixturevalue("aws"), request.function.__name__
    if test not in FILLED:
        bucket = request.getfixturevalue("bucket")
        FILLED[test] = bucket, fill(s3_store(aws, bucket, "", "curl"))
    bucket, made = FILLED[test]
    return s3_store(aws, bucket, "", implementation), cast("Made", made)


def test_more_names_than_a_page(request: pytest.FixtureRequest, store: ObjectStore) -> None:
    expected = in_order([f"dt={number % 7}/{number}" for number in range(MANY)])
    store, _ = filled(request, store, lambda empty: [empty.put(name, b"") for name in expected[::-1]])
    assert names(store) == [row.name for row in store.versions("")] == expected
    assert names(store, after=expected[20]) == expected[21:]
    assert names(store, "dt=3/") == [name for name in expected if name.startswith("dt=3/")]
    assert [row.name for row in islice(store.list(""), 3)] == expected[:3]


def test_more_versions_than_a_page(request: pytest.FixtureRequest, store: ObjectStore) -> None:
    def fill(empty: ObjectStore) -> list[str]:
        empty.put("a", b"before")
        written = [empty.delete("b") if number % 10 == 9 else empty.put("b", b"") for number in range(MANY)]
        empty.put("b/c", b"behind")
        return written

    store, written = filled(request, store, fill)
    rows = list(store.versions(""))
    assert [row.version for row in rows[1:-1]] == written[::-1]
    assert [row.name for row in rows] == ["a", *["b"] * MANY, "b/c"]
    assert [row.latest for row in rows] == [True, True, *[False] * (MANY - 1), True]
    assert sum(row.marker for row in rows) == MANY // 10
    assert store.head("b", written[0]).size == 0
    assert [row.version for row in store.versions("", after="a")] == [row.version for row in rows[1:]]


# --- the suite itself ------------------------------------------------------------------------------------------------------------


def test_every_promise_was_asked_of_every_implementation(request: pytest.FixtureRequest) -> None:
    asked: dict[str, set[str]] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path and "store" in item.fixturenames:
            asked.setdefault(item.originalname, set()).add(str(item.callspec.params["store"]))
            assert not list(item.iter_markers("skip")), item.nodeid
    promises = {name for name, value in globals().items() if name.startswith("test_") and "store" in _parameters(value)}
    assert asked == {promise: set(IMPLEMENTATIONS) for promise in promises}


def _parameters(function: Callable[..., None]) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]
