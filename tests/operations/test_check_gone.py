"""What was hidden and has then expired: nothing is below its marker any more. `check` finds it, and no restore passes it over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backstream.apps.cli.main import call
from backstream.errors import BackstreamError, Damaged
from backstream.model import moment
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.inspect import check as checks
from backstream.operations.inspect.check import Finding, FindingKind
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from kit.clock import ManualClock
from kit.lived import GENERATIONS, live, lived, names
from kit.losing import lose
from kit.stage import Stage

SYSTEM = "_backstream/flights/"


def expire(stage: Stage, name: str) -> None:
    """Somebody hides an object, and a lifecycle rule takes what superseded versions there are."""
    stage.store.delete(name)
    for each in list(stage.store.versions_of(name)):
        if not each.marker:
            lose(stage.store, name, each.version)


@pytest.fixture(params=Layout)
def stage(request: pytest.FixtureRequest) -> Stage:
    return lived(layout=request.param)[0]


def found(stage: Stage) -> list[Finding]:
    return list(checks.check(stage.vault(), checks.CheckContext(stage.clock)).findings)


def restored(stage: Stage) -> None:
    around = RestoreContext(lambda _: MemoryTable("restored", stage.clock), stage.clock, Path())
    window = stage.vault().window(stage.clock.now())
    assert window.until is not None
    restore(stage.vault(), RestoreRequest(at=window.until, target=NewTable("restored")), around)


def refused(stage: Stage, ask: Callable[[Stage], object]) -> BackstreamError:
    with pytest.raises(BackstreamError) as raised:
        ask(stage)
    assert raised.value.exit_code
    return raised.value


# --- the record of compacted objects ----------


def compacted(stage: Stage) -> str:
    """The record in force of a vault that was compacted twice, with changes since."""
    for _ in range(2):
        compact(stage.vault(), stage.clock)
        live(stage, 1)
    (record,) = names(stage.store, GENERATIONS)
    return record


@pytest.mark.parametrize("damaged", [False, True])
def test_the_generation_in_force(stage: Stage, *, damaged: bool) -> None:
    record = compacted(stage)
    sets = stage.vault().compacted.current().changes
    if damaged:
        stage.store.put(record, b"{")
        for each in list(stage.store.versions_of(record))[1:]:
            lose(stage.store, record, each.version)
    else:
        expire(stage, record)
    (finding,) = found(stage)
    assert (finding.kind, finding.object) == (FindingKind.DAMAGED if damaged else FindingKind.MISSING, record)
    assert (finding.since, finding.until) == (moment.iso(min(each.since for each in sets)), None)
    assert finding.rows == sum(each.lines for each in sets)
    for ask in (
        restored,
        lambda stage: compact(stage.vault(), stage.clock),
        lambda stage: stage.vault().inventory(),
    ):
        error = refused(stage, ask)
        assert isinstance(error, Damaged)
        assert record in error.message
        assert "Bring" in error.hint


def test_the_commands_name_it_and_other_tables_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = lived(store=DirectoryStore(tmp_path, ManualClock()))[0]
    other = "_backstream/trains/catalog.json"
    stage.store.put(other, stage.store.get(f"{SYSTEM}catalog.json").body.replace(b'"flights"', b'"trains"'))
    record = compacted(stage)
    expire(stage, record)

    def said(*words: str) -> tuple[int, str, str]:
        code = call([*words, "--vault", f"file://{tmp_path}"])
        return code, *capsys.readouterr()

    capsys.readouterr()
    code, out, err = said("check", "--json")
    assert code == 3, err
    assert [(each["table"], [one["object"] for one in each["findings"]]) for each in json.loads(out)] == [
        ("flights", [record]),
        ("trains", []),
    ]
    assert f"MISSING: {record}: the record of compacted objects is gone" in err
    code, out, err = said("status")
    assert (code, f"error: flights: the record of compacted objects is gone: {record}" in err, "trains" in out) == (1, True, True)
    for words in (["status", "flights"], ["compact", "flights"]):
        code, _, err = said(*words)
        assert (code, record in err) == (1, True), (words, err)
    assert said("status", "trains")[0] == 0


# --- others ----------


def test_one_of_the_sets_of_a_generation(stage: Stage) -> None:
    compacted(stage)
    backfill(
        stage.vault(), scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock)
    )
    compact(stage.vault(), stage.clock)
    sets = stage.vault().compacted.current().sets
    assert len(sets) > 1
    one = sets[0]
    for part in stage.vault().compacted.written(one.id):
        expire(stage, part.name)
    missing = [each for each in found(stage) if each.object == f"compacted set {one.id}"]
    assert [(each.kind, each.rows, each.since) for each in missing] == [(FindingKind.MISSING, one.lines, moment.iso(one.since))]
    assert one.id in refused(stage, restored).message


def test_the_record_of_a_gap(stage: Stage) -> None:
    second = stage.model[3][0]
    stage.vault().gaps.record(Gap("lost", second, second + 5, "s"))
    (record,) = names(stage.store, f"{SYSTEM}gaps/")
    expire(stage, record)
    missing = [each for each in found(stage) if each.kind is FindingKind.MISSING]
    assert [each.object for each in missing] == [record]
    error = refused(stage, restored)
    assert isinstance(error, Damaged)
    assert record in error.message


def test_the_record_of_a_base_backup(stage: Stage) -> None:
    backfill(
        stage.vault(), scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock)
    )
    (base,) = stage.vault().bases.complete()
    record = stage.vault().bases.name_of(base)
    expire(stage, record)
    (finding,) = found(stage)
    assert (finding.kind, finding.object, finding.since) == (FindingKind.MISSING, record, moment.iso(base.end))
    lose(stage.store, record)
    (finding,) = found(stage)
    assert (finding.kind, finding.object, finding.since) == (FindingKind.MISSING, f"base backup {base.id}", moment.iso(base.end))


def test_a_base_backup_is_read_without_its_plan(stage: Stage) -> None:
    stage.put([77])
    backfill(
        stage.vault(), scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock)
    )
    (base,) = stage.vault().bases.complete()
    before = stage.vault().history(next(key for _, key, _ in stage.model[-1:]))
    assert [entry.scanned for entry in before] == [True]
    expire(stage, f"{SYSTEM}base/{base.id}/plan.json")
    assert stage.vault().history(stage.model[-1][1]) == before
    assert found(stage) == []


@pytest.mark.parametrize("note", ["redriven", "agreed"])
def test_a_note_that_is_hidden_is_read_and_found(stage: Stage, note: str) -> None:
    gaps = stage.vault().gaps
    gaps.agree(1_700_000_000)
    gaps.arrived("batch-1")
    (name,) = names(stage.store, f"{SYSTEM}{note}/")
    stage.store.delete(name)
    assert gaps.last_agreed(1_800_000_000) == 1_700_000_000
    assert gaps.has_arrived("batch-1")
    assert [(each.kind, each.object) for each in found(stage)] == [(FindingKind.HIDDEN, name)]


def test_a_lost_catalog_is_not_an_unknown_table(stage: Stage) -> None:
    expire(stage, f"{SYSTEM}catalog.json")
    error = refused(stage, lambda stage: stage.vault())
    assert "is lost" in error.message
    assert "replica" in error.hint
    report = init(stage.store, stage.table, InitOptions())
    assert (report.created, [each for each in report.advice if "their catalog is lost" in each]) == (True, report.advice[:1])
    empty = MemoryStore(stage.clock)
    assert "does not know the table" in refused(stage, lambda stage: stage.vault(empty)).message
