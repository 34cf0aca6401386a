"""Somebody writes into the folder of an export: its manifest, or a file with the digest that fits. It is named."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstream.apps.cli.main import call
from backstream.operations.export import restored
from backstream.stores.directory import DirectoryStore
from kit.clock import ManualClock
from kit.lived import lived

GOOD = '{"zone":{"S":"z"},"number":{"N":"1"}}'


def parquet(keys: pa.Array, images: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"key": keys, "image": images}), file)
    return file.getvalue()


def no_text() -> pa.Array:
    """A column of text that is not UTF-8: Arrow does not look at it."""
    return pa.array([b'{"\xff\xfe"}']).view(pa.string())


@pytest.fixture
def export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "vault").mkdir()
    _, seconds = lived(1, store=DirectoryStore(tmp_path / "vault", ManualClock()))
    to = tmp_path / "export"
    words = ["export", "flights", "--to", f"file://{to}", "--format", "parquet", "--at", str(seconds[0])]
    assert call([*words, "--vault", f"file://{tmp_path / 'vault'}"]) == 0
    capsys.readouterr()
    return to


def brought_back(export: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = call(["restore", "flights", "--from-parquet", f"file://{export}", "--to-file", str(export / "out")])
    return code, capsys.readouterr().err


def replace(export: Path, body: bytes, **fields: object) -> None:
    """A file of the export, and the manifest that fits."""
    manifest = json.loads((export / "_export.json").read_text())
    file = {"name": "x.parquet", "rows": 1, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    (export / "x.parquet").write_bytes(body)
    (export / "_export.json").write_text(json.dumps({**manifest, "files": [file], "rows": 1, **fields}))


def test_a_sound_one_comes_back(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert brought_back(export, capsys)[0] == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PAR1 and no more", "x.parquet cannot be read"),
        (parquet(pa.array([1]), pa.array([GOOD])), "x.parquet"),
        (parquet(pa.array([GOOD]), pa.array([None], pa.string())), "x.parquet"),
        (parquet(no_text(), no_text()), "x.parquet cannot be read"),
        (parquet(pa.array([GOOD]), pa.array([GOOD.replace("1", "2")])), "x.parquet: an image does not have the key beside it"),
    ],
)
def test_a_file_that_nobody_exported_is_named(export: Path, capsys: pytest.CaptureFixture[str], body: bytes, said: str) -> None:
    replace(export, body)
    code, err = brought_back(export, capsys)
    assert code == 1, err
    assert said in err
    assert "a defect of Backstream" not in err
    assert not (export / "out").exists()


def test_a_row_group_that_export_would_not_write_is_named(
    export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restored, "LARGEST", 100)
    code, err = brought_back(export, capsys)
    assert (code, "row group 0: it has" in err) == (1, True), err


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rows": 2}, "says 2 rows, and its files have other counts"),
        ({"to": "one day"}, "is not an export's manifest"),
        ({"files": [{"name": "../x.parquet", "rows": 1, "bytes": 1, "sha256": ""}]}, "leads out of it"),
        ({"files": 7}, "is not an export's manifest"),
    ],
)
def test_a_manifest_that_export_does_not_write_is_named(
    export: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, object], said: str
) -> None:
    replace(export, parquet(pa.array([GOOD]), pa.array([GOOD])), **fields)
    code, err = brought_back(export, capsys)
    assert (code, said in err) == (1, True), err
