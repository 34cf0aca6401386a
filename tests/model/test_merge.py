"""The three-way merge against a model on dicts, and each rule by its own example."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.model.changes.merge import GONE, Merge, Merged, MergeStep, MergeVerdict, changed_names, undone, undone_steps
from backstream.model.values import wire

Item = Mapping[str, int] | None


def item(fields: Item) -> bytes | None:
    """An item of numbers."""
    return None if fields is None else msgspec.json.encode({"id": {"S": "a"}, **{k: {"N": str(v)} for k, v in fields.items()}})


def plain(image: bytes | None) -> Item:
    """The inverse."""
    return None if image is None else {k: int(v["N"]) for k, v in wire.decode(image).items() if k != "id"}


def merged(before: Item, bad: Item, live: Item, by: Merge = Merge.ATTRIBUTES, *, overwrite: bool = False) -> Merged:
    return undone(item(before), item(bad), item(live), by, overwrite=overwrite)


def model(before: Item, bad: Item, live: Item, by: Merge) -> Item | str:
    """What it is to be: the state, or the word for leaving the item alone."""
    if live == bad:
        return before
    if live == before or before == bad:
        return live
    if by is Merge.ITEM:
        return "conflict"
    if before is None or bad is None:
        return "conflict"
    if live is None:
        return "gone"
    result = dict(live)
    for name in {*before, *bad}:
        was, is_bad, now = before.get(name), bad.get(name), live.get(name)
        if was == is_bad or now == was:
            continue
        if now != is_bad:
            return "conflict"
        if was is None:
            del result[name]
        else:
            result[name] = was
    return result


states = st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))


@given(states, states, states, st.sampled_from(Merge))
def test_it_is_what_a_model_on_dicts_says(before: Item, bad: Item, live: Item, by: Merge) -> None:
    found, expected = merged(before, bad, live, by), model(before, bad, live, by)
    if isinstance(expected, str):
        assert found.verdict == expected
    else:
        assert found.verdict in (MergeVerdict.WRITE, MergeVerdict.UNCHANGED)
        assert (plain(found.image) if found.verdict is MergeVerdict.WRITE else live) == expected


@given(states, states, states, st.sampled_from(Merge))
def test_a_second_time_there_is_nothing_to_do(before: Item, bad: Item, live: Item, by: Merge) -> None:
    once = merged(before, bad, live, by)
    if once.verdict is MergeVerdict.WRITE:
        assert undone(item(before), item(bad), once.image, by).verdict is MergeVerdict.UNCHANGED


@given(states, states, states, st.sampled_from(Merge))
def test_overwriting_leaves_no_conflict_and_no_attribute_of_others(before: Item, bad: Item, live: Item, by: Merge) -> None:
    found = merged(before, bad, live, by, overwrite=True)
    assert found.verdict is not MergeVerdict.CONFLICT
    if by is Merge.ATTRIBUTES and None not in (before, bad, live) and found.verdict is MergeVerdict.WRITE:
        assert before is not None
        assert bad is not None
        assert live is not None
        result = plain(found.image) or {}
        assert all(result.get(name) == live.get(name) for name in "abc" if before.get(name) == bad.get(name))
        assert all(result.get(name) == before.get(name) for name in "abc" if before.get(name) != bad.get(name))


histories = st.lists(states, min_size=2, max_size=6)


@given(histories, st.data())
def test_single_changes_are_taken_back_one_by_one_and_the_others_stay(history: list[Item], data: st.DataObject) -> None:
    steps = [MergeStep(item(old), item(new)) for old, new in itertools.pairwise(history)]
    chosen = [data.draw(st.booleans()) for _ in steps]
    live = data.draw(states)
    state: Item | str = live
    for (old, new), taken in reversed(list(zip(itertools.pairwise(history), chosen, strict=True))):
        if taken and not isinstance(state, str):
            state = model(old, new, state, Merge.ATTRIBUTES)
    if isinstance(state, str) or all(chosen):
        return  # all: the net of the window counts; a conflict: see the next test
    found = undone_steps(steps, chosen, item(live))
    assert (plain(found.image) if found.verdict is MergeVerdict.WRITE else live) == state


@given(histories, st.data())
def test_single_changes_taken_back_twice_are_taken_back_once(history: list[Item], data: st.DataObject) -> None:
    steps = [MergeStep(item(old), item(new)) for old, new in itertools.pairwise(history)]
    chosen = [data.draw(st.booleans()) for _ in steps]
    once = undone_steps(steps, chosen, steps[-1].new)
    if once.verdict is MergeVerdict.WRITE:
        assert undone_steps(steps, chosen, once.image).verdict is MergeVerdict.UNCHANGED


def test_what_others_changed_since_stays() -> None:
    found = merged({"price": 5, "stock": 9}, {"price": 0, "stock": 9}, {"price": 0, "stock": 8, "buyer": 7})
    assert plain(found.image) == {"price": 5, "stock": 8, "buyer": 7}


def test_a_conflict_names_the_attribute_and_leaves_the_item() -> None:
    found = merged({"price": 5}, {"price": 0}, {"price": 6})
    assert (found.verdict, found.attributes) == (MergeVerdict.CONFLICT, ("price",))
    assert "price" in found.why


@pytest.mark.parametrize(
    ("before", "bad", "live", "verdict"),
    [
        ({"a": 1}, None, None, MergeVerdict.WRITE),
        ({"a": 1}, None, {"a": 1}, MergeVerdict.UNCHANGED),
        ({"a": 1}, None, {"a": 2}, MergeVerdict.CONFLICT),
        (None, {"a": 1}, {"a": 1}, MergeVerdict.WRITE),
        (None, {"a": 1}, {"a": 2}, MergeVerdict.CONFLICT),
        (None, {"a": 1}, None, MergeVerdict.UNCHANGED),
        ({"a": 1}, {"a": 2}, None, MergeVerdict.GONE),
        ({"a": 1}, {"a": 1}, {"a": 3}, MergeVerdict.UNCHANGED),
    ],
)
def test_items_that_came_or_went(before: Item, bad: Item, live: Item, verdict: MergeVerdict) -> None:
    assert merged(before, bad, live).verdict is verdict


def test_an_item_that_somebody_deleted_since_is_not_brought_back_by_overwriting() -> None:
    assert merged({"a": 1}, {"a": 2}, None, overwrite=True) == GONE


def test_by_the_item_every_later_change_is_a_conflict() -> None:
    assert merged({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 5}, Merge.ITEM).verdict is MergeVerdict.CONFLICT
    assert merged({"a": 1}, {"a": 2}, {"a": 2}, Merge.ITEM).verdict is MergeVerdict.WRITE
    assert merged({"a": 1}, {"a": 2}, None, Merge.ITEM).verdict is MergeVerdict.CONFLICT


def test_values_compare_as_dynamodb_compares_them() -> None:
    old = b'{"id":{"S":"a"},"n":{"N":"1.50"},"s":{"SS":["x","y"]},"t":{"S":"a"}}'
    new = b'{"id":{"S":"a"},"n":{"N":"1.5"},"s":{"SS":["y","x"]},"t":{"S":"b"},"u":{"N":"2"}}'
    assert changed_names(old, new) == ["t", "u"]
    assert changed_names(new, old) == ["t", "u"]
    live = b'{"id":{"S":"a"},"n":{"N":"15E-1"},"s":{"SS":["y","x"]},"t":{"S":"b"},"u":{"N":"2.0"},"w":{"N":"7"}}'
    found = undone(old, new, live)
    assert found.image == b'{"id":{"S":"a"},"n":{"N":"15E-1"},"s":{"SS":["y","x"]},"t":{"S":"a"},"w":{"N":"7"}}'


def test_a_window_that_changes_nothing_in_the_end_has_nothing_to_take_back() -> None:
    assert merged({"a": 1}, {"a": 1}, {"a": 9}).verdict is MergeVerdict.UNCHANGED
