"""`redrive` of batches of a Kinesis stream that two tables are written to: each table takes its own, and waits for nobody."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.model import moment
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.tables.setup import SetupStep
from backstream.operations.capture.redrive import Redriven, RedriveOptions, redrive
from backstream.operations.setup.init import InitOptions as InitWords
from backstream.operations.setup.init import init
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.kinesis import ARN, Record, Writes, record
from kit.states import state_at

BEGAN = 1_700_000_000
TABLES = ("flights", "gates")
FOLDER = "aws/lambda/5a5f0a9c/shardId-000000000000/"


def abandoned(records: Sequence[Record], arn: str = ARN) -> bytes:
    """What Lambda writes of a batch of a Kinesis stream.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    numbers = [each["kinesis"]["sequenceNumber"] for each in records]
    info = {
        "shardId": "shardId-000000000000",
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[-1],
        "approximateArrivalOfFirstRecord": moment.iso(BEGAN + 60),
        "approximateArrivalOfLastRecord": moment.iso(BEGAN + 61),
        "batchSize": len(records),
        "streamArn": arn,
    }
    context = {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3}
    told = {"requestContext": context, "version": "1.0", "timestamp": moment.iso(BEGAN + 90), "KinesisBatchInfo": info}
    return json.dumps({**told, "payload": json.dumps({"Records": records})}).encode()


class Shared:
    """Two tables in one vault, one Kinesis stream and one bucket for what Lambda gives up."""

    def __init__(self) -> None:
        self.clock = ManualClock(BEGAN)
        self.store, self.destination = MemoryStore(self.clock), MemoryStore(self.clock, versioned=False)
        self.writes = {name: Writes(name) for name in TABLES}
        for name in TABLES:
            table = MemoryTable(name, self.clock, images.SCHEMA)
            table.apply(SetupStep("", "dynamodb", "EnableKinesisStreamingDestination", {"TableName": name, "StreamArn": ARN}))
            init(self.store, table, InitWords(failures="s3://failed", kinesis=KinesisSource(ARN, 86_400)))
        self.clock.move(100)

    def vault(self, name: str) -> TableVault:
        return TableVault.open(self.store, name, lambda *_: self.destination, engines=LocalEngine)

    def write(self, seconds: int = 3) -> None:
        for second in range(seconds):
            for name in TABLES:
                self.writes[name].put(second, (BEGAN + 50 + second) * 1_000_000 + 7)

    def records(self, *tables: str) -> list[Record]:
        """As they lie in the stream: by turns."""
        turns = zip(*(self.writes[name].data for name in tables), strict=True)
        return [record(each, place) for place, each in enumerate(each for turn in turns for each in turn)]

    def give_up(self, name: str, records: Sequence[Record]) -> None:
        self.destination.put(FOLDER + name, abandoned(records))

    def redrive(self, name: str, *, dry_run: bool = False, give_up: Sequence[str] = ()) -> Redriven:
        return redrive(self.vault(name), RedriveOptions(dry_run=dry_run, give_up=give_up), self.clock, writer="redrive")

    def gaps(self, name: str) -> int:
        return len(self.vault(name).window(self.clock.now()).open_gaps)

    @property
    def waiting(self) -> list[str]:
        return [each.name for each in self.destination.list("")]


@pytest.fixture
def shared() -> Shared:
    return Shared()


def test_a_batch_of_two_tables_is_redriven_by_each_and_stays_for_the_other(shared: Shared) -> None:
    shared.write()
    shared.give_up("both", shared.records(*TABLES))
    assert [shared.gaps(name) for name in TABLES] == [1, 1]
    tried = shared.redrive("flights", dry_run=True)
    assert (tried.batches, tried.records, tried.captured) == (1, 3, 0)

    done = shared.redrive("flights")
    assert (done.batches, done.records, done.redriven, done.captured, done.left) == (1, 3, 1, 3, [])
    assert [shared.gaps(name) for name in TABLES] == [0, 1]
    assert shared.redrive("flights").batches == 0
    assert state_at(shared.vault("flights"), BEGAN + 51) == shared.writes["flights"].state(BEGAN + 51)

    assert shared.redrive("gates").captured == 3
    assert [shared.gaps(name) for name in TABLES] == [0, 0]
    assert state_at(shared.vault("gates"), BEGAN + 99) == shared.writes["gates"].state(BEGAN + 99)
    assert shared.waiting == [FOLDER + "both"], "nobody takes it from somebody else"


def test_a_batch_of_one_table_is_deleted_once_it_is_done(shared: Shared) -> None:
    shared.write()
    shared.give_up("one", shared.records("gates"))
    assert [shared.gaps(name) for name in TABLES] == [0, 1]
    assert shared.redrive("flights").batches == 0
    assert shared.redrive("gates").captured == 3
    assert shared.waiting == []


def test_a_record_that_cannot_be_read_may_be_anybodys(shared: Shared) -> None:
    shared.write()
    poison = record(b"no JSON", 99)
    shared.give_up("poison", [*shared.records("gates"), poison])
    report = shared.redrive("gates")
    assert (report.captured, len(report.left)) == (3, 1)
    assert shared.gaps("gates") >= 1
    given = shared.redrive("gates", give_up=[FOLDER + "poison"])
    assert (given.left, given.redriven) == ([], 1)


def test_a_stream_that_the_vault_does_not_take_its_changes_from_is_left_and_named(shared: Shared) -> None:
    shared.write()
    other = ARN.replace("changes", "others")
    records = [record(each, place, arn=other) for place, each in enumerate(shared.writes["flights"].data)]
    shared.destination.put(FOLDER + "other", abandoned(records, other))
    report = shared.redrive("flights")
    assert (report.captured, [each.batch for each in report.left]) == (0, [FOLDER + "other"])
