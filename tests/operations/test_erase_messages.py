"""`erase` finds its subject in the midst of messages, and takes no record of the vault itself for an item."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.erase import EraseContext, EraseRequest, erase, verify_erasure
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit.canary import CANARY, found_in
from kit.clock import ManualClock
from kit.feed import Feed
from kit.lived import SMALL
from kit.stage import Stage
from operations.test_erase import SUBJECT, around, no_findings, put, run, with_subject

ROW = f"flights/{CANARY} | 1"  # the name of its object, with --naming plain
OTHER = '{"zone":{"S":"z"},"number":{"N":"1"}}'
KEY = SUBJECT.decode()
MEASURED = {"id": "d", "began": "x", "at": "x", "passed": False, "rows": 5, "differences": 2, "rpo_seconds": 1, "rto_seconds": 1}


@pytest.fixture
def stage() -> tuple[Stage, int]:
    """A stage whose row objects have plain names, and a second of its time."""
    stage, seconds = with_subject(Layout.ROWS)
    init(stage.store, stage.table, InitOptions(naming=Naming.PLAIN))
    put(stage, "again")
    stage.follow()
    stage.clock.sleep(30)
    assert ROW in {each.name for each in stage.store.versions("flights/")}
    return stage, seconds[1]


def test_the_record_of_a_drill_that_failed_names_its_rows_in_sentences(stage: tuple[Stage, int]) -> None:
    lived, _ = stage
    record: dict[str, Any] = {
        **MEASURED,
        "reasons": [f"not in the live table as they were restored: 2 (2 different): {KEY}, {OTHER}", "the second one"],
        "failures": [{"what": ROW, "why": "x"}, {"what": "flights/z | 1", "why": "y"}],
        "findings": [{"object": "o", "why": f"{ROW} (version 1): bad"}],
        "error": f"it stopped at {KEY}!",
    }
    name = lived.vault().drills.keep("d", lived.clock.now(), json.dumps(record).encode())
    report = run(lived)
    assert (found_in(lived.store), list(report.left)) == ([], [])
    kept = msgspec.json.decode(lived.store.get(name).body)
    assert kept["reasons"] == [f"not in the live table as they were restored: 2 (2 different): (erased), {OTHER}", "the second one"]
    assert (kept["failures"], kept["error"]) == ([{"what": "flights/z | 1", "why": "y"}], "it stopped at (erased)!")
    verified = verify_erasure(lived.vault(), report.id, around(lived))
    assert (list(verified.found), list(verified.unread)) == ([], [])
    no_findings(lived)


def test_the_proof_finds_a_sentence(stage: tuple[Stage, int]) -> None:
    lived, _ = stage
    report = run(lived)
    lived.store.put("_backstream/flights/drills/20231114T221320.000Z_x.json", json.dumps({"error": f"lost: {KEY}"}).encode())
    lived.store.put("_backstream/flights/drills/20231114T221320.000Z_y.json", json.dumps({"error": f"lost: {ROW}"}).encode())
    verified = verify_erasure(lived.vault(), report.id, around(lived))
    assert len(verified.found) + verified.new == 2


def test_a_gap_whose_reason_names_the_subject_stays_a_gap(stage: tuple[Stage, int]) -> None:
    lived, second = stage
    gaps = lived.vault().gaps
    gaps.record(Gap(f"not kept: Failed: s3://b/{ROW}: denied", second, second, lived.vault().catalog.stream, sequence="77"))
    gaps.record(Gap(f"not kept: {KEY}: denied", second - 5, second + 5, lived.vault().catalog.stream))
    assert list(run(lived).left) == []
    assert found_in(lived.store) == []
    known = {(each.since - second, each.until - second, each.sequence, each.reason) for each in lived.vault().gaps.all()}
    assert known == {(0, 0, "77", "not kept: Failed: s3://b/(erased): denied"), (-5, 5, None, "not kept: (erased): denied")}
    no_findings(lived)


def test_a_record_whose_field_has_the_name_of_a_key_is_no_item() -> None:
    """The catalog has a field `table`, and so has each item of this table: the catalog once was erased as the item."""
    clock = ManualClock()
    store, schema = MemoryStore(clock), KeySchema(KeyAttribute("table", "S"))
    feed = Feed(store, "flights", began=int(clock.now()), schema=schema)
    image = b'{"table":{"S":"flights"},"said":{"S":"%s"}}' % CANARY.encode()
    feed.put(int(clock.now()) + 1, image)
    feed.deliver(now=clock.now() + 2)
    feed.reached(int(clock.now()) + 5)
    clock.sleep(10)
    request = EraseRequest(reason="asked for it", by="test", keys=(wire.key_of(schema, image),))
    report = erase(lambda: TableVault.open(store, "flights"), request, EraseContext(clock, store, SMALL))
    assert (found_in(store), list(report.left)) == ([], [])
    assert TableVault.open(store, "flights").catalog.table == "flights"
