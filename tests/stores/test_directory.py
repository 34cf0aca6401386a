"""What the folder store promises beyond the contract: other processes, crashes, people who look inside, and disks that say no."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.clock import SystemClock
from backstream.errors import AccessDenied, AlreadyExists, Damaged, Failed, MissingBucket, MissingObject
from backstream.stores.directory import DirectoryStore
from backstream.stores.file_names import to_name, to_path
from kit import crash_writer
from kit.clock import ManualClock
from kit.names import ODD_NAMES, in_order

# What paths, our own marks and cuts could trip over.
PIECES = st.sampled_from(
    ["a", "b", "/", "//", ".", "..", "@", "~", "%", "%41", "-", " ", "\n", "\0", "é", "🛫", "p" * 79, "p" * 80, "é" * 120]
)
NAMES = st.one_of(st.lists(PIECES, min_size=1, max_size=8).map("".join), st.text(min_size=1)).filter(
    lambda name: len(name.encode()) <= 1024
)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path, SystemClock())


# --- names as paths --------------------------------------------------------------------------------------------------------------


@given(NAMES)
def test_a_name_comes_back_from_its_path(name: str) -> None:
    path = to_path(name)
    assert to_name(path) == name
    for component in path:
        assert component.isascii()
        assert component.isprintable()
        assert 0 < len(component) <= 255
        assert "/" not in component
        assert not component.startswith(".")


@given(NAMES, NAMES)
def test_no_object_lies_inside_anothers_folder(one: str, other: str) -> None:
    path, inner = to_path(one), to_path(other)
    assert (inner[: len(path)] == path) == (one == other)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("flights/abc", "flights/abc@"),
        ("flights/JFK | LAX, 5:30", "flights/JFK | LAX, 5:30@"),
        ("mail/a@b.c", "mail/a@b.c@"),
        ("a/", "a/%@"),
        ("/a", "%/a@"),
        ("../.x", "%2E./%2Ex@"),
        ("100%/é@", "100%25/%C3%A9%40@"),
        ("at@/~", "at%40/%7E@"),
        ("p" * 241, f"{'p' * 80}~/{'p' * 161}@"),
    ],
)
def test_paths_are_these(name: str, path: str) -> None:
    """On people's disks already: a change here loses their objects."""
    assert "/".join(to_path(name)) == path


def test_every_odd_name_has_a_path_of_its_own() -> None:
    assert len({tuple(to_path(name)) for name in ODD_NAMES}) == len(ODD_NAMES)


@settings(max_examples=25, deadline=None)
@given(st.lists(NAMES, unique=True, max_size=8), NAMES | st.just(""), NAMES | st.just(""))
def test_listings_are_those_of_a_sorted_list(names: list[str], prefix: str, after: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(folder, ManualClock())
        for name in names:
            store.put(name, b"")
        for start in (prefix, prefix[:1], *(name[: len(name) // 2] for name in names)):
            expected = [name for name in in_order(names) if name.startswith(start)]
            assert [row.name for row in store.versions(start)] == expected
            assert [row.name for row in store.list(start, after=after)] == [name for name in expected if name > after]


# --- people ----------------------------------------------------------------------------------------------------------------------


def test_a_person_finds_the_bytes(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, ManualClock(1_700_000_000.25))
    store.put("flights/abc", b"first")
    store.put("flights/abc", b'{"id":{"S":"abc"}}', {"actor": "me"})
    store.delete("flights/abc")
    folder = tmp_path / "flights" / "abc@"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "00000001/body",
        "00000002/body",
        "00000002/metadata.json",
        "00000003/deleted",
    ]
    assert (folder / "00000002" / "body").read_bytes() == b'{"id":{"S":"abc"}}'
    assert (folder / "00000002" / "metadata.json").read_bytes() == b'{"actor":"me"}'
    assert (folder / "00000001" / "body").stat().st_mtime == store.head("flights/abc", "00000001").modified == 1_700_000_000.25
    assert store.url == f"file://{tmp_path}"


def test_what_people_leave_there_is_left_alone(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("flights/abc", b"1")
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "flights" / "abc@" / ".DS_Store").write_text("")
    assert [row.name for row in store.versions("")] == ["flights/abc"]
    (tmp_path / "100%").mkdir()
    with pytest.raises(Damaged, match="100%"):
        list(store.list(""))


@pytest.mark.parametrize("left", ["", "00000001", "00000002", "1", "\u0661", "00000002/metadata.json"])
def test_what_is_left_of_an_object_that_somebody_removed_ends_no_listing(store: DirectoryStore, tmp_path: Path, left: str) -> None:
    """An empty folder is no version, as a version that was deleted in a bucket is none."""
    for name in ("flights/a", "flights/c"):
        store.put(name, b"1")
    folder = tmp_path / "flights" / "b@" / left
    (folder.parent if left.endswith(".json") else folder).mkdir(parents=True)
    if left.endswith(".json"):
        folder.write_text("{}")
    assert [each.name for each in store.list("flights/")] == ["flights/a", "flights/c"]
    assert [each.name for each in store.versions("flights/")] == ["flights/a", "flights/c"]
    assert list(store.versions_of("flights/b")) == []
    for version in (None, "00000001"):
        with pytest.raises(MissingObject, match="flights/b"):
            store.get("flights/b", version)
    new = store.put("flights/b", b"2", if_absent=True)
    assert (store.get("flights/b").body, store.head("flights/b").version) == (b"2", new)


def test_of_several_versions_one_that_was_removed_is_no_more(store: DirectoryStore, tmp_path: Path) -> None:
    for body in (b"1", b"2", b"3"):
        store.put("a", body)
    for gone in ("00000001", "00000003"):
        (tmp_path / "a@" / gone / "body").unlink()
    assert [(each.version, each.latest) for each in store.versions("a")] == [("00000002", True)]
    assert store.get("a").body == b"2"
    assert store.put("a", b"4") == "00000004", "a number is used once"


def test_a_file_where_a_version_belongs_ends_no_listing(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("a", b"1")
    (tmp_path / "a@" / "00000002").write_text("x")
    assert [each.version for each in store.versions("")] == ["00000001"]
    assert store.get("a").body == b"1"


def test_a_folder_whose_name_is_no_text_is_named(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "%FF@" / "00000001").mkdir(parents=True)
    (tmp_path / "%FF@" / "00000001" / "body").write_text("x")
    with pytest.raises(Damaged, match="'%FF@' in the store was not made by it"):
        list(store.list(""))


def test_metadata_that_cannot_be_read(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("a", b"1", {"k": "v"})
    (tmp_path / "a@" / "00000001" / "metadata.json").write_text('{"k":')
    with pytest.raises(Damaged, match="version 00000001"):
        store.get("a")


def test_a_version_is_a_number_and_not_a_path(store: DirectoryStore) -> None:
    store.put("a", b"1")
    store.put("b", b"1")
    for version in ("../b@/00000001", "..", "", "1"):
        with pytest.raises(Failed, match="There is no"):
            store.get("a", version)


def test_a_prefix_that_names_a_folder_opens_only_that_folder(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        store.put(f"log/dt={number % 3}/{number}/x", b"")
    opened: list[Path] = []
    scandir = os.scandir

    def noting(folder: Path) -> Iterator[os.DirEntry[str]]:
        opened.append(Path(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", noting)
    assert len(list(store.list("log/dt=1/"))) == 10
    assert {path.relative_to(tmp_path).parts[:2] for path in opened} == {("log", "dt=1")}
    opened.clear()
    assert [row.name for row in store.list("log/dt=1/", after="log/dt=1/4")] == ["log/dt=1/4/x", "log/dt=1/7/x"]
    assert len(opened) == 1 + 2 * 2  # the folder itself, and for each name its own two

    opened.clear()
    assert len(list(store.versions_of("log/dt=1/4/x"))) == 1
    assert [path.name for path in opened] == ["x@"], "however many neighbours it has"


# --- other processes -------------------------------------------------------------------------------------------------------------


def write_many(folder: str, writer: int) -> list[str]:
    store = DirectoryStore(folder, SystemClock())
    return [f"{store.put('shared', f'{writer} {turn}'.encode())} {writer} {turn}" for turn in range(40)]


def create_many(folder: str, writer: int) -> list[str]:
    store = DirectoryStore(folder, SystemClock())
    won = []
    for turn in range(40):
        try:
            store.put(f"lock/{turn}", str(writer).encode(), if_absent=True)
            won.append(f"{turn} {writer}")
        except AlreadyExists:
            pass  # another process won this one
    return won


def test_processes_at_once(store: DirectoryStore, tmp_path: Path) -> None:
    writers, folders = range(4), [str(tmp_path)] * 4
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        written = [line for lines in pool.map(write_many, folders, writers) for line in lines]
        won = [line for lines in pool.map(create_many, folders, writers) for line in lines]
    assert sorted(written) == sorted(
        f"{row.version} {store.get('shared', row.version).body.decode()}" for row in store.versions("shared")
    )
    assert [row.version for row in store.versions("shared")] == [f"{number:08d}" for number in range(160, 0, -1)]
    assert sorted(won) == sorted(f"{turn} {store.get(f'lock/{turn}').body.decode()}" for turn in range(40))
    assert {row.version for row in store.versions("lock/")} == {"00000001"}


# --- crashes ---------------------------------------------------------------------------------------------------------------------


def killed_writer(folder: Path, turn: int, after: float) -> list[tuple[str, str]]:
    """Start a writer, kill it in the middle; what it was told is written."""
    command = [sys.executable, crash_writer.__file__, str(folder), str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(after)
        process.kill()
        lines = [first, *process.stdout]
    told = [line.split() for line in lines if line.endswith("\n")]
    return [(name, version) for name, version in told]


def test_kill_9_leaves_only_whole_versions(store: DirectoryStore, tmp_path: Path) -> None:
    source = random.Random(20261123)
    seen: dict[tuple[str, str], str] = {}
    for turn in range(30):
        told = killed_writer(tmp_path, turn, source.uniform(0, 0.03))
        rows = [(row.name, row.version) for row in store.versions("")]
        assert set(told) <= set(rows), "a version that was acknowledged is gone"
        for name, version in set(rows) - set(seen):
            found = store.get(name, version)
            assert hashlib.sha256(found.body).hexdigest() == found.info.metadata["digest"]
            assert found.info.size == len(found.body)
            seen[name, version] = found.info.metadata["digest"]
        assert set(seen) == set(rows)
    for name in crash_writer.NAMES:
        count = sum(1 for known, _ in seen if known == name)
        assert store.put(name, b"on") == f"{count + 1:08d}", "numbering goes on without a hole"
    drafts = list((tmp_path / ".backstream-drafts").iterdir())
    assert drafts, "no writer was hit while writing: the test proves nothing"


# --- disks that say no -----------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "never", tmp_path / "file"):
        store = DirectoryStore(root, SystemClock())
        for call in every_call(store):
            with pytest.raises(MissingBucket, match=root.name) as raised:
                call()
            assert raised.value.hint == f"mkdir -p '{root}'"
    assert not (tmp_path / "never").exists()


def test_a_folder_of_somebody_else(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("a", b"1")
    tmp_path.chmod(0)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)  # root may do everything: be nobody for a while
    try:
        for call in every_call(store):
            with pytest.raises(AccessDenied, match="Permission denied") as raised:
                call()
            assert str(tmp_path) in raised.value.hint
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)
    assert store.get("a").body == b"1"


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "make room"), (errno.EIO, "")])
def test_a_disk_that_fails(store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str) -> None:
    store.put("a", b"1")

    def full(_file: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Failed, match=os.strerror(number)) as raised:
            store.put("a", b"2")
    assert type(raised.value) is Failed
    assert hint in raised.value.hint
    assert [row.version for row in store.versions("")] == ["00000001"]
    assert list((tmp_path / ".backstream-drafts").iterdir()) == []


def every_call(store: DirectoryStore) -> Iterator[Callable[[], object]]:
    yield store.check
    yield lambda: store.put("a", b"1")
    yield lambda: store.put("b", b"1", if_absent=True)
    yield lambda: store.get("a")
    yield lambda: store.head("a", "00000001")
    yield lambda: store.delete("a")
    yield lambda: list(store.list(""))
    yield lambda: list(store.versions("x/y/"))
    yield lambda: list(store.versions_of("a"))
