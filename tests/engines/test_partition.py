"""One partition's fold is the model's, in whatever order entries come; and nothing is taken from an object that is not as named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstream.engine.local.partition import Folded
from backstream.engine.local.spill import Spot
from backstream.errors import Refused
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING, known_at
from backstream.operations.restore import RestoreContext, RestoreRequest, ToFile, restore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.log import segments
from kit import big_vault
from kit.clock import ManualClock
from kit.lived import SMALL, state
from kit.spoil import spoil

END = 10**9
KEYS = (b'{"id":{"S":"a"}}', b'{"id":{"S":"b"}}')


def change(sequence: int, second: int, *, key: bytes = KEYS[0], removed: bool = False) -> Entry:
    return Entry("s", str(sequence), second * MICROS, "REMOVE" if removed else "MODIFY", f"{sequence:032x}", None, key)


def scan(began: int, took: int, *, key: bytes = KEYS[0]) -> Entry:
    return Entry("", "0", (began + took) * MICROS, "SCANNED", "", None, key, began=began)


CHANGES = st.builds(change, st.integers(1, 6), st.integers(0, 6), key=st.sampled_from(KEYS), removed=st.booleans())
SCANS = st.builds(scan, st.integers(0, 6), st.integers(0, 3), key=st.sampled_from(KEYS))
ENTRIES = st.lists(CHANGES | SCANS, max_size=10).map(
    lambda entries: list({(each.keys, each.order, each.began, each.scanned and each.micros): each for each in entries}.values())
)


@given(ENTRIES, st.integers(BEGINNING, 8))
@example([change(1, 5), change(2, 1), scan(3, 1)], BEGINNING)
@example([change(2, 1), change(1, 5), scan(3, 1)], BEGINNING)
@example([change(3, 1), change(2, 4), change(1, 6), scan(5, 1)], BEGINNING)
def test_a_partition_folds_as_the_model_does(entries: list[Entry], floor: int) -> None:
    """Also where the clocks that stamp changes disagree, so that the newest change has not the latest second."""
    spots = [Spot("0", number, 1) if number % 2 else None for number in range(len(entries))]
    folded = Folded(((each.keys, each, spot) for each, spot in zip(entries, spots, strict=True)), floor)
    for key in KEYS:
        known = known_at([each for each in entries if each.keys == key], END)
        assert folded.known(key) == known
        assert folded.newest.get(key) == known.newest(floor)
        expected = next((spot for each, spot in zip(entries, spots, strict=True) if each == folded.newest.get(key)), None)
        assert folded.spots.get(key) == expected


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param([0, 1, 2], id="the last are gone"),
        pytest.param([12, 13, 14], id="the first are gone"),
        pytest.param([0, 14], id="those between are gone"),
        pytest.param([0] * 15, id="as many, but one again and again"),
    ],
)
def test_a_segment_of_other_changes_than_its_name_says_is_told_and_nothing_is_restored(kept: list[int], tmp_path: Path) -> None:
    """It is sound to every checksum: only its name tells that changes are gone."""
    clock = ManualClock(big_vault.last_second(300) + 3_600)
    vault = big_vault.vault_in(MemoryStore(clock))
    big_vault.add(vault, big_vault.fill(vault, 100, 0), 300, batch=15)
    assert len(state(vault, big_vault.last_second(300), SMALL)) == 100
    listed = list(vault.log.listing())[4]
    entries = vault.log.read(listed)
    assert len(entries) == 15
    metadata = dict(vault.store.get(listed.name).info.metadata)
    spoil(vault.store, listed.name, segments.pack([entries[number] for number in kept], segments.Codec.ZSTD), metadata)
    request = RestoreRequest(at=big_vault.last_second(300), target=ToFile(tmp_path / "rows.json"), allow_gap=False)
    table = MemoryTable(big_vault.TABLE, clock)
    with pytest.raises(Refused, match="cannot be read") as refused:
        restore(vault, request, RestoreContext(lambda _: table, clock, tmp_path))
    assert listed.name in refused.value.message
    assert list(tmp_path.iterdir()) == []
