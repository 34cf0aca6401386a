"""Gaps grow, close on evidence, and never vanish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.errors import Unavailable
from backstream.operations.base.compact import compact
from backstream.operations.capture.discarded import record_waiting
from backstream.operations.capture.outage import record_absence
from backstream.operations.compare.verify import MISSED, verify
from backstream.operations.restore import RestoreContext
from backstream.ports import Put
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.coverage import Coverage
from backstream.vault.gaps.gaps import Gap, Gaps
from backstream.vault.images import images_for
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.losing import lose
from kit.redriving import FailingStage
from kit.stage import Stage

DAY = 86_400


def test_a_gap_that_is_found_again_and_is_longer_grows() -> None:
    store = MemoryStore(ManualClock())
    gaps, one = Gaps(store, "flights"), Gap("lost", 100, 200, "label", "shard-1")
    gaps.record(one)
    for until in (150, 200, 300, 300):
        gaps.record(msgspec.structs.replace(one, until=until))
    assert list(gaps.all()) == [msgspec.structs.replace(one, until=300)]
    first = store.get(f"_backstream/flights/gaps/{one.id}.json")
    assert msgspec.json.decode(first.body, type=Gap) == one, "nothing was rewritten"
    assert len(list(store.versions("_backstream/flights/gaps/"))) == 2


def test_what_an_older_tool_recorded_is_read_and_grows() -> None:
    store = MemoryStore(ManualClock())
    old = Gap("lost", 100, 200, "label")
    body = b'{"reason":"lost","since":100,"until":200,"stream":"label"}'
    store.put(f"_backstream/flights/gaps/{old.id}.json", body, {"format": "1"})
    Gaps(store, "flights").record(msgspec.structs.replace(old, until=201))
    assert [gap.until for gap in Gaps(store, "flights").all()] == [201]


# --- what Lambda gave up ---


@pytest.fixture
def stage() -> FailingStage:
    return FailingStage()


def lost(vault: TableVault) -> list[str | None]:
    return [gap.batch for gap in vault.coverage.lost()]


def test_a_batch_that_was_seen_stays_a_gap_when_its_object_is_deleted(stage: FailingStage) -> None:
    stage.give_up(stage.records(stage.write()))
    (name,) = [each.name for each in stage.destination.list("")]
    assert record_waiting(stage.vault()) == 1
    assert record_waiting(stage.vault()) == 0
    assert lost(stage.vault()) == [name], "once, although it waits too"
    stage.destination.delete(name)
    assert lost(stage.vault()) == [name]


def test_a_batch_that_is_recorded_and_deleted_while_the_window_is_read_is_seen(
    stage: FailingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The destination is looked at before the records: whoever empties it has recorded what lay there."""
    records, between = stage.records(stage.write()), list[str]()

    def after_the_first(look: Callable[[Coverage], Any]) -> Callable[[Coverage], Any]:
        def looked(coverage: Coverage) -> Any:
            found = look(coverage)
            if not between:
                between.append(stage.give_up(records))
                record_waiting(stage.vault())
                for name in stage.waiting():
                    stage.destination.delete(name)
            return found

        return looked

    vault = stage.vault()
    for name in ("_waiting", "_recorded"):
        monkeypatch.setattr(Coverage, name, after_the_first(getattr(Coverage, name)))
    assert lost(vault) == between


def test_it_is_closed_by_redrive(stage: FailingStage) -> None:
    stage.give_up(stage.records(stage.write()))
    record_waiting(stage.vault())
    assert stage.redrive().redriven == 1
    assert lost(stage.vault()) == []


def test_it_is_closed_when_its_changes_come_in_another_way(stage: FailingStage) -> None:
    changes = stage.write()
    stage.give_up(stage.records(changes))
    record_waiting(stage.vault())
    for each in stage.destination.list(""):
        stage.destination.delete(each.name)
    stage.keep(changes[:-1])
    assert len(lost(stage.vault())) == 1, "one of them is still missing"
    stage.keep(changes[-1:])
    assert lost(stage.vault()) == []


def test_it_stays_closed_once_its_changes_are_compacted_and_superseded_versions_have_expired(stage: FailingStage) -> None:
    changes = stage.write()
    stage.give_up(stage.records(changes[1:]))
    stage.keep(changes[:1])
    record_waiting(stage.vault())
    for name in stage.waiting():
        stage.destination.delete(name)
    stage.keep(changes[1:])
    assert not lost(stage.vault())
    stage.manual.move(7_200)
    compact(stage.vault(), stage.manual)
    for each in list(stage.store.versions("")):
        if not each.latest:
            lose(stage.store, each.name, each.version)
    assert not lost(stage.vault()), "they are in the vault all the same"


@pytest.mark.parametrize("number", ["9" * 5_000, "a", "-5", ""])
def test_a_given_up_record_whose_number_is_none_leaves_a_gap_that_nothing_closes(stage: FailingStage, number: str) -> None:
    changes = stage.write()
    records = stage.records(changes)
    records[1]["dynamodb"]["SequenceNumber"] = number
    batch = stage.give_up(records)
    record_waiting(stage.vault())
    stage.keep([changes[0], *changes[2:]])
    assert lost(stage.vault()) == [batch]
    assert stage.vault().window(stage.manual.now()).gaps


def test_a_tail_records_what_it_sees(stage: FailingStage) -> None:
    stage.give_up(stage.records(stage.write()))
    stage.follow()
    assert len([gap for gap in stage.vault().gaps.all() if gap.batch is not None]) == 1


# --- what verify finds ---


def around(stage: Stage) -> RestoreContext:
    return RestoreContext(lambda _: stage.table, stage.clock, Path())


@pytest.mark.parametrize("repair_as", [None, "somebody"])
def test_what_verify_finds_missing_is_a_gap_from_when_they_agreed(repair_as: str | None) -> None:
    stage = Stage(ManualClock(), shards=1)
    stage.clock.sleep(10)
    stage.put(range(3))
    stage.clock.sleep(60)
    stage.follow()
    agreed = int(stage.clock.now())
    assert verify(stage.vault(), around(stage), patience=1).different == 0
    stage.clock.sleep(100)
    stage.table.stream.enabled = False  # a write that the stream never tells
    stage.table.write([Put(images.image("z", 1, v={"N": "99"}))])
    stage.table.stream.enabled = True
    stage.clock.sleep(100)
    stage.follow()
    found = verify(stage.vault(), around(stage), patience=1, repair_as=repair_as)
    assert found.different == 1
    (gap,) = stage.vault().gaps.all()
    assert (gap.reason, gap.since) == (MISSED, agreed)
    assert gap.until >= agreed + 200
    window = stage.vault().window(stage.clock.now())
    assert all(each.until < agreed for each in window.ranges)
    assert window.open_gaps
    verify(stage.vault(), around(stage), patience=1, repair_as=repair_as)
    (again,) = stage.vault().gaps.all()
    assert (again.since, again.until >= gap.until) == (agreed, True)


# --- handovers ---


def test_of_several_shards_the_slowest_counts_when_a_function_takes_over() -> None:
    """The last mark says how far all shards were; one of them was written later, and tells nothing of the others."""
    stage = Stage(ManualClock(), shards=3)
    stage.clock.sleep(10)
    stage.put(range(9))
    stage.clock.sleep(60)
    stage.follow()
    proven = stage.vault().coverage.durable(stage.clock.now())
    stage.clock.sleep(600)
    stage.put([1])
    change = next(
        change
        for shard in stage.table.stream.facts().shards
        for change in stage.table.stream.read(shard.id, stage.table.stream.iterator(shard.id, None)).changes
        if change.seconds == int(stage.clock.now())
    )
    one = stage.segments()[0].shard
    log = stage.vault().log
    entry = log.read(next(each for each in log.listing() if each.segment and each.segment.shard == one))[0]
    later = msgspec.structs.replace(entry, sequence=str(int(entry.sequence) + 5), micros=change.micros)
    log.write_run([later], one, after=entry.sequence, writer="one")
    stage.clock.sleep(3 * DAY)
    gap = record_absence(stage.vault(), stage.vault().catalog.stream, stage.clock.now())
    assert gap is not None
    assert gap.since == proven


# --- what verify finds differing because the vault lags ---


def standing(stage: Stage) -> list[Gap]:
    return list(stage.vault().coverage.lost())


@pytest.fixture(params=list(Layout))
def lagging(request: pytest.FixtureRequest) -> Stage:
    """Vault and table agreed; then rows were changed, put and deleted, and nobody has read that yet."""
    stage = Stage(ManualClock(), shards=2, layout=request.param)
    stage.clock.sleep(10)
    stage.put(range(4))
    stage.clock.sleep(60)
    stage.follow()
    verify(stage.vault(), around(stage), patience=1)
    stage.clock.sleep(100)
    stage.put([1, 1, 7])
    stage.delete([2])
    stage.clock.sleep(100)
    return stage


def lose_a_change(stage: Stage, number: int) -> None:
    """A write that the stream never tells."""
    stage.table.stream.enabled = False
    stage.table.write([Put(images.image("z", number, v={"N": "99"}))])
    stage.table.stream.enabled = True


def test_a_gap_of_rows_whose_changes_were_on_their_way_closes_when_they_have_arrived(lagging: Stage) -> None:
    found = verify(lagging.vault(), around(lagging), patience=1)
    assert (found.different, found.missing, found.extra) == (1, 1, 1)
    assert any("closes by itself" in each for each in found.warnings)
    (gap,) = standing(lagging)
    lagging.clock.sleep(60)
    lagging.witness()
    assert not standing(lagging)
    assert any(each.since <= gap.since and gap.until <= each.until for each in lagging.vault().window(lagging.clock.now()).ranges)
    assert verify(lagging.vault(), around(lagging), patience=1).differences == 0


def test_a_reader_that_cannot_note_that_a_gap_is_closed_has_done_its_work_and_says_so(lagging: Stage) -> None:
    verify(lagging.vault(), around(lagging), patience=1)
    lagging.clock.sleep(60)
    report = lagging.follow(store=FaultyStore(lagging.store, lambda name: "/redriven/" in name))
    assert (report.caught_up, len(standing(lagging))) == (True, 1)
    assert [each for each in lagging.notices if "whether a gap of rows that differed is closed cannot be looked at" in each]
    lagging.follow()
    assert not standing(lagging)


def test_so_does_a_redrive(stage: FailingStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*_: object, **__: object) -> int:
        raise Unavailable("no answer")

    stage.give_up(stage.records(stage.write()))
    monkeypatch.setattr("backstream.operations.inspect.explained_gaps.note_explained", no_answer)
    report = stage.redrive()
    assert (report.redriven, report.left) == (1, [])
    (note,) = report.notes
    assert note.startswith("whether a gap of rows that differed is closed cannot be looked at: no answer")


def test_nothing_closes_before_a_reader_has_come_to_its_end(lagging: Stage) -> None:
    verify(lagging.vault(), around(lagging), patience=1)
    vault = lagging.vault()
    for shard in lagging.table.stream.facts().shards:
        read = lagging.table.stream.read(shard.id, lagging.table.stream.iterator(shard.id, None)).changes
        entries = [images_for(vault.store, vault.catalog).keep(each) for each in read]
        vault.log.write_batch(entries, SegmentKind.LAMBDA, writer="fn")
    verify(lagging.vault(), around(lagging), patience=1)
    assert len(standing(lagging)) == 1, "a function proves nothing about what it did not receive"
    lagging.clock.sleep(60)
    lagging.follow()
    assert not standing(lagging)


@pytest.mark.parametrize("repair_as", [None, "somebody"])
@pytest.mark.parametrize("changed_later", [True, False])
def test_a_loss_among_them_keeps_the_gap(lagging: Stage, repair_as: str | None, *, changed_later: bool) -> None:
    lose_a_change(lagging, 3)
    verify(lagging.vault(), around(lagging), patience=1, repair_as=repair_as)
    (gap,) = standing(lagging)
    if changed_later:
        lagging.put([3])
    lagging.clock.sleep(60)
    lagging.witness()
    verify(lagging.vault(), around(lagging), patience=1, repair_as=repair_as)
    (still,) = standing(lagging)
    assert (still.id, still.until >= gap.until) == (gap.id, True)


def test_a_loss_that_was_repaired_is_not_forgotten_when_other_rows_are_explained(lagging: Stage) -> None:
    """The first comparison found the loss. The second one found only rows that lag: their gap is the same, and longer."""
    lose_a_change(lagging, 3)
    verify(lagging.vault(), around(lagging), patience=1, repair_as="somebody")
    lagging.put([0])
    lagging.clock.sleep(10)
    verify(lagging.vault(), around(lagging), patience=1)
    lagging.clock.sleep(60)
    lagging.witness()
    verify(lagging.vault(), around(lagging), patience=1)
    assert len(standing(lagging)) == 1


def test_a_gap_found_again_after_it_was_closed_is_open(lagging: Stage) -> None:
    verify(lagging.vault(), around(lagging), patience=1)
    lagging.clock.sleep(60)
    lagging.witness()
    assert not standing(lagging)
    lose_a_change(lagging, 3)
    lagging.clock.sleep(60)
    verify(lagging.vault(), around(lagging), patience=1)
    lagging.clock.sleep(60)
    lagging.witness()
    assert len(standing(lagging)) == 1


def test_more_rows_than_a_gap_names_stay_a_gap(lagging: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.operations.compare.verify.MOST_DIFFERING", 2)
    verify(lagging.vault(), around(lagging), patience=1)
    lagging.clock.sleep(60)
    lagging.witness()
    (gap,) = standing(lagging)
    assert gap.differing is None


def test_what_differs_is_no_time_that_somebody_has_read(lagging: Stage) -> None:
    """The gap reaches until now, and the stream has been read only up to a second before: the rest is lost after a day."""
    lagging.follow()
    proven = lagging.vault().coverage.durable(lagging.clock.now())
    lagging.clock.sleep(100)
    lagging.put([0])
    verify(lagging.vault(), around(lagging), patience=1)
    assert {gap.since < (proven or 0) for gap in standing(lagging)} == {True}
    lagging.clock.sleep(2 * DAY)
    lagging.witness()
    assert proven in {gap.since for gap in standing(lagging) if gap.differing is None}
