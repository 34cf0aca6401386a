"""`init --keep`: the history to keep is said once, and `retain` and its function go by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.apps import aws_retain
from backstream.apps.cli.main import call
from backstream.errors import Failed, UsageError
from backstream.operations.setup.init import InitOptions, InitReport, init
from backstream.operations.setup.kept_history import KeepOptions
from backstream.stores.directory import DirectoryStore
from backstream.vault import groups
from backstream.vault.gaps import gaps
from kit.clock import ManualClock
from kit.invocations import Invocation
from kit.lived import lived
from kit.scene import Scene
from kit.spoil import spoil
from kit.stage import Stage

DAY = 86_400


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A vault in a folder whose history is years old."""
    (tmp_path / "vault").mkdir()
    found, _ = lived(2, store=DirectoryStore(tmp_path / "vault", ManualClock()))
    return found


def told(stage: Stage, keep: int | None) -> InitReport:
    return init(stage.store, stage.table, InitOptions(keep=KeepOptions(keep)))


def test_the_catalog_holds_it_and_each_change_is_told(stage: Stage) -> None:
    assert stage.vault().catalog.keep is None
    assert told(stage, 400 * DAY).changes == ["history that `retain` keeps: 400d (was: all)"]
    assert told(stage, None).changes == []
    assert told(stage, 3_601).changes == ["history that `retain` keeps: 3601s (was: 400d)"]
    assert stage.vault().catalog.keep == 3_601
    assert told(stage, 0).changes == ["history that `retain` keeps: all (was: 3601s)"]
    assert stage.vault().catalog.keep is None


def test_a_retention_without_options_goes_by_it(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["retain", "flights", "--vault", f"file://{tmp_path / 'vault'}", "--json"]
    assert call(words) == 2
    assert "init flights --keep 400d" in capsys.readouterr().err
    told(stage, 400 * DAY)
    assert call([*words, "--dry-run"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["removed_versions"] > 0
    assert stage.vault().catalog.horizon is None
    assert call(words) == 0
    assert json.loads(capsys.readouterr().out)["horizon"] == planned["horizon"]
    assert stage.vault().catalog.horizon is not None


def test_the_record_of_a_gap_that_cannot_be_read_stays_and_is_named(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index has folded it, so readers go on without it. Nobody can tell any more when that gap ended."""
    monkeypatch.setattr(gaps, "FOLDED_TOGETHER", 1)
    vault = stage.vault()
    vault.gaps.record(gaps.Gap("late", 1_700_000_000, 1_700_000_000, vault.catalog.stream, batch="brought"))
    vault.gaps.arrived("brought")
    assert vault.coverage.fold_gaps() == 1
    (name,) = {each.name for each in stage.store.versions("_backstream/flights/gaps/")}
    spoil(stage.store, name, b"{")
    stage.store.delete(name)
    words = ["retain", "flights", "--vault", f"file://{tmp_path / 'vault'}", "--keep", "400d"]
    assert call([*words, "--json"]) == 1
    said = capsys.readouterr()
    assert [each["object"] for each in json.loads(said.out)["left"]] == [name]
    assert f"LEFT: {name}" in said.err
    assert "1 object cannot be read, and stay" in said.err
    assert stage.vault().catalog.horizon is not None, "the rest is done"


def test_its_function_takes_every_table_and_names_those_that_fail(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKSTREAM_VAULT", f"file://{tmp_path / 'vault'}")
    with pytest.raises(Failed, match="the retention has failed for 1 of 1 tables: flights"):
        aws_retain.handler({"tables": ["flights"]}, Invocation())
    told(stage, 400 * DAY)
    with pytest.raises(Failed, match="1 of 2 tables: orders"):
        aws_retain.handler({"tables": ["orders", "flights"]}, Invocation())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["removed_versions"] > 0 for line in lines if line["table"] == "flights" and "error" not in line] == [True]
    assert [line["error"] for line in lines if line["table"] == "orders"] == ["NotFound"]
    assert stage.vault().catalog.horizon is not None
    groups.save(stage.store, "shop", ["flights"], {}, 0.0)
    again = aws_retain.handler({"group": "shop"}, Invocation())
    assert again["flights"]["removed_versions"] == 0
    with pytest.raises(UsageError):
        aws_retain.handler({"keep": "1d"}, None)


def test_init_takes_it_on_the_command_line(scene: Scene) -> None:
    scene.create()
    first = scene.call("init", scene.table, "--enable-stream", "--keep", "400d")
    assert (first.code, "400d" in first.out) == (0, True), first.err
    assert scene.vault().catalog.keep == 400 * DAY
    assert scene.call("init", scene.table, "--keep", "0d").code == 2
    assert scene.call("init", scene.table, "--keep", "none").code == 0
    assert scene.vault().catalog.keep is None
