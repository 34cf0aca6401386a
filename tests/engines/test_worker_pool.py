"""The engine's worker processes: the same result with them and without, and nothing is left of them however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from backstream.engine.local import local_partitions as embedded
from backstream.engine.local.memory import Memory
from backstream.engine.local.state import State
from backstream.errors import Failed
from backstream.operations.base.compact import compact
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit import big_vault, processes
from kit.children import COMMAND
from kit.clock import ManualClock
from kit.lived import SMALL, lived, state
from kit.processes import needs_proc
from kit.spoil import spoil
from kit.stage import wait_for

MEGABYTE = 1 << 20
END = big_vault.last_second(6_000)


class Crewed(Memory, frozen=True):
    """Two workers, however many processors there are."""

    total: int = 64 * MEGABYTE

    @property
    def workers(self) -> int:
        return 2


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are worth it for any number of entries."""
    monkeypatch.setattr(embedded, "WORTH_WORKERS", 0)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def many_segments(changes: int = 6_000) -> tuple[TableVault, array[int]]:
    """A base backup, and so many changes that there are orders enough for two workers to have some more to do."""
    vault = big_vault.vault_in(MemoryStore(ManualClock()))
    newest = big_vault.fill(vault, 1_000, 0)
    big_vault.add(vault, newest, changes, batch=15)
    return vault, newest


def images(newest: array[int]) -> dict[bytes, bytes]:
    return {big_vault.keys_of(item): big_vault.image_of(item, version) for item, version in enumerate(newest)}


# --- the same result -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("compacted", [False, True])
def test_every_byte_is_the_same_with_workers(*, compacted: bool) -> None:
    vault, newest = many_segments()
    at = big_vault.last_second(6_000)
    if compacted:
        compact(vault, ManualClock(at + 3_600), memory=SMALL)
    assert state(vault, at, Crewed()) == images(newest)
    assert state(vault, at, SMALL) == images(newest)


@pytest.mark.usefixtures("always")
def test_a_moment_in_between_too() -> None:
    vault, _ = many_segments()
    for changes in (0, 1_000, 3_500):
        at = big_vault.FIRST + changes // big_vault.A_SECOND - 1
        _, then = many_segments(changes)
        assert state(vault, at, Crewed()) == images(then)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("layout", Layout)
def test_states_and_names_are_the_same_in_both_layouts(layout: Layout) -> None:
    stage, seconds = lived(layout=layout)
    for at in seconds:
        told = [state_and_names(stage.vault(), at, memory) for memory in (SMALL, Crewed())]
        assert told[0] == told[1]
        assert told[0][0] == stage.expected(at)
        assert bool(told[0][1]) == (layout is Layout.ROWS)


def state_and_names(vault: TableVault, at: int, memory: Memory) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """The items, and the names that the log speaks of, each with when it came."""
    with State(vault, at, memory=memory) as found:
        items = {key: vault.image(entry) for part in found for key, entry in part.items() if not entry.removed}
        named = sorted(pair for number in range(found.names.partitions) for pair in found.names.read(number))
    return items, named


@pytest.mark.usefixtures("always")
def test_a_segment_that_a_worker_cannot_read_is_named() -> None:
    vault, newest = many_segments(900)
    segments = list(vault.log.listing())
    bad = {segments[3].name: b"no", segments[20].name: vault.store.get(segments[20].name).body[:-1], segments[40].name: b""}
    for name, body in bad.items():
        spoil(vault.store, name, body, {"after": "start"})
    found = [unreadable(vault, memory) for memory in (SMALL, Crewed())]
    assert found[0] == found[1]
    assert {name for name, _ in found[1]} == set(bad)
    assert all("zstd" in why or "changes" in why for _, why in found[1])
    assert len(newest) == 1_000


def unreadable(vault: TableVault, memory: Memory) -> set[tuple[str, str]]:
    with State(vault, big_vault.last_second(900), memory=memory) as found:
        return {(each.name, each.why) for each in found.unreadable}


# --- workers that die ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("always")
@needs_proc
@pytest.mark.parametrize("victims", [1, 2])
@pytest.mark.parametrize("turn", [0, 70, 300])
def test_a_worker_that_is_killed_ends_it(temporary: Path, victims: int, turn: int) -> None:
    """At the first object, in the middle, and when nearly all is taken: never a state in which something is missing."""
    vault, _ = many_segments()
    turns = iter(range(10**6))

    def killing(_: int) -> None:
        if next(turns) == turn:
            pids = processes.workers(os.getpid())
            assert len(pids) == 2
            processes.kill(pids[:victims])

    with pytest.raises(Failed, match="signal 9") as raised, State(vault, END, killing, memory=Crewed()):
        pytest.fail("it is not to be used")
    assert "BACKSTREAM_MEMORY_MB" in raised.value.hint
    assert next(turns) > turn
    assert_nothing_is_left(temporary)


def assert_nothing_is_left(temporary: Path) -> None:
    assert processes.workers(os.getpid()) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("always")
@needs_proc
def test_an_error_of_the_caller_leaves_nothing(temporary: Path) -> None:
    vault, _ = many_segments()

    def failing(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), State(vault, END, failing, memory=Crewed()):
        pytest.fail("it is not to be used")
    assert_nothing_is_left(temporary)


@pytest.mark.usefixtures("always")
@needs_proc
def test_workers_end_when_all_is_read(temporary: Path) -> None:
    vault, _ = many_segments(60)
    with State(vault, END, memory=Crewed()):
        assert processes.workers(os.getpid()) == []
        assert len(list(temporary.iterdir())) == 2
    assert_nothing_is_left(temporary)


# --- the real command ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """In a folder, and large enough for workers: 12,000 items and 36,000 changes."""
    store = DirectoryStore(tmp_path_factory.mktemp("vault"), ManualClock())
    big_vault.fill(big_vault.vault_in(store), 12_000, 36_000)
    return store


def environment(temporary: Path, **more: str) -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BACKSTREAM_"))}
    return {**own, "TMPDIR": str(temporary), **more}


def words(vault: DirectoryStore, path: Path) -> list[str]:
    at = str(big_vault.last_second(36_000))
    return [COMMAND, "restore", big_vault.TABLE, "--vault", vault.url, "--at", at, "--to-file", str(path), "--allow-gap"]


def start(vault: DirectoryStore, path: Path, temporary: Path, **more: str) -> subprocess.Popen[bytes]:
    """A restore, in a process group of its own."""
    return subprocess.Popen(
        words(vault, path),
        env=environment(temporary, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


REST_OF_SIGNALS = [(signal.SIGTERM, 0.0), (signal.SIGINT, 0.15), (signal.SIGINT, 0.6), (signal.SIGTERM, 0.6)]


def stopped(vault: DirectoryStore, path: Path, temporary: Path, number: int, wait: float) -> tuple[subprocess.Popen[bytes], bytes]:
    """A restore that got a signal so long after its workers had been started, or has ended before; what it said."""
    process = start(vault, path, temporary)
    wait_for(lambda: processes.workers(process.pid) or process.poll() is not None, "no workers")
    time.sleep(wait)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    _, said = process.communicate(timeout=240)
    return process, said


two_processors = pytest.mark.skipif(Memory().workers == 0, reason="on one processor there are no workers")


@needs_proc
@two_processors
@pytest.mark.parametrize(
    ("number", "wait"),
    [
        (signal.SIGINT, 0.0),
        (signal.SIGTERM, 0.15),
        *(pytest.param(number, wait, marks=pytest.mark.soak) for number, wait in REST_OF_SIGNALS),
    ],
)
def test_stopped_it_leaves_nothing(vault: DirectoryStore, tmp_path: Path, temporary: Path, number: int, wait: float) -> None:
    """As Ctrl-C does, which goes to the whole group; also where the workers have only just been started."""
    process, said = stopped(vault, tmp_path / "out", temporary, number, wait)
    while process.returncode == 0:  # it was over sooner than that
        (tmp_path / "out").unlink()
        wait /= 2
        process, said = stopped(vault, tmp_path / "out", temporary, number, wait)
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    # One that was being started at that very moment may have been too young to be known: it ends as soon as it looks for work.
    wait_for(lambda: processes.session(process.pid) == [], "workers that live on")
    assert not (tmp_path / "out").exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["temporary"]
    assert list(temporary.iterdir()) == []


@needs_proc
@two_processors
def test_killed_it_leaves_no_process(vault: DirectoryStore, tmp_path: Path, temporary: Path) -> None:
    """Workers notice that their parent is gone."""
    process = start(vault, tmp_path / "out", temporary)
    wait_for(lambda: processes.workers(process.pid), "no workers")
    process.kill()
    process.communicate(timeout=240)
    wait_for(lambda: processes.session(process.pid) == [], "workers that live on")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("megabytes", ["64", "256"])
def test_the_command_s_file_is_right_byte_for_byte(vault: DirectoryStore, tmp_path: Path, temporary: Path, megabytes: str) -> None:
    """With 64 MB there are no workers, with 256 there are two."""
    process = start(vault, tmp_path / "out", temporary, BACKSTREAM_MEMORY_MB=megabytes)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    with (tmp_path / "out").open("rb") as lines:
        big_vault.assert_restored(lines, newest_of(12_000, 36_000))
    assert list(temporary.iterdir()) == []


def newest_of(items: int, changes: int) -> array[int]:
    newest = array("q", bytes(8 * items))
    for number in range(1, changes + 1):
        newest[number * big_vault.STEP % items] = number
    return newest


# --- a full disk -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["a small file system", "a limit of files' sizes"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], list[str]]]]:
    """A temporary folder with little room, and what to put before the command."""
    folder = tmp_path / "full"
    folder.mkdir()
    if request.param == "a limit of files' sizes":
        yield folder, lambda: ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh"]  # 400 blocks of 512 bytes
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder, list
    subprocess.run(["umount", folder], check=True)


@needs_proc
@pytest.mark.parametrize("megabytes", [pytest.param("64", marks=pytest.mark.soak), "256"])
def test_a_full_disk_is_told(
    vault: DirectoryStore, tmp_path: Path, full: tuple[Path, Callable[[], list[str]]], megabytes: str
) -> None:
    """Whoever notices it, one worker or all of them at once."""
    folder, before = full
    done = subprocess.run(
        [*before(), *words(vault, tmp_path / "out")],
        env=environment(folder, BACKSTREAM_MEMORY_MB=megabytes),
        capture_output=True,
        timeout=240,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert f"the temporary folder {folder}/backstream-" in said
    assert "Set TMPDIR to a folder with more room." in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert list(folder.iterdir()) == []
