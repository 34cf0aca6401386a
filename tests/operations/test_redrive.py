"""`redrive` and the gaps until then: what Lambda gave up is missing, is seen to be, and comes back in its place."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import AccessDenied, GapInTheWay, MissingBucket, UsageError
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.operations.capture.redrive import RedriveOptions as RedriveWords
from backstream.operations.capture.redrive import redrive
from backstream.operations.inspect import safety
from backstream.operations.inspect.status import status
from backstream.operations.setup.init import NOWHERE, InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit import images
from kit.crashing import CrashingStore
from kit.mapping import Record
from kit.redriving import FAILED, FOLDER, FailingStage

SECRET = "4111-1111-1111-1111"  # noqa: S105 - not one


@pytest.fixture(params=list(Layout))
def stage(request: pytest.FixtureRequest) -> FailingStage:
    """Three items of which the function has kept the first changes."""
    made = FailingStage(layout=request.param)
    made.keep(made.write(3))
    return made


def poisoned(record: Record) -> Record:
    """The record without its image; the number and time stay."""
    body = {name: value for name, value in record["dynamodb"].items() if name not in ("NewImage", "OldImage")}
    return {**record, "dynamodb": {**body, "NewImage": {"card": {"S": {"deep": SECRET}}}}}


def on_top(stage: FailingStage, number: int) -> bytes:
    """What a plain S3 client finds at an item's object, in the rows layout."""
    key = wire.key_of(images.SCHEMA, images.key("z", number))
    return stage.store.get(naming.object_name("flights", naming.Naming.SHA256, key)).body


# --- the gap ----------------------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_a_gap_until_it_is_redriven(stage: FailingStage) -> None:
    lost = stage.write(2)
    stage.give_up(stage.records(lost))
    stage.keep(stage.write(2))
    window = stage.window()
    (gap,) = window.open_gaps
    assert (gap.since, gap.until) == (lost[0].seconds, lost[-1].seconds)
    assert "RetryAttemptsExhausted" in gap.reason
    assert "redrive flights" in gap.reason
    assert window.until == lost[0].seconds - 1
    with pytest.raises(GapInTheWay):
        safety.check_table("flights", lost[-1].seconds, window, allow_gap=False)
    assert safety.check_table("flights", lost[-1].seconds, window, allow_gap=True)
    shown = status(stage.vault(), now=stage.clock.now())
    assert [(each.since, each.reason) for each in shown.gaps] == [(str(gap).split(" to ")[0], gap.reason)]
    assert (shown.failures, shown.unseen) == (FAILED, [])

    report = stage.redrive()
    assert (report.batches, report.records, report.captured, report.redriven, report.left) == (1, 6, 6, 1, [])
    assert stage.waiting() == []
    assert stage.window().open_gaps == []
    assert (stage.window().until or 0) > lost[-1].seconds
    assert stage.captured() == stage.expected()
    for second in range(lost[0].seconds, lost[-1].seconds + 1):
        assert stage.captured(second) == stage.expected(second)


def test_the_newer_version_stays_on_top() -> None:
    stage = FailingStage(layout=Layout.ROWS)
    lost = stage.write(2)
    stage.give_up(stage.records(lost))
    stage.keep(stage.write(1))
    stage.redrive()
    for key, image in stage.expected().items():
        assert on_top(stage, json.loads(key)["number"]["N"]) == image


def test_a_base_backup_after_it_makes_up_for_it(stage: FailingStage) -> None:
    """Whoever asks the log what it has lost is told of it, as a base backup does that is to begin behind every gap."""
    lost = stage.write(1)
    stage.give_up(stage.records(lost))
    assert max(gap.until for gap in stage.vault().coverage.lost()) == lost[-1].seconds


def test_twice_and_in_any_order(stage: FailingStage) -> None:
    first, second = stage.write(2), stage.write(2)
    stage.give_up(stage.records(second), name="a")
    stage.give_up(stage.records(first), name="b")
    copy = stage.destination.get(FOLDER + "a").body
    stage.redrive()
    stage.destination.put(FOLDER + "a", copy)
    report = stage.redrive()
    assert (report.redriven, report.left) == (1, [])
    assert stage.redrive().batches == 0
    assert stage.captured() == stage.expected()
    assert stage.window().open_gaps == []


def test_a_dry_run_changes_nothing(stage: FailingStage) -> None:
    stage.give_up(stage.records(stage.write(1)))
    before = [each.version for each in stage.store.versions("")]
    report = stage.redrive(dry_run=True)
    assert (report.batches, report.records, report.captured, report.left, report.dry_run) == (1, 3, 0, [], True)
    assert [each.version for each in stage.store.versions("")] == before
    assert len(stage.waiting()) == 1


# --- whose is it ------------------------------------------------------------------------------------------------------------------


def test_other_tables_objects_are_not_touched(stage: FailingStage) -> None:
    records = stage.records(stage.write(1))
    name = stage.give_up(records)
    record = stage.destination.get(name).body
    foreign = {
        "another table": record.replace(b":table/flights/", b":table/flights-archive/"),
        "another account": record.replace(b":000000000000:table", b":111122223333:table"),
        "a kinesis stream of another table": of_kinesis("gates"),
    }
    assert record not in foreign.values()
    for each, body in foreign.items():
        stage.destination.put(FOLDER + each, body)
    stage.destination.put("other/objects", b"")
    stage.destination.put("aws/lambda/async/drills/2026/11/23/x", b"{}")
    assert len(stage.window().open_gaps) == 1
    assert stage.redrive().batches == 1
    others = [*(FOLDER + each for each in foreign), "other/objects", "aws/lambda/async/drills/2026/11/23/x"]
    assert stage.waiting() == sorted(others)


def of_kinesis(table: str) -> bytes:
    """A batch of a Kinesis stream that carries a table's changes."""
    change = {"tableName": table, "dynamodb": {"ApproximateCreationDateTime": 1_700_000_012_345_678, "Keys": {}}}
    data = base64.b64encode(json.dumps(change).encode()).decode()
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"
    event = {"Records": [{"eventSource": "aws:kinesis", "eventSourceARN": arn, "kinesis": {"data": data, "sequenceNumber": "1"}}]}
    info = {"streamArn": arn, "batchSize": 1, "approximateArrivalOfFirstRecord": "2023-11-14T22:14:00Z"}
    return json.dumps({"KinesisBatchInfo": info, "payload": json.dumps(event)}).encode()


def test_a_batch_of_a_kinesis_stream_counts_from_when_its_changes_were_made(stage: FailingStage) -> None:
    stage.destination.put(FOLDER + "k", of_kinesis("flights"))
    (gap,) = stage.window().open_gaps
    assert (gap.since, gap.until) == (1_700_000_012, 1_700_000_012)


# --- what is not as it should be --------------------------------------------------------------------------------------------------


def without(field: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The record without one of its fields."""
    return lambda record: {name: value for name, value in record.items() if name != field}


@pytest.mark.parametrize("change", [lambda record: record, lambda record: {"payload": record.pop("payload"), **record}])
@pytest.mark.parametrize("payload", [json.dumps, lambda event: event, lambda event: event["Records"]])
def test_the_payload_as_text_or_as_it_is_wherever_it_stands(
    stage: FailingStage, change: Callable[[Any], Any], payload: Callable[[Any], Any]
) -> None:
    name = stage.give_up(stage.records(stage.write(1)))
    record = json.loads(stage.destination.get(name).body)
    record["payload"] = payload(json.loads(record["payload"]))
    stage.destination.put(name, json.dumps(change(record)).encode())
    (gap,) = stage.window().open_gaps
    assert gap.since == stage.changes()[-1].seconds
    assert stage.redrive().left == []
    assert stage.captured() == stage.expected()


def test_without_its_batch_info_the_records_tell(stage: FailingStage) -> None:
    lost = stage.write(2)
    name = stage.give_up(stage.records(lost))
    record = without("DDBStreamBatchInfo")(json.loads(stage.destination.get(name).body))
    stage.destination.put(name, json.dumps(record).encode())
    (gap,) = stage.window().open_gaps
    assert (gap.since, gap.until) == (lost[0].seconds, lost[-1].seconds)
    assert stage.redrive().left == []


def cut_off(body: bytes) -> bytes:
    """Broken off within the payload."""
    return body[: body.index(b'"payload"') + 300]


def as_to_a_queue(body: bytes) -> bytes:
    """As Lambda sends it to SQS and SNS."""
    return json.dumps(without("payload")(json.loads(body))).encode()


@pytest.mark.parametrize("spoil", [cut_off, as_to_a_queue])
def test_a_record_that_lacks_its_payload_is_a_gap_and_is_named(stage: FailingStage, spoil: Callable[[bytes], bytes]) -> None:
    lost = stage.write(2)
    name = stage.give_up(stage.records(lost))
    stage.destination.put(name, spoil(stage.destination.get(name).body))
    report = stage.redrive()
    assert [(each.batch, each.sequence) for each in report.left] == [(name, None)]
    (gap,) = stage.window().open_gaps
    assert (gap.since, gap.until) == (lost[0].seconds, lost[-1].seconds)
    assert stage.waiting() == [name]


def test_a_payload_that_lacks_records_of_its_batch_is_not_taken_for_all_of_it(stage: FailingStage) -> None:
    name = stage.give_up(stage.records(stage.write(1)))
    stage.destination.put(name, stage.destination.get(name).body.replace(b'"batchSize": 3', b'"batchSize": 4'))
    (left,) = stage.redrive().left
    assert "3 records of a batch of 4" in left.why
    assert stage.waiting() == [name]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"payload":"{"}', b"\x00" * 9000, b'{"DDBStreamBatchInfo":7}'])
def test_an_object_that_cannot_be_read_is_a_gap_of_a_day(stage: FailingStage, body: bytes) -> None:
    stage.manual.move(90_000)
    stage.destination.put(FOLDER + "odd", body)
    (gap,) = [each for each in stage.window().gaps if "odd" in each.reason]
    assert (gap.since, gap.until) == (int(stage.clock.now()) - 86_400, int(stage.clock.now()))
    report = stage.redrive()
    assert [each.batch for each in report.left] == [FOLDER + "odd"]
    assert stage.redrive(give_up=[FOLDER + "odd"]).left == []
    assert stage.waiting() == []
    (kept,) = [each for each in stage.window().gaps if "odd" in each.reason]
    assert (kept.since, kept.until) == (gap.since, gap.until), "the vault alone says it now"


# --- poison -----------------------------------------------------------------------------------------------------------------------


def test_a_poison_record_is_named_and_the_rest_is_kept(stage: FailingStage) -> None:
    lost = stage.write(1)
    records = stage.records(lost)
    records[1] = poisoned(records[1])
    name = stage.give_up(records)
    report = stage.redrive()
    assert (report.records, report.captured, report.redriven) == (3, 2, 0)
    (left,) = report.left
    assert (left.batch, left.sequence) == (name, lost[1].sequence)
    assert SECRET not in left.why
    assert stage.waiting() == [name]
    assert stage.window().open_gaps
    others = {key: image for key, image in stage.expected().items() if b'"2"' not in key}
    assert {key: image for key, image in stage.captured().items() if b'"2"' not in key} == others

    report = stage.redrive(give_up=[lost[1].sequence])
    assert (report.given_up, report.left, report.not_found) == ([lost[1].sequence], [], [])
    assert stage.waiting() == []
    (gap,) = stage.window().open_gaps
    assert (gap.since, gap.until) == (lost[1].seconds, lost[1].seconds)
    assert SECRET not in gap.reason
    assert stage.redrive(give_up=[lost[1].sequence]).not_found == [lost[1].sequence]


def test_a_poison_record_without_a_number_is_given_up_by_its_object(stage: FailingStage) -> None:
    records = stage.records(stage.write(1))
    del records[2]["dynamodb"]["SequenceNumber"]
    name = stage.give_up(records)
    (left,) = stage.redrive().left
    assert (left.batch, left.sequence) == (name, None)
    assert "record 3" in left.why
    report = stage.redrive(give_up=[name])
    assert (report.given_up, report.left) == ([name], [])
    assert stage.waiting() == []
    assert stage.window().open_gaps


# --- crashes and failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies", ["vault", "destination"])
def test_killed_at_each_of_its_writes(dies: str, after: bool) -> None:  # noqa: FBT001 - a parameter of the test
    for writes in range(1, 30):
        stage = FailingStage(layout=Layout.ROWS)
        for _ in range(2):
            stage.give_up(stage.records(stage.write(1)))
        stage.keep(stage.write(1))
        inner = stage.store if dies == "vault" else stage.destination
        dying = CrashingStore(inner, writes, after=after)
        left = (stage.redrive(store=dying) if dies == "vault" else stage.redrive(destination=dying)).left
        known = {entry.sequence for listed in stage.vault().log.listing() for entry in stage.vault().log.read(listed)}
        missing = [change.seconds for change in stage.changes() if change.sequence not in known]
        until = stage.window().until
        assert until is None or not missing or until < min(missing)
        assert stage.redrive().left == []
        assert stage.captured() == stage.expected()
        assert stage.window().open_gaps == []
        if not left:
            assert writes > 2
            return
    raise AssertionError("it never came to its end")


def test_two_at_once(stage: FailingStage) -> None:
    for _ in range(6):
        stage.give_up(stage.records(stage.write(2)))
    with ThreadPoolExecutor(2) as pool:
        reports = [each.result() for each in [pool.submit(stage.redrive) for _ in range(2)]]
    assert [each.left for each in reports] == [[], []]
    assert stage.waiting() == []
    assert stage.captured() == stage.expected()
    assert stage.window().open_gaps == []


def test_a_store_that_fails_ends_it_and_what_was_not_come_to_is_named(stage: FailingStage) -> None:
    names = [stage.give_up(stage.records(stage.write(1)), name=str(number)) for number in range(3)]
    report = stage.redrive(store=CrashingStore(stage.store, 1, after=False))
    assert [each.batch for each in report.left] == names
    assert stage.waiting() == names


class Closed(MemoryStore):
    """A bucket in another account."""

    def __init__(self, stage: FailingStage, error: Exception) -> None:
        super().__init__(stage.clock)
        self._error = error

    def list(self, _prefix: str, *, after: str = "") -> Any:
        assert not after
        raise self._error


class Deep(MemoryStore):
    """A bucket of which the names may be listed, and nothing be read."""

    def get_range(self, name: str, start: int, length: int) -> bytes:
        raise AccessDenied(f"no right to {name} ({start}, {length})")


@pytest.mark.parametrize("error", [AccessDenied("not yours"), MissingBucket("gone")])
def test_a_reader_that_cannot_look_says_so_and_goes_on(stage: FailingStage, error: Exception) -> None:
    vault = TableVault.open(stage.store, "flights", lambda *_: Closed(stage, error), engines=LocalEngine)
    window = vault.window(stage.clock.now())
    assert window.open_gaps == []
    assert FAILED in window.unseen
    at = stage.changes()[0].seconds
    assert any(FAILED in each for each in safety.check_table("flights", at, window, allow_gap=False))
    assert len(status(vault, now=stage.clock.now()).unseen) == 1
    nobody = TableVault.open(stage.store, "flights", engines=LocalEngine).window(stage.clock.now())
    assert FAILED in nobody.unseen


def test_an_object_that_may_not_be_read_is_a_gap(stage: FailingStage) -> None:
    stage.destination = Deep(stage.clock)
    stage.give_up(stage.records(stage.write(1)))
    (gap,) = stage.window().open_gaps
    assert "no right to" in gap.reason


# --- where it lands ---------------------------------------------------------------------------------------------------------------


def test_the_catalog_learns_and_forgets_where(stage: FailingStage) -> None:
    versions = len(catalogs.every_version(stage.store, "flights"))
    again = init(stage.store, stage.table, InitOptions(failures=FAILED))
    assert again.changes == []
    forgot = init(stage.store, stage.table, InitOptions(failures=NOWHERE))
    assert forgot.catalog.failures is None
    assert len(forgot.changes) == 1
    assert len(catalogs.every_version(stage.store, "flights")) == versions + 1
    stage.give_up(stage.records(stage.write(1)))
    assert stage.window().open_gaps == []
    with pytest.raises(UsageError):
        stage.redrive()
    report = redrive(stage.vault(), RedriveWords("s3://said"), stage.clock, writer="r")
    assert (report.captured, report.left) == (3, [])


def test_what_waits_is_read_once(stage: FailingStage) -> None:
    class Counted(MemoryStore):
        reads = 0

        def get_range(self, name: str, start: int, length: int) -> bytes:
            self.reads += 1
            return super().get_range(name, start, length)

    counted = stage.destination = Counted(stage.clock)
    for _ in range(3):
        stage.give_up(stage.records(stage.write(1)))
    vault = stage.vault()
    for _ in range(3):
        assert len(vault.window(stage.clock.now()).open_gaps) == 3
    assert counted.reads == 3
    stage.redrive()
    assert vault.window(stage.clock.now()).open_gaps == []


def test_an_empty_destination_costs_one_listing(stage: FailingStage) -> None:
    class Counted(MemoryStore):
        asked = 0

        def list(self, prefix: str, *, after: str = "") -> Any:
            self.asked += 1
            return super().list(prefix, after=after)

    counted = Counted(stage.clock)
    stage.vault(destination=counted).window(stage.clock.now())
    assert counted.asked == 1
