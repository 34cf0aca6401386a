"""The images of many entries: inline ones and rows in one stream, each with its tag; what cannot be had is a value."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import BackstreamError, Damaged, MissingObject
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.computed_vault import TABLE, entry, init_table, row_image


@pytest.fixture(scope="module")
def vault() -> TableVault:
    """Rows 0 to 9."""
    store = MemoryStore(ManualClock())
    vault = init_table(store, Layout.ROWS)
    for number in range(10):
        store.put(f"{TABLE}/row-{number:08d}", row_image(number))
    return vault


def row(vault: TableVault, number: int, lies_at: int | None = None) -> Entry:
    """A row's entry, with the version that is there; `lies_at`: the row whose object it points to."""
    name = f"{TABLE}/row-{number if lies_at is None else lies_at:08d}"
    return msgspec.structs.replace(entry(number, inline=False), place=ImagePlace(name, vault.store.head(name).version))


@given(st.lists(st.sampled_from(["inline", "row", "none"]), max_size=400))
def test_each_comes_once_with_its_tag(vault: TableVault, kinds: list[str]) -> None:
    wanted: list[tuple[int, Entry | None]] = []
    for number, kind in enumerate(kinds):
        wanted.append((number, {"inline": entry(number, inline=True), "row": row(vault, number % 10), "none": None}[kind]))
    found = list(vault.images(wanted))
    assert sorted(tag for tag, _ in found) == list(range(len(kinds)))
    expected = {tag: None if each is None else vault.image(each) for tag, each in wanted}
    assert dict(found) == expected


def test_what_image_raises_comes_as_a_value_and_the_others_go_on(vault: TableVault) -> None:
    of_another = row(vault, 1, lies_at=2)
    missing = msgspec.structs.replace(row(vault, 1), place=ImagePlace(f"{TABLE}/row-00000001", "no version"))
    of_nowhere = msgspec.structs.replace(entry(1, inline=True), image=None)
    vault.store.put("junk", b"no image")
    junk = msgspec.structs.replace(row(vault, 1), place=ImagePlace("junk", vault.store.head("junk").version))
    wrong = {"another's": of_another, "missing": missing, "nowhere": of_nowhere, "junk": junk}
    found = dict(vault.images([*wrong.items(), *((number, row(vault, number)) for number in range(10))]))
    errors = {tag: one for tag, one in found.items() if isinstance(one, BackstreamError)}
    assert {tag: type(one) for tag, one in errors.items()} == {
        "another's": Damaged, "missing": MissingObject, "nowhere": Damaged, "junk": Damaged,
    }  # fmt: skip
    for tag, each in wrong.items():
        with pytest.raises(type(errors[tag])) as raised:
            vault.image(each)
        assert raised.value.message == errors[tag].message
    assert {number: found[number] for number in range(10)} == {number: row_image(number) for number in range(10)}


@pytest.mark.parametrize("inline", [True, False])
def test_they_are_wanted_little_by_little(vault: TableVault, *, inline: bool) -> None:
    taken = 0

    def endless() -> Iterator[tuple[int, Entry]]:
        nonlocal taken
        one = entry(1, inline=True) if inline else row(vault, 1)
        while True:
            taken += 1
            yield taken, one

    coming = vault.images(endless())
    for count in range(1, 300):
        next(coming)
        assert taken - count < 128
    coming.close()
