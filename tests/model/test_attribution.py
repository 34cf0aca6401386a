"""Which call made which change: one answer, or none. Compared with every assignment of calls to changes that is possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.model.calls.attribution import TOLERANCE, AttributionStatus, Made, attribute
from backstream.model.calls.cloudtrail import CAN_BECOME, Call, CallerIdentity

T = 1_700_000_000
PUT, DELETE = 3, 4


def made(*seconds: int, event: str = "MODIFY") -> list[Made]:
    """Changes of one item in these seconds after T."""
    return [Made("s", str(number), (T + second) * 1_000_000, event) for number, second in enumerate(seconds)]


def calls(*seconds: int, becomes: int = PUT, who: str = "") -> list[Call]:
    """Calls in these seconds, by a principal each."""
    return [
        Call(T + each, becomes, f"{number}{becomes}{who}", "", "PutItem", CallerIdentity(arn=who or f"p{number}"), "", "")
        for number, each in enumerate(seconds)
    ]


def found(changes: Sequence[Made], every: Sequence[Call], *, unkeyed: bool = False) -> list[str]:
    """The principal of each change, `?` where several may be, `-` where none is."""
    verdicts = attribute(changes, every, lambda _second, _bit: unkeyed)
    signs = {AttributionStatus.AMBIGUOUS: "?", AttributionStatus.NONE: "-"}
    return [signs.get(each.status) or each.calls[0].identity.arn for each in verdicts]


@pytest.mark.parametrize(
    ("changes", "every", "expected"),
    [
        (made(10), calls(10), ["p0"]),
        (made(10), calls(8), ["p0"]),
        (made(10), calls(12), ["p0"]),
        (made(10), calls(7), ["-"]),
        (made(10), calls(13), ["-"]),
        (made(10), [], ["-"]),
        (made(10), calls(10, 10), ["?"]),
        (made(10), calls(8, 12), ["?"]),
        (made(10, 20), calls(10, 20), ["p0", "p1"]),
        # Within the tolerance the order of calls says nothing: the two hosts' clocks may differ.
        (made(10, 11), calls(10, 11), ["?", "?"]),
        (made(10, 10), calls(10, 10), ["?", "?"]),
        # The other call is the only one that fits another change.
        (made(10, 13), calls(11, 14), ["p0", "p1"]),
        (made(10, 13, 16), calls(8, 11, 14), ["p0", "p1", "p2"]),
        # One call for two changes: a call is not known, so none of them is certain.
        (made(10, 12), calls(11), ["?", "?"]),
        (made(10, 12, 30), calls(11, 30), ["?", "?", "p1"]),
        # A put never deletes.
        (made(10, event="REMOVE"), calls(10), ["-"]),
        (
            [*made(10), Made("s", "9", (T + 11) * 1_000_000, "REMOVE")],
            [*calls(10), *calls(11, becomes=DELETE, who="d")],
            ["p0", "d"],
        ),
    ],
)
def test_the_rule(changes: list[Made], every: list[Call], expected: list[str]) -> None:
    assert found(changes, every) == expected


def test_a_delivery_that_came_twice_is_one_call() -> None:
    assert found(made(10), calls(10) * 2) == ["p0"]


def test_a_call_that_names_no_key_may_have_made_any_change() -> None:
    assert found(made(10), calls(10), unkeyed=True) == ["?"]
    assert found(made(10), [], unkeyed=True) == ["?"]


def test_all_that_fit_are_listed_in_order() -> None:
    (verdict,) = attribute(made(10), [*calls(12), *calls(9, 10, who="x")], lambda _second, _bit: False)
    assert [call.second - T for call in verdict.calls] == [9, 10, 12]
    assert (verdict.fitting, verdict.incomplete) == (3, False)


_events = st.sampled_from(list(CAN_BECOME))
_changes = st.lists(st.tuples(st.integers(0, 12), _events), min_size=1, max_size=5).map(sorted)
_calls = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([1, 2, PUT, DELETE, 7])), max_size=6)


def possible(changes: Sequence[Made], every: Sequence[Call]) -> list[tuple[int, ...]]:
    """Every way in which each change was made by a call of its own."""
    return [
        chosen
        for chosen in itertools.permutations(range(len(every)), len(changes))
        if all(
            abs(every[place].second - change.second) <= TOLERANCE and every[place].becomes & CAN_BECOME[change.event]
            for place, change in zip(chosen, changes, strict=True)
        )
    ]


@given(_changes, _calls)
def test_what_is_certain_is_so_in_every_way_that_is_possible(changes: list[tuple[int, str]], every: list[tuple[int, int]]) -> None:
    """Of the changes that have a call at all: one without any says only that data events are not complete."""
    some = [Made("s", str(number), (T + second) * 1_000_000, event) for number, (second, event) in enumerate(changes)]
    calls_ = [Call(T + second, bits, str(number), "", "x", CallerIdentity(), "", "") for number, (second, bits) in enumerate(every)]
    verdicts = attribute(some, calls_, lambda _second, _bit: False)
    known = [number for number, each in enumerate(verdicts) if each.status is not AttributionStatus.NONE]
    ways = possible([some[number] for number in known], calls_)
    for place, number in enumerate(known):
        if verdicts[number].status is AttributionStatus.MATCHED and ways:
            assert {way[place] for way in ways} == {int(verdicts[number].calls[0].event_id)}
    for number, each in enumerate(verdicts):
        fitting = [call for call in calls_ if possible([some[number]], [call])]
        assert (each.status is AttributionStatus.NONE) == (not fitting)
        assert each.status is AttributionStatus.MATCHED or len(each.calls) == len(fitting)


@given(st.data())
def test_random_writers_are_named_rightly_or_not_at_all(data: st.DataObject) -> None:
    """Each change has its call, up to two seconds away; some calls change nothing. Whatever is certain is the truth."""
    seconds = sorted(data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=12)))
    truth, every = [], []
    for number, second in enumerate(seconds):
        apart = data.draw(st.integers(-TOLERANCE, TOLERANCE))
        every.append(Call(T + second + apart, PUT, f"c{number}", "", "x", CallerIdentity(arn=f"p{number}"), "", ""))
        truth.append(f"p{number}")
    for number, second in enumerate(data.draw(st.lists(st.integers(0, 40), max_size=5))):
        every.append(Call(T + second, PUT, f"n{number}", "", "x", CallerIdentity(arn=f"none{number}"), "", ""))
    names = found(made(*seconds), data.draw(st.permutations(every)))
    assert all(name in ("?", right) for name, right in zip(names, truth, strict=True))
