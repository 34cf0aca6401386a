"""A row that differed is explained by changes that lead, one upon the other, from what was held to what was seen, at that time."""

from __future__ import annotations

import pytest

from backstream.model.changes.entry import Entry
from backstream.model.changes.explained import is_explained
from backstream.model.values.digests import ABSENT


def change(second: int, before: str | None, after: str) -> Entry:
    event = "REMOVE" if after == ABSENT else "MODIFY"
    return Entry(
        "s", str(second), second * 1_000_000, event, "", None, b"{}", before=before, after=None if after == ABSENT else after
    )


A_TO_B, B_TO_C, C_TO_B = change(100, "a", "b"), change(200, "b", "c"), change(300, "c", "b")
GONE = change(200, "b", ABSENT)
LATE = 1_000


@pytest.mark.parametrize(
    ("changes", "held", "seen", "since", "explained"),
    [
        ([A_TO_B], "a", "b", 150, True),
        ([A_TO_B, A_TO_B], "a", "b", 150, True),
        ([A_TO_B, B_TO_C], "a", "c", 210, True),
        ([B_TO_C, A_TO_B], "b", "c", 210, True),
        ([A_TO_B, GONE], "a", ABSENT, 210, True),
        ([change(100, ABSENT, "b")], ABSENT, "b", 150, True),
        ([change(100, None, ABSENT)], "a", ABSENT, 150, True),
        ([A_TO_B, B_TO_C], "a", "b", 150, True),
        ([], "a", "b", 150, False),
        ([A_TO_B], "a", "c", 150, False),
        ([A_TO_B], "z", "b", 150, False),
        ([A_TO_B, C_TO_B], "a", "b", 310, False),
        ([A_TO_B, B_TO_C], "a", "b", 250, False),
        ([A_TO_B, B_TO_C, C_TO_B], "a", "c", 350, False),
    ],
    ids=[
        "its change",
        "its change, twice",
        "two changes",
        "in any order, one of them held",
        "a delete",
        "a new row",
        "a time to live delete",
        "it changed again while it was looked at",
        "nothing came",
        "another state came",
        "made upon a state that nobody held",
        "one between them is missing",
        "the state was another one by then",
        "the state is another one since",
    ],
)
def test_which_changes_explain(changes: list[Entry], held: str, seen: str, since: int, *, explained: bool) -> None:
    assert is_explained(changes, held=held, seen=seen, since=since, until=LATE) is explained


def test_a_change_of_later_explains_nothing() -> None:
    assert not is_explained([A_TO_B], held="a", seen="b", since=50, until=90)
