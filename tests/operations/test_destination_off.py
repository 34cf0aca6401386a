"""A table that does not send its changes to its Kinesis stream for a while: the stream is open, silent, and tells nothing."""

from __future__ import annotations

import threading

import msgspec
import pytest

from backstream.errors import Failed, Refused
from backstream.model import moment
from backstream.model.tables.settings import KinesisDestination
from backstream.operations.base.backfill.report import BackfillContext
from backstream.operations.base.backfill.run import backfill
from backstream.operations.base.backfill.scan import scan_of
from backstream.operations.capture.follow import follow
from backstream.operations.doctor import Check, CheckVerdict
from backstream.operations.doctor import table as doctor_table
from backstream.operations.setup.destination import AGAIN, OFF
from backstream.vault.catalog import Layout
from kit import deployed
from kit.clock import ManualClock
from kit.kinesis import ARN
from operations.test_following_kinesis import Stage


def send(stage: Stage, *, on: bool) -> None:
    """Turn the table's Kinesis destination on or off. Nothing in the stream tells."""
    known = stage.table._settings
    assert known is not None
    destinations = [KinesisDestination(ARN, "MICROSECOND")] if on else []
    known.others = msgspec.structs.replace(known.others, kinesis_destinations=destinations)


@pytest.mark.parametrize("who", ["witness", "tail"])
@pytest.mark.parametrize("layout", list(Layout))
def test_an_hour_in_which_the_changes_were_not_sent_is_never_claimed(layout: Layout, who: str) -> None:
    stage = Stage(layout)
    look = stage.witness if who == "witness" else stage.follow
    stage.write(1)
    stage.clock.move(1000)
    look()
    proven = stage.vault().window(stage.clock.now()).durable
    send(stage, on=False)
    for _ in range(3):
        stage.clock.move(1000)
        with pytest.raises(Refused, match=f"do not go to .*; changes made since {moment.iso(proven or 0)} may be missing"):
            look()
        assert stage.vault().window(stage.clock.now()).durable == proven
    send(stage, on=True)
    stage.clock.move(100)
    off_until = int(stage.clock.now())
    for _ in range(3):
        look()
        stage.clock.move(1000)
    assert [(each.reason, each.since, each.until) for each in stage.vault().gaps.all() if each.reason == AGAIN] == [
        (AGAIN, proven, off_until)
    ]
    assert [each.until for each in stage.vault().window(stage.clock.now()).ranges] == [proven - 1 if proven else None]
    source = scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None)
    backfill(stage.vault(), source, BackfillContext(stage.clock))
    stage.clock.move(1000)
    look()
    ranges = stage.vault().window(stage.clock.now()).ranges
    assert len(ranges) == 2
    assert ranges[1].since > off_until
    send(stage, on=False)
    stage.clock.move(1000)
    with pytest.raises(Refused):
        look()
    assert {each.reason for each in stage.vault().gaps.all()} == {OFF, AGAIN}
    assert len(list(stage.vault().gaps.all())) == 3, "a second time is a gap of its own"


def test_a_base_backup_right_after_it_is_on_again_makes_up_for_it() -> None:
    stage = Stage()
    stage.write(1)
    stage.clock.move(1000)
    stage.witness()
    send(stage, on=False)
    stage.clock.move(1000)
    with pytest.raises(Refused):
        stage.witness()
    send(stage, on=True)
    stage.clock.move(1000)
    backfill(
        stage.vault(), scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock)
    )
    backed_up = stage.clock.now()
    stage.clock.move(1000)
    stage.witness()
    assert stage.vault().window(stage.clock.now()).open_gaps == []
    assert stage.vault().window(stage.clock.now()).ranges[-1].since <= backed_up + 2


def test_a_tail_claims_nothing_that_was_made_after_its_last_look_at_the_destination() -> None:
    """The changes are no longer sent, under a tail that runs: it ends, and the gap begins at what it had proven."""
    stage = Stage(shards=1)
    stage.write(1)
    stage.clock.move(1000)
    stage.witness()
    proven = stage.vault().window(stage.clock.now()).durable
    stop, seen, off_at = threading.Event(), 0, 0.0

    def turned_off(_: float) -> None:
        nonlocal seen, off_at
        seen += 1
        if seen == 40:
            off_at = stage.clock.now()
            send(stage, on=False)
        if seen > 4_000:
            stop.set()

    class Turning(ManualClock):
        def now(self) -> float:
            return stage.clock.now()

        def sleep(self, seconds: float) -> None:
            turned_off(seconds)
            stage.clock.move(max(seconds, 5.0))

    following = msgspec.structs.replace(stage.following(), clock=Turning(), stop=stop)
    with pytest.raises(Failed, match=r"do not go to .*: nothing more is claimed"):
        follow(stage.vault(), following, until_caught_up=False)
    off = next(each for each in stage.vault().gaps.all() if each.reason == OFF)
    durable = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    assert durable is not None
    assert off.since == durable
    assert proven < durable < off_at


def test_doctor_asks_for_the_destination_and_not_for_a_stream_of_the_tables_own() -> None:
    stage = Stage()
    asked = deployed.patient(
        deployed.Deployed(),
        stage.clock,
        stage.store,
        table_of=lambda _: stage.table,
        vault_of=lambda _: stage.vault(),
        stream_of=lambda _: stage.table.stream,
    )

    def checks() -> dict[str, Check]:
        return {each.name: each for each in doctor_table.of(asked, "flights")[2]}

    assert (checks()["stream"].verdict, checks()["catalog"].verdict) == (CheckVerdict.OK, CheckVerdict.OK)
    stage.table.enable_stream()
    assert checks()["catalog"].verdict is CheckVerdict.OK, "it may have a stream of its own, which nobody follows"
    send(stage, on=False)
    found = checks()["stream"]
    assert (found.verdict, "do not go to" in found.found, "enable-kinesis-streaming-destination" in found.mend) == (
        CheckVerdict.WRONG,
        True,
        True,
    )
