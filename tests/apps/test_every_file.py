"""Every file that a command makes, by name and mode: private whatever the umask is, for callers of the library too."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from backstream import private_files
from backstream.apps.cli.main import call
from backstream.errors import UsageError
from backstream.operations.replicate.state import ReplicaHead, StateFile
from backstream.operations.restore.resume_file import load
from backstream.stores.directory import DirectoryStore
from kit.aws import Aws
from kit.clock import ManualClock
from kit.images import image
from kit.lived import lived
from kit.scene import Scene, next_second

ID = "[0-9a-f]{16}"
SCRIPT = 'def migrate(item):\n    return {**item, "w": 1}\n'


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """As of a process that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where spilled items lie: nothing stays there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.rglob("*")) == []


@pytest.fixture
def scene(aws: Aws, table_name: str, tmp_path: Path) -> Scene:
    """A vault in a folder that is not there yet, and a table with a stream."""
    folder = tmp_path / "here"
    folder.mkdir()
    made = Scene(aws, "", table_name, folder)
    made.url = ""
    made.create()
    made.live().enable_stream()
    made.url = f"file://{folder}/made/vault"
    return made


def modes(folder: Path) -> Mapping[str, int]:
    """The mode of everything below a folder; links are told by their own."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in sorted(folder.rglob("*"))}


def made(scene: Scene, *words: str, code: int = 0) -> list[str]:
    """What a command leaves in its folder, beside the vault; all of it, and of the vault, has to be private."""
    before = set(modes(scene.folder))
    ran = scene.call(*words)
    assert ran.code == code, ran.err
    found = modes(scene.folder)
    for name in found.keys() - before:
        wanted = private_files.FOLDER if (scene.folder / name).is_dir() else private_files.FILE
        assert found[name] == wanted, f"{name}: {found[name]:o}"
    return sorted(name for name in found.keys() - before if not name.startswith("made/vault/"))


def test_each_command(scene: Scene) -> None:
    table = scene.table
    assert made(scene, "init", table, "--create-bucket") == ["made", "made/vault"]
    scene.put(*(image("z", number) for number in range(4)))
    assert made(scene, "tail", table, "--until-caught-up") == []
    at = next_second()
    next_second()
    scene.put(image("z", 1, v={"N": "7"}))
    next_second()
    assert made(scene, "witness", table) == []
    assert made(scene, "backfill", table) == []
    assert made(scene, "compact", table) == []
    assert made(scene, "restore", table, "--at", str(at), "--to-file", "rows.json") == ["rows.json"]
    assert made(scene, "snapshot", table, "--at", str(at), "--to", f"file://{scene.folder}/shots/one")[:2] == ["shots", "shots/one"]
    assert made(scene, "dump", table, "--to", f"file://{scene.folder}/dumped")[0] == "dumped"
    assert made(scene, "drill", table, "--at", str(at), "--report", "drill.html", "--patience", "1") == ["drill.html", "drill.json"]
    assert made(scene, "template", "cloudformation", table, "--to", "stack.yaml") == ["stack.yaml"]
    (undo,) = made(scene, "restore", table, "--at", str(at), "--in-place", "--yes")
    assert re.fullmatch(rf"backstream-undo-{ID}\.ndjson", undo)
    since = next_second()
    next_second()
    scene.put(image("z", 2, v={"N": "9"}))
    window = "--from", str(since), "--to", str(next_second() - 1)
    next_second()
    assert made(scene, "witness", table) == []
    assert made(scene, "revert", table, *window, "--dry-run") == []
    assert made(scene, "changes", table, *window, "--ndjson") == []
    assert made(scene, "revert", table, *window, "--plan", "plan.ndjson") == ["plan.ndjson"]
    made(scene, "revert", table, "--apply", "plan.ndjson", "--yes")
    (scene.folder / "trail").mkdir(private_files.FOLDER)
    assert made(scene, "blame", table, "--cloudtrail", str(scene.folder / "trail"), code=1) == []
    scene.create(f"{table}-two")
    state = f"replicate-{table}-to-{table}-two.json"
    assert made(scene, "replicate", table, "--to", f"{table}-two", "--copy", "--until-caught-up") == [state]
    (scene.folder / "script.py").write_text(SCRIPT)
    (journal,) = made(scene, "migrate", table, "script.py", "--live")
    assert re.fullmatch(rf"backstream-migrat\w+-{ID}\.ndjson", journal)


def test_each_command_that_asks_exports_or_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pyiceberg makes the files of a lake, in a folder that is private."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    (folder / "vault").mkdir(private_files.FOLDER)
    _, seconds = lived(1, store=DirectoryStore(folder / "vault", ManualClock()))
    at, query = str(seconds[0]), "SELECT count(*) AS n FROM changes"
    for words, wanted in (
        (["export", "flights", "--to", f"file://{folder}/state", "--format", "parquet", "--at", at], "state"),
        (["export", "flights", "--to", f"file://{folder}/lake", "--format", "iceberg", "--at", at], "lake"),
        (["sql", "flights", query, "--csv", "a.csv"], "a.csv"),
        (["sql", "flights", query, "--json", "a.json"], "a.json"),
        (["sql", "flights", query, "--parquet", "a.parquet"], "a.parquet"),
        (["group", "shop", "flights"], ""),
        (["check", "flights", "--read-data"], ""),
        (["retain", "flights", "--keep", "400d"], ""),
        (["erase", "flights", "--key", '{"zone":"z","number":1}', "--reason", "x", "--forget-future"], ""),
    ):
        before = set(modes(folder))
        assert call([*words, "--vault", f"file://{folder}/vault"]) == 0, words
        new = {name: mode for name, mode in modes(folder).items() if name not in before and not name.startswith("lake/backstream")}
        assert {name for name in new if not name.startswith("vault/") and "/" not in name} == ({wanted} if wanted else set())
        assert {
            name: f"{mode:o}"
            for name, mode in new.items()
            if mode != (private_files.FOLDER if (folder / name).is_dir() else private_files.FILE)
        } == {}


def test_what_a_restore_leaves(scene: Scene) -> None:
    assert made(scene, "init", scene.table, "--create-bucket")
    scene.put(image("z", 1))
    assert made(scene, "tail", scene.table, "--until-caught-up") == []
    scene.put(image("z", 1, v={"N": "7"}))
    undo_and_left = made(scene, "restore", scene.table, "--at", "now", "--in-place", "--yes", "--allow-gap", code=1)
    assert undo_and_left
    assert all(re.fullmatch(rf"backstream-(restore|undo)-{ID}\.ndjson", each) for each in undo_and_left)


# --- names that somebody has prepared ---------------------------------------------------------------------------------------------


def test_a_new_file_is_never_one_that_was_there(tmp_path: Path) -> None:
    for there in ("file", "link"):
        path = tmp_path / there
        path.symlink_to(tmp_path / "elsewhere") if there == "link" else path.write_bytes(b"theirs")
        with pytest.raises(FileExistsError):
            private_files.create(path)
    assert not (tmp_path / "elsewhere").exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    link = tmp_path / "backstream-restore-1.ndjson"
    link.symlink_to(secret)
    for way in (partial(private_files.read, most=100), private_files.reopen, private_files.append, private_files.opened):
        with pytest.raises(OSError, match="symbolic"):
            way(link)
    with pytest.raises(UsageError, match=r"no restore to resume: .*symbolic"):
        load(link)
    assert secret.read_text() == "{}"


def test_a_state_file_replaces_a_link_and_what_it_points_to_stays(tmp_path: Path) -> None:
    path, secret = tmp_path / "state.json", tmp_path / "secret"
    file = StateFile(path, ReplicaHead("a", "b", "stream"))
    secret.write_text("theirs")
    path.symlink_to(secret)
    file.write(5)
    assert (secret.read_text(), path.is_symlink()) == ("theirs", False)
    assert stat.S_IMODE(path.stat().st_mode) == private_files.FILE


def test_names_cannot_be_guessed(tmp_path: Path) -> None:
    names = {private_files.draft_of(tmp_path / "x").name for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(rf"\.x\.{ID}\.partial", each) for each in names)


def test_a_resumed_restore_refuses_a_link(scene: Scene) -> None:
    (scene.folder / "secret").write_text("{}")
    (scene.folder / "left.ndjson").symlink_to(scene.folder / "secret")
    assert made(scene, "init", scene.table, "--create-bucket")
    ran = scene.call("restore", scene.table, "--resume", "left.ndjson")
    assert (ran.code, "no restore to resume" in ran.err, "symbolic" in ran.err) == (2, True, True), ran.err
