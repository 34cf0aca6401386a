"""The command `check` on a vault in a folder: what it finds, what it says, what it ends with, and what it repairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstream.apps.cli.main import call
from backstream.model import moment
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit import images
from kit.clock import ManualClock
from kit.lived import LOG, key, lived, names, told
from kit.losing import lose
from kit.spoil import spoil
from kit.stage import Stage

SYSTEM = "_backstream/flights/"
ROWS = "flights/"


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def report(self) -> Any:
        return json.loads(self.out)

    @property
    def findings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["findings"]
        return found


Run = Callable[..., Said]


@pytest.fixture(params=Layout)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    return lived(store=DirectoryStore(tmp_path, ManualClock()), layout=request.param)[0]


@pytest.fixture
def rows(tmp_path: Path) -> Stage:
    return lived(store=DirectoryStore(tmp_path, ManualClock()), layout=Layout.ROWS)[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:

    def ran(*words: str) -> Said:
        capsys.readouterr()
        code = call([*words, "--vault", f"file://{tmp_path}"])
        return Said(code, *capsys.readouterr())

    return ran


def hide(stage: Stage, prefix: str = "", *, like: str = "") -> list[str]:
    """What `aws s3 rm --recursive` does."""
    found = [name for name in names(stage.store, prefix) if like in name]
    assert found
    for name in found:
        stage.store.delete(name)
    return found


def objects(said: Said) -> set[str]:
    return {each["object"] for each in said.findings}


# --- nothing is wrong -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
def test_of_a_sound_vault_there_is_nothing_to_say(stage: Stage, run: Run, *, compacted: bool) -> None:
    if compacted:
        compact(stage.vault(), stage.clock)
    for words in (["check"], ["check", "flights"], ["check", "--read-data"], ["check", "flights", "--read-data=50%", "--repair"]):
        said = run(*words)
        assert (said.code, said.err) == (0, ""), said.err
        assert ["findings", "0"] in [line.split() for line in said.out.splitlines()]
    report = run("check", "flights", "--json").report
    assert {"table", "objects", "versions", "findings"} <= report.keys()
    assert (report["table"], report["findings"]) == ("flights", [])
    assert report["objects"] > 0
    assert report["changes"] == len(stage.model)
    assert (report["versions"] > 0) == (stage.vault().catalog.layout is Layout.ROWS)
    (again,) = run("check", "--json").report
    assert {**again, "seconds": 0} == {**report, "seconds": 0}


@pytest.mark.usefixtures("rows")
def test_words_that_are_wrong(run: Run) -> None:
    assert run("check", "flights", "--read-data=half").code == 2
    assert run("check", "flights", "--read-data=101").code == 2
    said = run("check", "tables")
    assert (said.code, "does not know" in said.err) == (1, True)


# --- delete markers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
def test_a_whole_vault_that_is_hidden_is_seen_all_the_same(stage: Stage, run: Run, *, compacted: bool) -> None:
    if compacted:
        compact(stage.vault(), stage.clock)
        stage.put([1, 2])
        stage.follow()
    seconds = [stage.model[0][0], stage.model[-1][0]]
    before = told(stage, seconds)
    hidden = hide(stage)
    assert told(stage, seconds) == before, "whoever reads it reads what it was"
    for words in (["status"], ["status", "flights"]):
        said = run(*words)
        assert said.code == 3
        assert "holds no table" not in said.err
        assert f"HIDDEN: flights: {SYSTEM}catalog.json" in said.err
        assert "backstream check flights --repair" in said.err
        assert "exact restores" in said.out
    said = run("check")
    assert said.code == 3
    assert f"HIDDEN: {SYSTEM}catalog.json: the catalog: hidden by a delete marker of" in said.err
    assert f"{len(hidden):,} findings in the vault of flights" in said.err
    assert "backstream check flights --repair" in said.err
    assert objects(run("check", "flights", "--json")) == set(hidden)
    said = run("check", "flights", "--repair", "--json")
    assert (said.code, said.report["repaired"]) == (3, len(hidden))
    assert all(each["repairable"] and each["repaired"] and each["kind"] == "hidden" for each in said.findings)
    assert set(names(stage.store, "")) == set(hidden), "and what compaction and deletes have hidden stays hidden"
    assert run("check", "flights", "--read-data").code == 0
    assert run("status").code == 0
    assert told(stage, seconds) == before


def test_a_hidden_log_is_no_empty_log(stage: Stage, run: Run) -> None:
    hide(stage, LOG)
    said = run("status", "flights", "--json")
    assert (said.code, said.report["changes"]) == (3, len(stage.model))
    assert len(said.report["hidden"]) > 3
    said = run("check", "flights", "--json")
    assert said.code == 3
    held = [each for each in said.findings if each["from"] is not None]
    assert min(each["from"] for each in held) <= moment.iso(stage.model[0][0]) <= max(each["to"] for each in held)


def test_one_hidden_catalog_hides_no_other_table(stage: Stage, run: Run) -> None:
    other = "_backstream/trains/catalog.json"
    body = stage.store.get(f"{SYSTEM}catalog.json").body.replace(b'"flights"', b'"trains"')
    stage.store.put(other, body)
    hide(stage, f"{SYSTEM}catalog.json")
    said = run("status", "--json")
    assert (said.code, [each["table"] for each in said.report]) == (3, ["flights", "trains"])
    assert [len(each["hidden"]) for each in said.report] == [1, 0]
    assert [len(each["findings"]) for each in run("check", "--json").report] == [1, 0]
    stage.store.put(other, b"{")
    said = run("status")
    assert said.code == 3
    assert "error: trains: the catalog" in said.err
    lines = {words[0]: words for words in (line.split() for line in said.out.splitlines())}
    assert lines["trains"][-1] == "ERROR"
    assert (lines["flights"][2], lines["flights"][-1]) == ("to", "HIDDEN"), "its window is told, and that something is hidden"
    said = run("check", "--repair", "--json")
    assert [(each["table"], each["findings"][0]["kind"]) for each in said.report] == [("flights", "hidden"), ("trains", "damaged")]
    said = run("status")
    assert (said.code, "error: trains" in said.err, "flights" in said.out) == (1, True, True)


@pytest.mark.parametrize("what", ["generations/", "ndjson.zst", "sources"])
def test_hidden_parts_of_what_is_compacted(stage: Stage, run: Run, what: str) -> None:
    seconds = [stage.model[5][0], stage.model[-1][0]]
    compact(stage.vault(), stage.clock)
    before = told(stage, seconds)
    hidden = hide(stage, f"{SYSTEM}compacted/", like=what)
    assert told(stage, seconds) == before
    assert run("status").code == 3
    assert objects(run("check", "--json", "flights")) == set(hidden)
    assert run("check", "--repair").code == 3
    assert run("check").code == 0
    assert told(stage, seconds) == before


def test_a_gap_that_is_hidden_stands_all_the_same(stage: Stage, run: Run) -> None:
    second = stage.model[3][0]
    stage.vault().gaps.record(Gap("lost", second, second + 5, "s"))
    before = run("status", "--json").report[0]["gaps"]
    assert before
    hidden = hide(stage, f"{SYSTEM}gaps/")
    said = run("status", "--json")
    assert (said.code, said.report[0]["gaps"]) == (3, before)
    assert objects(run("check", "flights", "--json")) == set(hidden)


def test_a_hidden_row_that_exists_is_brought_back_and_a_deleted_one_is_not(rows: Stage, run: Run) -> None:
    current = hide(rows, ROWS)
    assert current
    assert run("status").code == 0, "no restore reads rows by what is current"
    said = run("check", "flights", "--json")
    assert (said.code, objects(said)) == (3, set(current))
    assert all("hides it from plain S3 tools" in each["why"] and each["key"] for each in said.findings)
    assert run("check", "--repair").code == 3
    assert names(rows.store, ROWS) == current


# --- what is missing, damaged, foreign -------------------------------------------------------------------------------------------


def test_a_row_version_that_is_gone(rows: Stage, run: Run) -> None:
    """Of an item that was written three times, the middle version."""
    entries = rows.vault().history(key(2))
    middle = entries[1]
    assert middle.place is not None
    lose(rows.store, middle.place.name, middle.place.version)
    said = run("check", "flights", "--json")
    (found,) = said.findings
    assert said.code == 3
    assert (found["kind"], found["object"], found["version"]) == ("missing", middle.place.name, middle.place.version)
    assert found["key"] == json.loads(key(2))
    assert found["from"] == moment.iso(middle.seconds)
    assert found["to"] == moment.iso(max(middle.seconds, entries[2].seconds - 1))
    assert not found["repairable"]
    assert found["why"] == "the log names this version, and it is missing"
    said = run("check", "flights")
    assert f"MISSING: {middle.place.name} (version {middle.place.version})" in said.err
    assert "affects" in said.err


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is empty"),
        (b"{}", "not an item"),
        (b"not JSON", "not"),
        (images.image("z", 99), "another item"),
    ],
)
def test_a_row_that_was_altered_shows_when_it_is_read(rows: Stage, run: Run, tmp_path: Path, body: bytes, why: str) -> None:
    entry = rows.vault().history(key(2))[0]
    assert entry.place is not None
    (folder,) = [each for each in (tmp_path / "flights").iterdir() if each.name.startswith(entry.place.name.split("/")[1])]
    (folder / entry.place.version / "body").write_bytes(body)
    assert run("check").code == (0 if body else 3)
    said = run("check", "flights", "--read-data", "--json")
    (found,) = said.findings
    assert (said.code, found["kind"], found["object"]) == (3, "damaged", entry.place.name)
    assert found["version"] == entry.place.version
    assert why in found["why"]
    assert said.report["unchecked"] == []


def test_a_segment_that_is_gone_or_damaged(stage: Stage, run: Run) -> None:
    listed = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    body = stage.store.get(listed[1].name).body
    spoil(stage.store, listed[1].name, body[:-3])
    said = run("check", "flights", "--json")
    (found,) = [each for each in said.findings if each["object"] == listed[1].name]
    assert (said.code, found["kind"]) == (3, "damaged")
    segment = listed[1].segment
    assert segment is not None
    assert (found["from"], found["to"]) == (moment.iso(segment.min_time), moment.iso(segment.max_time))
    assert found["rows"] == segment.count
    lose(stage.store, listed[1].name)
    said = run("check", "flights", "--json")
    assert any(each["kind"] == "missing" and segment.last in each["object"] for each in said.findings), said.findings


def test_a_part_of_a_base_backup_that_is_hidden_or_gone(stage: Stage, run: Run) -> None:
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
    assert run("check", "flights", "--read-data").code == 0
    (base,) = stage.vault().bases.complete()
    part = next(each for each in stage.vault().bases.parts(base.id) if each.count)
    stage.store.delete(part.name)
    assert len(stage.vault().bases.whole(base)) > 0, "it is read below the marker"
    assert run("status").code == 3
    said = run("check", "flights", "--json")
    assert (said.code, objects(said)) == (3, {part.name})
    assert run("check", "--repair").code == 3
    assert run("check").code == 0
    lose(stage.store, part.name)
    (found,) = run("check", "flights", "--json").findings
    assert (found["kind"], found["from"], found["to"]) == ("missing", moment.iso(base.end), None)
    assert f"base/{base.id}/ holds" in found["why"]


def test_foreign_objects_are_named(stage: Stage, run: Run) -> None:
    foreign = {f"{LOG}notes.txt", f"{LOG}dt=2026-11-23/x.csv", f"{SYSTEM}base/notes.txt", "flights/notes.txt"}
    for name in foreign:
        stage.store.put(name, b"1")
    stage.store.put("flights/", b"")
    said = run("check", "flights", "--json")
    assert (said.code, objects(said)) == (3, foreign)
    assert {each["kind"] for each in said.findings} == {"foreign"}
    for name in foreign:
        stage.store.delete(name)
    assert run("check").code == 0, "who takes them away hides nothing of the vault's"


def test_a_damaged_gap(stage: Stage, run: Run) -> None:
    stage.store.put(f"{SYSTEM}gaps/0123456789abcdef.json", b"{")
    said = run("check", "flights", "--json")
    assert (said.code, objects(said)) == (3, {f"{SYSTEM}gaps/0123456789abcdef.json"})
    assert said.findings[0]["kind"] == "damaged"
    (chains, _) = said.report["unchecked"]
    assert chains.startswith("each change against the state that the one before it left: the record of a gap cannot be read: ")
    assert "each change against the state that the one before it left" not in said.report["checked"]


def test_a_catalog_that_is_lost(stage: Stage, run: Run) -> None:
    lose(stage.store, f"{SYSTEM}catalog.json")
    said = run("check", "--json")
    assert said.code == 3
    (found,) = said.report[0]["findings"]
    assert (found["kind"], found["object"]) == ("missing", f"{SYSTEM}catalog.json")
    assert run("check", "flights").code == 3
    alone = run("status", "flights")
    assert (alone.code, "the catalog of 'flights' is lost" in alone.err) == (1, True)


def test_a_catalog_that_is_lost_is_named_beside_tables_that_are_well(stage: Stage, run: Run) -> None:
    """`status` of the whole vault does not pass over the table, as if it had never been there."""
    other = "_backstream/trains/catalog.json"
    stage.store.put(other, stage.store.get(f"{SYSTEM}catalog.json").body.replace(b'"flights"', b'"trains"'))
    lose(stage.store, f"{SYSTEM}catalog.json")
    said = run("status")
    assert (said.code, "trains" in said.out) == (1, True)
    assert "the catalog of 'flights' is lost: _backstream/flights/catalog.json is gone" in said.err
