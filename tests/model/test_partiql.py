"""PartiQL as CloudTrail shows it: the table, and the key where the statement tells it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.model.calls import partiql
from backstream.model.calls.partiql import PartiqlVerb, Statement

HIDDEN = "***(Redacted)"


@pytest.mark.parametrize(
    ("text", "parameters", "statement"),
    [
        (
            f"UPDATE Music SET Album = {HIDDEN} WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'",
            [],
            Statement(PartiqlVerb.UPDATE, "Music", {"Artist": "No One You Know", "SongTitle": "Call Me Today"}),
        ),
        (
            f"update \"my-table\" set a = a + 1, b = {HIDDEN} where \"pk\"='it''s' and sk = -1.50 and c = {HIDDEN} returning old",
            [],
            Statement(PartiqlVerb.UPDATE, "my-table", {"pk": "it's", "sk": "-1.50"}),
        ),
        ('DELETE FROM "T" WHERE pk = ? AND sk = ?', ["a", 5], Statement(PartiqlVerb.DELETE, "T", {"pk": "a", "sk": 5})),
        ("UPDATE T SET a = ? WHERE pk = ?", [HIDDEN, "a"], Statement(PartiqlVerb.UPDATE, "T", {"pk": "a"})),
        ("UPDATE T SET a = ? WHERE pk = ?", [], Statement(PartiqlVerb.UPDATE, "T", {})),
        ("UPDATE T SET a = ? WHERE pk = ?", [HIDDEN, HIDDEN], Statement(PartiqlVerb.UPDATE, "T", {})),
        (
            "INSERT INTO \"T\" VALUE {'pk': 'a', 'm': {'pk': 'inner', 'l': [1, {'pk': 2}]}, \"sk\": 1E3, 's': <<'x', 'y'>>}",
            [],
            Statement(PartiqlVerb.INSERT, "T", {"pk": "a", "sk": "1E3"}),
        ),
        (f"INSERT INTO T VALUE {{'pk': {HIDDEN}, 'sk': {HIDDEN}}}", [], Statement(PartiqlVerb.INSERT, "T", {})),
        ("INSERT INTO T VALUE {'a': [?, ?], 'pk': ?}", [1, 2, "k"], Statement(PartiqlVerb.INSERT, "T", {"pk": "k"})),
        ("DELETE FROM T WHERE pk = 'a' OR pk = 'b'", [], Statement(PartiqlVerb.DELETE, "T", {})),
        ("DELETE FROM T WHERE m.pk = 'a'", [], Statement(PartiqlVerb.DELETE, "T", {})),
        ("DELETE FROM T WHERE pk IN ['a']", [], Statement(PartiqlVerb.DELETE, "T", {})),
        ("SELECT * FROM T WHERE pk = 'a'", [], None),
        ("EXISTS(SELECT * FROM T WHERE pk = 'a')", [], None),
    ],
)
def test_what_a_statement_says(text: str, parameters: list[Any], statement: Statement | None) -> None:
    assert partiql.parse(text, parameters) == statement


@pytest.mark.parametrize(
    "text", ["", "DROP TABLE T", "INSERT T", "UPDATE T SET a = 1", "INSERT INTO T VALUE {'a': 1", "DELETE FROM 5"]
)
def test_what_is_no_statement_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"statement|INSERT"):
        partiql.parse(text)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["INSERT", "INTO", "T", "VALUE", "{", "'a'", ":", "?", "WHERE", "=", "***"])).map(" ".join)
)
def test_any_text_is_a_statement_or_none(text: str) -> None:
    try:
        partiql.parse(text)
    except ValueError:
        return
