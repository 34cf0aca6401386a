"""A row version that no segment names: put over a row by somebody else, with metadata of a far later change. It never wins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli.main import call
from backstream.model import moment
from backstream.operations import revert as reverting
from backstream.operations.base.compact import compact
from backstream.operations.changes import ChangeCriteria, ChangeWindow
from backstream.operations.revert import Around, RevertRequest
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.lived import live
from kit.stage import Stage

KEY = '{"zone":"z","number":1}'
Answers = Callable[[], dict[str, tuple[int, object]]]


@pytest.fixture(params=[(layout, compacted) for layout in Layout for compacted in (False, True)], ids=str)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    layout, compacted = request.param
    (tmp_path / "vault").mkdir()
    made = Stage(ManualClock(), layout=layout, store=DirectoryStore(tmp_path / "vault", ManualClock()))
    init(made.store, made.table, InitOptions(tenant_attribute="zone"))
    live(made)
    if compacted:
        compact(made.vault(), made.clock)
    return made


@pytest.fixture
def answers(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Answers:
    """What every way to read says: exit code, and what it shows or writes."""
    proven = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    at = moment.iso(proven)
    begin, out, keys = moment.iso(proven - 1_800), tmp_path / "out", tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    window = ("flights", "--from", begin, "--to", at)
    ways = {
        "whole": ("restore", "flights", "--at", at, "--to-file", str(out)),
        "by key": ("restore", "flights", "--at", at, "--key", KEY, "--to-file", str(out)),
        "by partition": ("restore", "flights", "--at", at, "--partition", "z", "--to-file", str(out)),
        "by tenant": ("restore", "flights", "--at", at, "--tenant", "z", "--to-file", str(out)),
        "by keys": ("restore", "flights", "--at", at, "--keys", str(keys), "--to-file", str(out)),
        "by condition": ("restore", "flights", "--at", at, "--where", "v > 0", "--to-file", str(out)),
        "changed": ("restore", "flights", "--at", at, "--changed-between", begin, at, "--to-file", str(out)),
        "show": ("show", "flights", KEY, "--at", at),
        "history": ("history", "flights", KEY, "--json"),
        "changes": ("changes", *window, "--json"),
        "changes of some": ("changes", *window, "--keys", str(keys), "--where", "v > 0", "--ndjson"),
        "net changes": ("changes", *window, "--net", "--json"),
    }

    def answered() -> dict[str, tuple[int, object]]:
        found = dict[str, tuple[int, object]]()
        for name, words in ways.items():
            out.unlink(missing_ok=True)
            capsys.readouterr()
            code = call([*words, "--vault", f"file://{tmp_path / 'vault'}"])
            said = capsys.readouterr()
            assert code != 2, said.err
            found[name] = code, sorted(out.read_text().splitlines()) if out.exists() else said.out
        for name, asked in (("revert", ChangeCriteria()), ("revert of some", ChangeCriteria(where="v > 0"))):
            request = RevertRequest(ChangeWindow(proven - 1_800, proven), asked)
            (tmp_path / "plan").unlink(missing_ok=True)
            plan = reverting.plan(stage.vault(), request, Around(stage.table, stage.clock, tmp_path), tmp_path / "plan")
            found[name] = 0, sorted(map(msgspec.json.encode, plan.rows()))
        return found

    return answered


def same_but_named(before: dict[str, tuple[int, object]], after: dict[str, tuple[int, object]]) -> None:
    """The same rows and versions. A restore may end with 1, since it names what lies there."""
    assert {name: said for name, (_, said) in after.items()} == {name: said for name, (_, said) in before.items()}
    assert {code for code, _ in after.values()} <= {0, 1}
    assert {after[name][0] for name in after if name.startswith(("show", "history", "changes"))} == {0}


def rows(stage: Stage) -> list[str]:
    """The names of the rows' objects: those of the log layout are what somebody would guess."""
    found = sorted({each.name for each in stage.store.versions("flights/")})
    return found or [f"flights/{number:064x}" for number in range(3)]


def test_it_never_wins(stage: Stage, answers: Answers) -> None:
    before = answers()
    assert [code for code, _ in before.values()] == [0] * len(before)
    assert all(said for _, said in before.values())
    assert json.loads(str(before["history"][1]))
    for name in rows(stage):
        version = next((each.version for each in stage.store.versions_of(name) if not each.marker), None)
        stored = None if version is None else stage.store.get(name, version)
        body = b'{"zone":{"S":"z"},"number":{"N":"1"}}' if stored is None else stored.body
        metadata = {} if stored is None else dict(stored.info.metadata)
        later = {"sequence": "9" * 30, "event": "MODIFY", "time": str(int(stage.clock.now()) * 10**6)}
        forged = body.replace(b'"N":"', b'"N":"9').replace(b'"v"', b'"planted"')
        stage.store.put(name, forged, {key: later.get(key, value) for key, value in metadata.items()} | later)
    same_but_named(before, answers())


def test_a_new_object_among_the_rows_is_no_row(stage: Stage, answers: Answers) -> None:
    before = answers()
    for name in (f"flights/{'f' * 64}", "flights/planted", "flights/z | 99"):
        metadata = {"sequence": "9" * 30, "event": "INSERT", "time": "1", "format": "1"}
        stage.store.put(name, b'{"zone":{"S":"z"},"number":{"N":"99"},"planted":{"BOOL":true}}', metadata)
    same_but_named(before, answers())
