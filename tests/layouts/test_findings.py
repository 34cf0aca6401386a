"""Findings of `blame` beside the log: what format 1 wrote is read for ever, and which of several findings counts."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.operations.inspect.actors import Actors, AttributedEntry
from backstream.stores.memory import MemoryStore
from backstream.vault.attribution import findings
from backstream.vault.attribution.findings import AttributionStore, Caller, FindingSummary, KeptFinding, better
from kit.clock import ManualClock

GOLDEN = Path(__file__).parents[1] / "golden" / "actors-1" / "20261123T041533Z-20261123T041540Z_3_5dd53e91c5487c1a.ndjson.zst"
T = 1_795_407_333
CALL = Caller(
    event_time="2026-11-23T04:15:33Z",
    event_name="UpdateItem",
    arn="arn:aws:sts::123456789012:assumed-role/deploy/ci-42",
    type="AssumedRole",
    session_issuer="arn:aws:iam::123456789012:role/deploy",
    access_key_id="ASIADEPLOY",
    source_ip_address="192.0.2.7",
    user_agent="aws-cli/2.15.0",
    request_id="REQUEST1",
    event_id="00000000-0000-4000-8000-000000000001",
)
MATCH = KeptFinding(
    "2026-11-23T00:00:00.000",
    "1000000000000000000000001",
    T * 1_000_000,
    CALL.arn,
    (CALL.arn, CALL.session_issuer, CALL.access_key_id),
    CALL,
    settled=True,
    delivered=T + 1_200,
)
AMBIGUOUS = KeptFinding(MATCH.stream, "1000000000000000000000002", MATCH.micros, None, fitting=2, delivered=T + 300)
ONE_PRINCIPAL = KeptFinding(MATCH.stream, "1000000000000000000000003", MATCH.micros + 7_000_000, "arn:a", ("arn:a",), fitting=3)
OTHER = msgspec.structs.replace(MATCH, actor="arn:other", names=("arn:other",))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ManualClock(T))


def counts(store: MemoryStore, of: KeptFinding = MATCH) -> FindingSummary | None:
    """What a reader finds of the change."""
    return AttributionStore(store, "flights").of(of.stream, of.sequence, of.micros)


def test_golden_findings_of_format_1() -> None:
    assert findings.decode(GOLDEN.read_bytes(), GOLDEN.name, "1") == [MATCH, AMBIGUOUS, ONE_PRINCIPAL]


def test_they_lie_under_the_hour_of_their_changes_and_are_written_once(store: MemoryStore) -> None:
    kept = [MATCH, AMBIGUOUS, ONE_PRINCIPAL]
    AttributionStore(store, "flights").keep(kept)
    (name,) = [each.name for each in store.list("")]
    assert name == f"_backstream/flights/actors/dt=2026-11-23/hour=04/{GOLDEN.name}"
    assert findings.decode(store.get(name).body, name, "1") == kept
    assert store.get(name).info.metadata == {"format": "1"}
    AttributionStore(store, "flights").keep(reversed(kept))  # type: ignore[arg-type]
    assert len(list(store.versions(""))) == 1
    assert [counts(store, each) for each in kept] == [each.found for each in kept]
    assert counts(store, msgspec.structs.replace(MATCH, sequence="5")) is None
    assert AttributionStore(store, "other").of(MATCH.stream, MATCH.sequence, MATCH.micros) is None


def test_findings_of_two_hours_are_two_objects(store: MemoryStore) -> None:
    later = msgspec.structs.replace(AMBIGUOUS, micros=AMBIGUOUS.micros + 3_600_000_000)
    AttributionStore(store, "flights").keep([MATCH, later])
    assert len(list(store.list(""))) == 2
    assert (counts(store), counts(store, later)) == (MATCH.found, later.found)


def test_what_was_found_upon_more_counts_in_whatever_order(store: MemoryStore) -> None:
    unsettled = msgspec.structs.replace(OTHER, settled=False, delivered=T + 5_000)
    newer = msgspec.structs.replace(OTHER, delivered=T + 9_000)
    for each in (unsettled, MATCH):
        AttributionStore(store, "flights").keep([each])
    assert counts(store) == MATCH.found
    AttributionStore(store, "flights").keep([newer])
    assert counts(store) == newer.found
    for order in itertools.permutations([unsettled, MATCH, newer]):
        found: FindingSummary | None = None
        for each in order:
            found = better(found, each.found)
        assert found == newer.found


def test_two_that_contradict_each_other_name_nobody() -> None:
    for one, other in itertools.permutations([MATCH.found, OTHER.found]):
        found = better(better(None, one), other)
        assert (found.actor, found.names, found.event, found.fitting) == (None, (), "", 2)
        assert better(found, one).actor is None
    assert better(MATCH.found, MATCH.found) == MATCH.found


@pytest.mark.parametrize(
    ("body", "of_format", "why"),
    [
        (GOLDEN.read_bytes()[:-3], "1", "not findings"),
        (b"", "1", "not findings"),
        (findings.encode([msgspec.structs.replace(MATCH, sequence="x")]), "1", "sequence number"),
        (findings.encode([MATCH] * 10_001), "1", "more than 10,000 findings"),
        (findings.encode([msgspec.structs.replace(MATCH, actor="x" * (8 << 20))] * 9), "1", "decompressed: it is larger"),
        (GOLDEN.read_bytes(), "2", "format 2"),
        (GOLDEN.read_bytes(), "", "format unknown"),
    ],
    ids=["cut", "empty", "sequence", "many", "large", "newer", "unknown"],
)
def test_what_is_none_is_damaged_and_named(store: MemoryStore, body: bytes, of_format: str, why: str) -> None:
    name = f"_backstream/flights/actors/dt=2026-11-23/hour=04/{GOLDEN.name}"
    store.put(name, body, {"format": of_format} if of_format else {})
    with pytest.raises(Damaged, match=why) as damaged:
        counts(store)
    assert name in damaged.value.message


@pytest.mark.parametrize(
    "name", ["readme.txt", "dt=2026-11-23/hour=04/20261323T041533Z-20261123T041540Z_3_9f0d6c0de0d5cb9c.ndjson.zst"]
)
def test_a_foreign_object_among_them_is_named(store: MemoryStore, name: str) -> None:
    store.put(f"_backstream/flights/actors/{name}", b"?")
    with pytest.raises(Damaged, match="a foreign object among the findings of blame"):
        counts(store)


def test_others_count_beside_what_is_foreign_or_damaged(store: MemoryStore) -> None:
    """Each such object is named at each question; none hides what is sound."""
    AttributionStore(store, "flights").keep([MATCH, AMBIGUOUS])
    folder = "_backstream/flights/actors/"
    (kept,) = [each.name for each in store.list(folder)]
    planted = [f"{folder}a.txt", f"{folder}dt=2026-11-23/hour=04/notes", f"{folder}dt=2026-11-23/hour=04/{GOLDEN.name}"]
    for name in planted:
        store.put(name, b"?")
    store.put(kept, findings.encode([OTHER]), {"format": "1"})  # a second version of what is written once
    asked = AttributionStore(store, "flights")
    for each in (MATCH, AMBIGUOUS):
        said: list[str] = []
        assert asked.of(each.stream, each.sequence, each.micros, lambda error, said=said: said.append(error.message)) == each.found  # type: ignore[misc]
        assert len(said) == 4
        assert all(any(name in line for line in said) for name in (*planted, kept))


def test_the_annotations_of_others_are_shown_beside_a_foreign_object(store: MemoryStore) -> None:
    AttributionStore(store, "flights").keep([MATCH])
    store.put("_backstream/flights/actors/a.txt", b"?")
    told: list[Damaged] = []
    change = AttributedEntry(MATCH.stream, MATCH.sequence, MATCH.micros, None, None)
    assert Actors(None, AttributionStore(store, "flights"), told.append).of(change) == MATCH.actor
    assert ["a.txt" in each.message for each in told] == [True]


def test_a_reader_holds_little_of_large_findings(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may add findings can make each of them large."""
    monkeypatch.setattr(findings, "_AT_HAND", 2_000)
    asked = AttributionStore(store, "flights")
    for number in range(100, 120):
        large = msgspec.structs.replace(MATCH, actor=f"{number}" + "x" * (1 << 20), sequence=f"{number}{'0' * 20}")
        asked.keep([large])
    tracemalloc.start()
    try:
        assert asked.of(MATCH.stream, MATCH.sequence, MATCH.micros) is None
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
