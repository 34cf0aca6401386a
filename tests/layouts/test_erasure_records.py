"""The records of erasures, as they were written once: they stay readable forever."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.stores.memory import MemoryStore
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.erasures import FOREVER, ErasedRow, Erasure, Erasures, Finished, TouchedObject
from backstream.vault.log import erased_lines
from fuzz.newer_records import CATALOG
from kit.clock import ManualClock

GOLDEN = Path(__file__).parents[1] / "golden"
ID = "20261130T085437Z-452049"
KEY, OTHER = b'{"zone":{"S":"z"},"number":{"N":"1"}}', b'{"zone":{"S":"z"},"number":{"N":"2"}}'
FOLDER = "_backstream/flights/"


def store_with(version: str, **names: str) -> MemoryStore:
    store = MemoryStore(ManualClock())
    for name, place in names.items():
        store.put(FOLDER + place, (GOLDEN / version / f"{name}.json").read_bytes())
    return store


def test_golden_erasure_of_the_first_format() -> None:
    passed = f"erasures/{ID}/pass-0123456789abcdef.json"
    store = store_with("erasure-1", begun=f"erasures/{ID}/begun.json", done=f"erasures/{ID}/done.json", **{"pass": passed})
    erasures = Erasures(store, "flights", [ID])
    found = erasures.of(KEY)
    assert found is not None
    assert (found.format, found.at, found.by, found.reason) == (
        1,
        "2026-11-30T08:54:30Z",
        "arn:aws:iam::000000000000:user/ops",
        "request 2026-118",
    )
    assert (found.forgets, found.partition, found.until) == (False, "", 1_796_028_870)
    assert (erasures.of(OTHER), found.of_object("flights/abc") in found.objects) == (None, True)
    assert [erasures.lacks_at(second) for second in (1_795_598_999, 1_795_599_000, 1_795_602_600, 1_795_606_200)] == [0, 1, 0, 1]
    finished = erasures.finished(ID)
    assert finished is not None
    assert (finished.at, finished.versions_removed, [each.versions for each in finished.objects]) == (
        "2026-11-30T08:54:41Z",
        4,
        [1, 3],
    )
    assert erasures.noted(ID) == [TouchedObject(f"{FOLDER}base/one/00000.ndjson.zst", lines=2)]
    assert erasures.open() == []
    again = MemoryStore(ManualClock())
    Erasures(again, "flights", []).begin(found)
    body = (GOLDEN / "erasure-1" / "begun.json").read_bytes()
    assert again.get(f"{FOLDER}erasures/{ID}/begun.json").body == body, "what is read is written again as it was"


def test_golden_record_of_the_lines_that_a_set_lacks() -> None:
    store = store_with("erasure-1", erased="compacted/00000004-0319c13cacdc/erased.json")
    place = f"{FOLDER}compacted/00000004-0319c13cacdc/"
    named = msgspec.json.decode(store.get(f"{place}erased.json").body, type=erased_lines.ErasedLines).erasure
    assert (erased_lines.taken(store, place, [named]), erased_lines.taken(store, place, [])) == (2, 0)


def test_golden_erasure_that_forgets_the_future() -> None:
    erasures = Erasures(store_with("erasure-2", begun=f"erasures/{ID}/begun.json"), "flights", [ID])
    found = erasures.read(ID)
    assert (found.format, found.until, erasures.until(KEY), erasures.until(OTHER)) == (2, FOREVER, FOREVER, FOREVER)
    assert erasures.of(b'{"zone":{"S":"y"},"number":{"N":"1"}}') is None


def test_golden_record_of_forgotten_items() -> None:
    body = (GOLDEN / "erasure-2" / "forgotten.json").read_bytes()
    record = msgspec.json.decode(body, type=forgotten.Forgotten)
    assert [record.has(key) for key in (KEY, OTHER, b'{"zone":{"S":"y"},"number":{"N":"1"}}')] == [True, True, False]
    assert record.waiting == {("2026-11-25T09:30:00.456", "100000000000000000001")}
    digest = forgotten.write(store := MemoryStore(ManualClock()), "flights", record)
    assert store.get(f"{FOLDER}erasures/forgotten-{digest}.json").body == body
    assert digest == hashlib.sha256(body).hexdigest()[:32]


@pytest.mark.parametrize("values", [b'"a"', b"[1,2]", b"[[],[]]"])
def test_a_record_of_countless_values_is_no_record(values: bytes) -> None:
    """Each value takes many times its bytes in memory, so they are counted before they are read."""
    many = b"[" + b",".join([values] * 2_000) + b"]"
    store = MemoryStore(ManualClock())
    store.put(f"{FOLDER}erasures/{ID}/begun.json", b'{"format":1,"rows":%s}' % many)
    with pytest.raises(Damaged, match=f"erasures/{ID}/begun.json: it has more values"):
        Erasures(store, "flights", [ID]).read(ID)
    body = b'{"format":1,"groups":[{"salt":"x","keys":%s}]}' % many
    digest = hashlib.sha256(body).hexdigest()[:32]
    store.put(f"{FOLDER}erasures/forgotten-{digest}.json", body)
    catalog = msgspec.structs.replace(CATALOG, forgotten=digest)
    with pytest.raises(Damaged, match="it has more values"):
        forgotten.load(store, catalog)


def test_a_record_of_many_items_with_many_lives_is_one() -> None:
    lived = tuple((1_796_000_000 + second, 1_796_000_001 + second) for second in range(0, 400, 2))
    rows = tuple(ErasedRow(f"{number:040x}", lived) for number in range(500))
    record = Erasure(1, ID, "2026-11-30T08:54:30Z", "", "", "ab", rows, tuple(each.key for each in rows))
    Erasures(store := MemoryStore(ManualClock()), "flights", [ID]).begin(record)
    assert Erasures(store, "flights", [ID]).read(ID) == record
    touched = tuple(TouchedObject(f"row {each.key}", 1, 2) for each in rows) * 4
    touched += tuple(TouchedObject(f"{FOLDER}log/{number}") for number in range(5_000))
    Erasures(store, "flights", [ID]).finish(done := Finished(1, ID, "2026-11-30T08:54:41Z", touched, 3))
    Erasures(store, "flights", [ID]).note(ID, touched)
    assert Erasures(store, "flights", [ID]).finished(ID) == done
    assert len(Erasures(store, "flights", [ID]).noted(ID)) == 5_500
    hashes = forgotten.SaltedHashes("ab", frozenset(each.key for each in rows), frozenset(each.key for each in rows))
    missing = frozenset(("2026-11-25T09:30:00.456", f"{number:021d}") for number in range(5_000))
    digest = forgotten.write(store, "flights", forgotten.Forgotten(1, (hashes,), missing))
    assert len(forgotten.load(store, msgspec.structs.replace(CATALOG, forgotten=digest)).waiting) == 5_000


def test_a_record_of_a_newer_format_is_refused() -> None:
    store = MemoryStore(ManualClock())
    newer = (GOLDEN / "erasure-2" / "begun.json").read_bytes().replace(b'"format":2', b'"format":3')
    store.put(f"{FOLDER}erasures/{ID}/begun.json", newer)
    with pytest.raises(Damaged, match="newer format"):
        Erasures(store, "flights", [ID]).read(ID)
