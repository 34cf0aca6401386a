"""`erase --forget-future`: whatever brings changes of the subject later, nothing of them is kept, and nothing is missing."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backstream.errors import Damaged, Failed
from backstream.model.changes.change import Change, stream_label
from backstream.model.values import wire
from backstream.model.values.key_arguments import parse_partition
from backstream.operations.base.backfill import BackfillContext, Backfilled, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.compare.verify import verify
from backstream.operations.erase import EraseContext, Erased, EraseRequest, erase, verify_erasure
from backstream.ports import Delete, Put
from backstream.vault.catalog import Layout
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.erasures import partition_of
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.segments import SegmentKind
from kit import images
from kit.canary import CANARY, found_in
from kit.crashing import CrashingStore
from kit.lived import ITEMS, SMALL, all_changes, key, state
from kit.losing import lose
from kit.records import lambda_record
from kit.stage import Stage, wait_for
from operations.test_erase import SUBJECT, around, no_findings, run, with_subject
from operations.test_following_kinesis import Stage as KinesisStage
from operations.test_verify import surroundings

FORGET = EraseRequest(reason="asked for it", by="test", keys=(SUBJECT,), forget_future=True)
STEPS = ("put", "put", "delete", "others", "others", "follow", "dies", "function", "witness", "backfill", "compact", "erase")


class Later:
    """A table's life after the erasure. `forgotten`: how many changes were reported as discarded."""

    def __init__(self, seed: int, layout: Layout) -> None:
        self.source = random.Random(seed)
        self.stage, self.seconds = with_subject(layout)
        self.erasure: Erased = run(self.stage, request=FORGET)
        self.forgotten = self.others_erased = 0
        self.lives = True

    def play(self, steps: int) -> None:
        for _ in range(steps):
            getattr(self, self.source.choice(STEPS))()
            self.stage.clock.sleep(self.source.choice([1, 30, 2_000]))
        self.follow()
        self.stage.clock.sleep(100)
        self.follow()

    def put(self) -> None:
        """A change of the subject, which nobody is to see."""
        self.stage.table.write([Put(images.image(CANARY, 1, said={"S": f"{CANARY} {self.source.random()}"}))])
        self.lives = True

    def delete(self) -> None:
        if self.lives:
            self.stage.table.write([Delete(images.key(CANARY, 1))])
            self.lives = False

    def others(self) -> None:
        self.stage.put(self.source.sample(ITEMS, 3))
        self.seconds.append(int(self.stage.clock.now()))

    def follow(self) -> None:
        self.forgotten += self.stage.follow().forgotten

    def dies(self) -> None:
        """A tail that dies at one of its writes: the next one goes on."""
        store: Any = CrashingStore(self.stage.store, self.source.randrange(6), after=self.source.random() < 0.5)
        try:
            self.stage.follow(store=store, writer="dying")
        except Failed:
            return

    def function(self) -> None:
        self.forgotten += deliver(self.stage, self.source.sample(changes := all_changes(self.stage), min(9, len(changes))))

    def witness(self) -> None:
        self.forgotten += self.stage.witness().forgotten

    def backfill(self) -> None:
        self.forgotten += base_backup(self.stage).forgotten

    def compact(self) -> None:
        compact(self.stage.vault(), self.stage.clock, memory=SMALL)

    def erase(self) -> None:
        """Another subject, which never was."""
        self.others_erased += 1
        stranger = (key(100 + self.others_erased),)
        run(self.stage, request=EraseRequest(reason="another", by="test", keys=stranger, forget_future=True))


def base_backup(stage: Stage) -> Backfilled:
    source = scan_of(stage.vault(), stage.table, stage.clock, segments=2, max_units=None)
    return backfill(stage.vault(), source, BackfillContext(stage.clock), fresh=True)


def deliver(stage: Stage, changes: list[Change], vault: Any = None) -> int:
    """One batch as to a function; how many changes it discarded."""
    with ThreadPoolExecutor(2) as pool:
        records = [lambda_record(each, stage.table.stream.arn) for each in changes]
        label = stream_label(stage.table.stream.arn)
        report = keep_batch(
            vault or stage.vault(), records, label, pool, writer="fn", kind=SegmentKind.PARALLEL, now=stage.clock.now
        )
    assert not report.failures
    assert report.captured + report.forgotten == len(changes)
    return report.forgotten


@pytest.mark.parametrize("seed", range(6))
def test_whatever_brings_its_changes_later_they_are_discarded_and_nothing_is_missing(seed: int) -> None:
    world = Later(seed, list(Layout)[seed % 2])
    stage = world.stage
    before = stage.vault().window(stage.clock.now())
    world.put()
    world.play(25)
    assert found_in(stage.store) == []
    assert world.forgotten
    for at in world.seconds:
        assert state(stage.vault(), at) == {each: image for each, image in stage.expected(at).items() if each != SUBJECT}
    assert not any("gap" in each.lower() for each in stage.notices)
    no_findings(stage)
    window = stage.vault().window(stage.clock.now())
    assert list(window.gaps) == []
    assert window.durable is not None
    assert before.durable is not None
    assert window.durable > before.durable
    verified = verify_erasure(stage.vault(), world.erasure.id, around(stage))
    assert (list(verified.found), list(verified.unread), verified.new) == ([], [], 0)
    compared = verify(stage.vault(), surroundings(stage.table, stage.clock))
    assert (compared.missing, compared.extra, compared.different) == (0, 0, 0)


def test_a_tail_that_runs_learns_of_it_at_once() -> None:
    stage, _ = with_subject(Layout.LOG)
    with stage.running() as tail:
        stage.put([1])
        wait_for(lambda: key(1) in stage.captured())
        run(stage, request=FORGET)
        stage.table.write([Put(images.image(CANARY, 1, said={"S": CANARY}))])
        stage.put([2])
        wait_for(lambda: stage.captured().get(key(2)) == stage.expected()[key(2)])
    assert found_in(stage.store) == []
    assert tail.report is not None
    assert any("discarded from now on" in each for each in tail.notices)


def test_a_writer_that_did_not_know_is_found_out_and_the_same_command_mends_it() -> None:
    stage, _ = with_subject(Layout.ROWS)
    before = stage.vault()
    erased = run(stage, request=FORGET)
    stage.table.write([Put(images.image(CANARY, 1, said={"S": CANARY}))])
    mine = [each for each in all_changes(stage) if wire.key_of(images.SCHEMA, each.keys) == SUBJECT][-1:]
    assert deliver(stage, mine, before) == 0
    assert verify_erasure(stage.vault(), erased.id, around(stage)).found
    run(stage, request=FORGET)
    assert found_in(stage.store) == []
    assert list(verify_erasure(stage.vault(), erased.id, around(stage)).found) == []
    no_findings(stage)


def test_a_change_that_was_missing_and_turns_out_to_be_forgotten_closes_its_gap() -> None:
    stage, _ = with_subject(Layout.LOG)
    stage.table.write([Put(images.image(CANARY, 1, said={"S": CANARY}))])
    lost = [each for each in all_changes(stage) if wire.key_of(images.SCHEMA, each.keys) == SUBJECT][-1]
    vault = stage.vault()
    vault.gaps.record(Gap("not kept", lost.seconds, lost.seconds, lost.stream, sequence=lost.sequence))
    assert vault.window(stage.clock.now()).gaps
    run(stage, request=FORGET)
    assert stage.vault().window(stage.clock.now()).gaps
    assert deliver(stage, [lost]) == 1
    assert list(stage.vault().window(stage.clock.now()).gaps) == []
    compact(stage.vault(), stage.clock, memory=SMALL)
    assert list(stage.vault().window(stage.clock.now()).gaps) == []
    assert found_in(stage.store) == []


def test_new_items_of_a_forgotten_partition_are_discarded_too() -> None:
    stage, _ = with_subject(Layout.ROWS)
    run(stage, request=EraseRequest(reason="all of it", by="test", partition=CANARY, forget_future=True))
    stage.table.write([Put(images.image(CANARY, 77, said={"S": CANARY}))])
    assert stage.follow().forgotten >= 1
    assert base_backup(stage).forgotten >= 1
    assert found_in(stage.store) == []
    other = wire.key_of(images.SCHEMA, images.key(CANARY, 77))
    assert stage.vault().erasures.of(other) is not None
    assert partition_of(other) == parse_partition(images.SCHEMA, CANARY)


def test_a_subject_that_the_vault_never_held_can_be_forgotten() -> None:
    stage, _ = with_subject(Layout.LOG)
    stranger = wire.key_of(images.SCHEMA, images.key("nobody", 1))
    report = run(stage, request=EraseRequest(reason="asked before", by="test", keys=(stranger,), forget_future=True))
    assert (report.keys, report.forget_future) == (1, True)
    stage.table.write([Put(images.image("nobody", 1))])
    assert stage.follow().forgotten == 1


def test_the_salt_is_shared_so_that_a_key_is_hashed_once() -> None:
    stage, _ = with_subject(Layout.LOG)
    for number in (1, 2):
        run(stage, request=EraseRequest(reason="x", by="test", keys=(key(number),), forget_future=True))
    groups = stage.vault().forgotten.groups
    assert [len(each.keys) for each in groups] == [2]


def test_a_record_that_is_replaced_is_read_below_and_one_that_is_gone_stops_writers_until_it_is_written_anew() -> None:
    stage, _ = with_subject(Layout.LOG)
    run(stage, request=FORGET)
    digest = stage.vault().catalog.forgotten
    name = f"_backstream/flights/erasures/forgotten-{digest}.json"
    (written,) = (each.version for each in stage.store.versions_of(name))
    forgotten._known.clear()
    stage.store.put(name, b'{"format":1}', {})
    stage.follow()
    lose(stage.store, name, written)
    forgotten._known.clear()
    with pytest.raises(Damaged, match="another one than the catalog names"):
        stage.follow()
    run(stage, request=FORGET)
    forgotten._known.clear()
    stage.follow()


def test_changes_by_way_of_kinesis_are_discarded_and_the_proof_goes_on() -> None:
    stage = KinesisStage()
    for number in (1, 2):
        stage.write(number)
    stage.clock.move(400)
    stage.follow()
    held = stage.state()
    erased = next(iter(sorted(held)))
    request = EraseRequest(reason="asked for it", by="test", keys=(erased,), forget_future=True)
    erase(stage.vault, request, EraseContext(stage.clock, stage.store, SMALL))
    for number in (1, 2, 1):
        stage.write(number)
    stage.clock.move(400)
    report = stage.follow()
    assert report.forgotten in (1, 2)
    assert report.captured == 3 - report.forgotten
    assert sorted(stage.state()) == sorted(set(held) - {erased})
    assert stage.witness().missing == 0
    assert list(stage.vault().window(stage.clock.now()).gaps) == []
