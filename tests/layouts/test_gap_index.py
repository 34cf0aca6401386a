"""Gaps folded into an index: nothing that still matters is lost, whoever records, folds, hides or plants meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.stores.memory import MemoryStore
from backstream.vault.gaps import gaps as gaps_module
from backstream.vault.gaps.gap import Gap
from backstream.vault.gaps.gaps import Gaps
from backstream.vault.gaps.index import FoldedGap, GapIndex, GapIndexes
from kit.clock import ManualClock
from kit.counted import CountedStore

TABLE = "flights"
GAPS = f"_backstream/{TABLE}/gaps/"
INDEXES = f"_backstream/{TABLE}/compacted/gaps/"
STREAM = "2026-11-01T00:00:00.000"
NUMBERS = range(6)
GOLDEN = Path(__file__).parents[1] / "golden" / "gap-index-1" / "00000001.json.zst"


@pytest.fixture(autouse=True)
def few_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold of a few records, so that a test of it is small."""
    monkeypatch.setattr(gaps_module, "FOLDED_TOGETHER", 2)


def of_change(number: int, until: int = 100) -> Gap:
    return Gap("not kept", 100, until, STREAM, None, str(10**20 + number))


def closed_are(*numbers: int) -> Callable[[Sequence[Gap]], Sequence[Gap]]:
    """What `fold` is told: all stand but those of these changes."""
    closed = {of_change(each).id for each in numbers}
    return lambda gaps: [gap for gap in gaps if gap.id not in closed]


def known(store: MemoryStore) -> set[Gap]:
    """What a new process reads."""
    return set(Gaps(store, TABLE).all())


def folded(*, closed: Sequence[int] = (), numbers: Sequence[int] = NUMBERS) -> MemoryStore:
    store = MemoryStore(ManualClock())
    gaps = Gaps(store, TABLE)
    for each in numbers:
        gaps.record(of_change(each))
    assert gaps.fold(closed_are(*closed)) == len(numbers)
    return store


def test_closed_ones_are_read_no_more_and_all_others_are() -> None:
    store = CountedStore(folded(closed=[0, 1, 2]))
    assert set(Gaps(store, TABLE).all()) == {of_change(3), of_change(4), of_change(5)}
    assert store.requests == {"LIST": 4, "GET": 1}


def test_what_is_recorded_later_adds_to_the_index_and_is_folded_with_it() -> None:
    store = folded(closed=[0])
    gaps = Gaps(store, TABLE)
    gaps.record(of_change(7))
    gaps.record(of_change(8))
    assert known(store) == {*map(of_change, (1, 2, 3, 4, 5, 7, 8))}
    assert gaps.fold(closed_are(0, 1, 7)) == 2
    assert known(store) == {*map(of_change, (2, 3, 4, 5, 8))}
    assert Gaps(store, TABLE).fold(closed_are()) == 0, "nothing is new"


def test_one_that_grows_is_as_long_as_it_was_ever_known_to_be() -> None:
    """One that was closed before stands again as it is found now: whether its changes are there is asked of the log."""
    store = folded(closed=[0])
    gaps = Gaps(store, TABLE)
    gaps.record(of_change(1, until=200))
    gaps.record(of_change(2, until=50))
    gaps.record(of_change(0, until=300))
    assert {gap.id: gap.until for gap in Gaps(store, TABLE).all()} == {
        of_change(each).id: until for each, until in ((0, 300), (1, 200), (2, 100), (3, 100), (4, 100), (5, 100))
    }
    gaps.record(of_change(3))
    assert not list(store.versions(f"{GAPS}since=00000001/{of_change(3).id}")), "it is known as long"


def test_a_marker_hides_no_gap_that_was_recorded_since() -> None:
    store = folded()
    Gaps(store, TABLE).record(of_change(7))
    store.delete(f"{GAPS}since=00000001/{of_change(7).id}.json")
    assert of_change(7) in known(store)
    Gaps(store, TABLE).record(of_change(8))
    assert Gaps(store, TABLE).fold(closed_are()) == 2
    assert {of_change(7), of_change(8)} <= known(store)


def test_a_writer_that_has_not_heard_of_the_index_loses_nothing() -> None:
    """One of this version records again where it is looked for; one of an older version writes where it always did."""
    store = MemoryStore(ManualClock())
    slow, quick = Gaps(store, TABLE), Gaps(store, TABLE)
    slow.record(of_change(0))
    quick.record(of_change(1))
    assert quick.fold(closed_are()) == 2
    slow.record(of_change(2))
    store.delete(f"{GAPS}{of_change(2).id}.json")
    assert known(store) == {*map(of_change, range(3))}

    older = of_change(1, until=900)
    store.put(f"{GAPS}{older.id}.json", msgspec.json.encode(older), {"format": "1"}, if_absent=True)
    assert older in known(store)
    assert Gaps(store, TABLE).fold(closed_are()) == 2
    assert known(store) == {of_change(0), older, of_change(2)}


def test_a_fold_between_two_looks_of_a_reader_hides_nothing_from_it() -> None:
    store = folded()
    straggler = of_change(9)
    store.put(f"{GAPS}{straggler.id}.json", msgspec.json.encode(straggler), {"format": "1"})
    Gaps(store, TABLE).record(of_change(8))

    class Meanwhile(CountedStore):
        """Another compaction folds once the index has been read."""

        def get(self, name: str, version: str | None = None):  # type: ignore[no-untyped-def]
            found = super().get(name, version)
            if name == f"{INDEXES}00000001.json.zst" and not self.requests["folded"]:
                self.requests["folded"] += 1
                assert Gaps(store, TABLE).fold(closed_are()) == 2
            return found

    assert set(Gaps(Meanwhile(store), TABLE).all()) == {*map(of_change, (*NUMBERS, 8, 9))}


def test_an_index_counts_below_a_marker_and_never_fails_silently() -> None:
    store = folded(closed=[0])
    store.delete(f"{INDEXES}00000001.json.zst")
    assert known(store) == {*map(of_change, range(1, 6))}

    store.put(f"{INDEXES}00000002.json.zst", b"nothing")
    with pytest.raises(Damaged, match=r"the index of gaps .*00000002\.json\.zst cannot be read"):
        list(Gaps(store, TABLE).all())


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (GapIndex(2, []), "leaves out a gap of the index before it"),
        (GapIndex(3, []), "is missing"),
    ],
)
def test_an_index_that_no_compaction_made_is_named(planted: GapIndex, said: str) -> None:
    store = folded()
    assert GapIndexes(store, TABLE).write(planted)
    with pytest.raises(Damaged, match=said):
        list(Gaps(store, TABLE).all())


def test_a_time_that_nobody_read_is_never_closed_by_an_index() -> None:
    """Nothing in a log tells that it is: an index that says so is none."""
    store = MemoryStore(ManualClock())
    gap = Gap("the stream was replaced", 100, 200, STREAM)
    assert GapIndexes(store, TABLE).write(GapIndex(1, [], [FoldedGap(gap, [(f"{GAPS}{gap.id}.json", "1")])]))
    with pytest.raises(Damaged, match="says that a gap is closed, and nothing else does"):
        list(Gaps(store, TABLE).all())


def test_the_first_format_is_read_for_ever() -> None:
    store = MemoryStore(ManualClock())
    store.put(f"{INDEXES}00000001.json.zst", GOLDEN.read_bytes(), {"format": "1"})
    assert known(store) == {*map(of_change, range(1, 6))}
    assert len(Gaps(store, TABLE).folded()) == 6
