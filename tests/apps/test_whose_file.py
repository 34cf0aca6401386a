"""A file says what is written to a table. It is believed only where nobody but its user may have written it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.model.changes.merge import Merge
from backstream.model.values.object_limits import PLAN_LINE
from backstream.operations.migrate.journal import MigrationHead
from backstream.operations.restore.resume_file import ResumeHead
from backstream.operations.restore.targets.kept import UndoHead, UndoJournal
from backstream.operations.revert.applying import RevertHead
from backstream.operations.revert.plan_file import Plan, PlanHead
from backstream.operations.revert.request import OnConflict
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import image

AT = 1_763_900_000
UNDO = UndoHead(restore="1", table="flights", began=1, arn="", table_id="")
REVERT = RevertHead(restore="1", table="flights", began=1, arn="", table_id="", plan="plan", digest="", exactly=False, owned=False)
PLAN = PlanHead(
    id="1",
    table="flights",
    arn="",
    table_id="",
    since="",
    until="",
    made="",
    proven_until=None,
    merge=Merge.ATTRIBUTES,
    on_conflict=OnConflict.SKIP,
)
WAYS: Mapping[str, tuple[msgspec.Struct, Sequence[str]]] = {
    "restore --resume": (ResumeHead(restore="1", table="flights", at=AT, target="copy"), ("restore", "flights", "--resume")),
    "restore --undo": (UNDO, ("restore", "flights", "--undo")),
    "revert --resume": (REVERT, ("revert", "flights", "--resume")),
    "revert --undo": (REVERT, ("revert", "flights", "--undo")),
    "revert --apply": (PLAN, ("revert", "flights", "--apply")),
    "migrate --resume": (
        MigrationHead(migration="1", table="flights", script="x.py", digest="", began=1),
        ("migrate", "flights", "--resume"),
    ),
    "migrate --undo": (
        MigrationHead(migration="1", table="flights", script="x.py", digest="", began=1),
        ("migrate", "flights", "--undo"),
    ),
}


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=WAYS)
def file_and_words(request: pytest.FixtureRequest, tmp_path: Path, vault_url: str) -> tuple[Path, list[str]]:
    head, words = WAYS[request.param]
    path = tmp_path / "state.ndjson"
    path.write_bytes(msgspec.json.encode(head) + b"\n")
    path.chmod(0o600)
    return path, [*words, str(path), "--vault", vault_url, "--yes"]


@pytest.fixture
def vault_url(tmp_path: Path) -> str:
    (tmp_path / "vault").mkdir()
    feed = Feed(DirectoryStore(tmp_path / "vault", SystemClock()), "flights", began=AT - 600, layout=Layout.LOG)
    feed.put(AT - 100, image("row", 1))
    feed.deliver()
    return f"file://{tmp_path / 'vault'}"


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_not_believed(
    file_and_words: tuple[Path, list[str]], mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path, words = file_and_words
    path.chmod(mode)
    assert call(words) == 4
    said = capsys.readouterr().err
    assert f"{path} may be written by other users, so what it says is not believed; nothing was touched" in said
    assert f"chmod go-w {path}" in said


def test_a_file_of_another_user_is_not_believed(
    file_and_words: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, words = file_and_words
    monkeypatch.setattr("backstream.private_files.ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert call(words) == 4
    said = capsys.readouterr().err
    assert f"{path} belongs to another user, so what it says is not believed; nothing was touched" in said
    assert f"install -m 600 {path} COPY" in said


def test_a_plan_of_one_endless_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    path.chmod(0o600)
    with pytest.raises(UsageError, match=f"{path} has a line of more than {PLAN_LINE:,} bytes"):
        Plan(path)


@pytest.mark.parametrize(
    "line",
    [b'["d",-1]', b'["d",true]', b'["d"]', b'["d",0,0]', b'["t",1]', b'["x",0]', b"[]", b'["i",0,{"id":{"S":"a"}},null,null]'],
)
def test_a_line_that_no_journal_has_is_damage(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(msgspec.json.encode(UNDO) + b'\n["i",0,{"id":{"S":"a"}},null,null]\n' + line + b"\n")
    path.chmod(0o600)
    with pytest.raises(UsageError, match=f"{path} is damaged: a line that no journal has"):
        UndoJournal(path)
