"""Files of older versions, which left their modes to the umask: they are told, or made private once they are written to again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backstream import private_files
from backstream.apps.cli.main import call
from backstream.operations.export.iceberg import catalogs
from backstream.stores.directory import DirectoryStore
from kit.clock import ManualClock


def test_a_journal_that_goes_on_is_private_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "backstream-undo-1.ndjson"
    path.write_bytes(b"{}\n")
    path.chmod(0o644)
    with private_files.reopen(path) as file:
        assert file.read() == b"{}\n"
    assert stat.S_IMODE(path.stat().st_mode) == private_files.FILE


def test_doctor_tells_of_a_vault_that_others_may_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "400")  # so that no path is broken at a hyphen
    vault = tmp_path / "a vault"
    vault.mkdir()
    vault.chmod(0o755)
    DirectoryStore(vault, ManualClock()).put("flights/x", b"{}")
    call(["doctor", "--vault", f"file://{vault}"])
    assert "other users of this machine" not in capsys.readouterr().out, "its root alone is open, as `mkdir` makes it"
    for path in (vault / "flights").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (vault / "flights").chmod(0o755)
    call(["doctor", "--vault", f"file://{vault}"])
    out = " ".join(capsys.readouterr().out.split())
    assert f"other users of this machine may read items: {vault} and 1 more" in out
    assert f"chmod -R go= '{vault}'" in out


def test_the_catalog_of_a_lake_in_a_folder_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        catalogs.open_catalog(None, f"file://{tmp_path}/lake", {})
    finally:
        os.umask(before)
    found = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "lake", *(tmp_path / "lake").iterdir())}
    assert found == {"lake": private_files.FOLDER, "catalog.db": private_files.FILE}
