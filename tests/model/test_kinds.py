"""Which attributes changed: what is found at a glance is what the decoded images say, whatever they hold, however it is spelled."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.model.changes import kinds, merge
from backstream.model.changes.change import Change
from backstream.model.changes.entry import SCANNED, Entry, Scanned, entries, of_change, of_scanned, to_line
from backstream.model.changes.kinds import ChangedAttributes, differing, kind_of
from backstream.model.changes.listing_lines import listed_entries
from backstream.model.changes.merge import changed_attributes
from backstream.model.values.decoding import UNDECODABLE
from kit.strategies import VALUES, Item

# Names and texts that look like the JSON around them, and few of them, so that they meet.
TEXTS = st.sampled_from(["", "a", "b", "},", '"b":{"S":"', '},"a":{"S":"x', "\\", "é", "\u2028", "1", "M", '"'])
NUMBERS = st.sampled_from(["1", "1.0", "10e-1", "01", "-0", "0", "2", "1e1", "10"])
SMALL = st.recursive(
    st.one_of(
        TEXTS.map(lambda text: {"S": text}),
        NUMBERS.map(lambda text: {"N": text}),
        st.lists(NUMBERS, min_size=1, max_size=2, unique=True).map(lambda texts: {"NS": texts}),
        st.lists(TEXTS, min_size=1, max_size=2, unique=True).map(lambda texts: {"SS": texts}),
        st.sampled_from(["YQ==", "YR==", "YWI="]).map(lambda text: {"B": text}),
        st.sampled_from([{"BOOL": True}, {"BOOL": False}, {"NULL": True}]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda values: {"L": values}),
        st.dictionaries(TEXTS, inner, max_size=3).map(lambda fields: {"M": fields}),
    ),
    max_leaves=4,
)
FIELDS = st.dictionaries(TEXTS.filter(bool), SMALL | VALUES, min_size=1, max_size=6)
SPELLINGS: list[Callable[[Item], str]] = [
    lambda item: json.dumps(item, separators=(",", ":"), ensure_ascii=False),
    lambda item: json.dumps(item, separators=(",", ":")),
    json.dumps,
]


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Images before and after some changes, many of them of a few kinds."""
    made = []
    spell, names = draw(st.sampled_from(SPELLINGS)), draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=3, unique=True))
    for _ in range(draw(st.integers(1, 6))):
        old = draw(FIELDS)
        new = {**old, **{name: draw(SMALL) for name in names if draw(st.integers(0, 9))}}
        if draw(st.integers(0, 4)) == 0:
            new.pop(draw(st.sampled_from(list(new))))
        if draw(st.integers(0, 4)) == 0:
            new = dict(draw(st.permutations(list(new.items()))))
        after = spell(new)
        if draw(st.integers(0, 7)) == 0:  # no image has a name twice; if one had, the last would count
            after = after[:-1] + ("," if new else "") + spell({draw(st.sampled_from(names)): draw(SMALL)})[1:]
        made.append((spell(old).encode(), after.encode()))
    return made


def outcome(find: Callable[[bytes, bytes], list[str] | None], old: bytes, new: bytes) -> list[str] | str | None:
    try:
        return find(old, new)
    except (Damaged, *UNDECODABLE) as error:
        return f"{type(error).__name__}: {error}"


@given(changes())
def test_it_is_what_the_decoded_images_say(made: list[tuple[bytes, bytes]]) -> None:
    changed = ChangedAttributes()
    for old, new in [*made, *made]:  # the second time all kinds are known
        assert outcome(changed, old, new) == outcome(changed_attributes, old, new)


@given(changes(), st.lists(TEXTS.filter(bool), min_size=1, max_size=4))
def test_a_kind_finds_all_or_says_that_it_cannot(made: list[tuple[bytes, bytes]], names: list[str]) -> None:
    for old, new in made:
        found = outcome(lambda one, other: differing(kind_of(names), one, other), old, new)
        assert found is None or found == outcome(changed_attributes, old, new)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('{"a":{"S":"x"},"b":{"N":"1"},"c":{"S":"y"}}', '{"a":{"S":"x"},"b":{"N":"20"},"c":{"S":"y"}}', ["b"]),
        ('{"a":{"S":"x"},"b":{"N":"1"},"c":{"S":"y"}}', '{"a":{"S":"z"},"b":{"N":"1"},"c":{"S":""}}', ["a", "c"]),
        ('{"a":{"L":[{"S":"},"}]},"b":{"S":"1"}}', '{"a":{"L":[{"S":"},"}]},"b":{"S":"2"}}', ["b"]),
        ('{"a":{"SS":["x"]},"b":{"S":"1"}}', '{"a":{"SS":["y"]},"b":{"S":"1"}}', ["a"]),
    ],
)
def test_a_known_kind_is_found_without_decoding(old: str, new: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    changed = ChangedAttributes()
    assert changed(old.encode(), new.encode()) == names
    monkeypatch.setattr(merge, "changed_attributes", lambda *_: pytest.fail("decoded"))
    assert changed(old.encode(), new.encode()) == names
    assert changed(new.encode(), old.encode()) == names


def test_values_that_are_equal_in_another_spelling_have_not_changed() -> None:
    kind = kind_of(["a"])
    for one, other in (('{"N":"1"}', '{"N":"1.0"}'), ('{"SS":["x","y"]}', '{"SS":["y","x"]}'), ('{"S":"é"}', '{"S":"\\u00e9"}')):
        assert differing(kind, b'{"a":%b}' % one.encode(), b'{"a":%b}' % other.encode()) == []
    assert differing(kind, b'{"a":{"N":"1"}}', b'{"a":{"S":"1"}}') == ["a"]
    assert differing(kind, b'{"a":{"NULL":true}}', b"{}") is None  # missing is another thing: the decoded images say so


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        # of a nested map of the same names
        (
            '{"m":{"M":{"a":{"S":"1"},"c":{"S":"x"}}},"z":{"N":"1"}}',
            '{"m":{"M":{"a":{"S":"2"},"c":{"S":"x"}}},"z":{"N":"1"}}',
            ["m"],
        ),
        ('{"z":{"N":"1"},"m":{"L":[{"M":{"a":{"S":"1"}}}]}}', '{"z":{"N":"1"},"m":{"L":[{"M":{"a":{"S":"2"}}}]}}', ["m"]),
        # twice in one object: the last one counts
        ('{"a":{"S":"1"},"b":{"S":"x"},"a":{"S":"3"}}', '{"a":{"S":"2"},"b":{"S":"x"},"a":{"S":"3"}}', []),
    ],
)
def test_an_attribute_of_the_kind_that_is_not_the_items_own_does_not_mislead(old: str, new: str, names: list[str]) -> None:
    changed = ChangedAttributes()
    assert changed(b'{"a":{"S":"1"},"b":{"S":"x"}}', b'{"a":{"S":"2"},"b":{"S":"x"}}') == ["a"]
    assert changed(old.encode(), new.encode()) == changed_attributes(old.encode(), new.encode()) == names


def test_random_kinds_are_left_alone_for_a_while() -> None:
    changed = ChangedAttributes()
    for number in range(2 * kinds.PATIENCE):
        old, new = (msgspec.json.encode({f"a{number}": {"N": text}}) for text in "12")
        assert changed(old, new) == [f"a{number}"]


# --- lines ------------------------------------------------------------------------------------------------------------------------


def lines(found: Sequence[Entry]) -> bytes:
    return b"\n".join(map(to_line, found))


def change(event: str = "MODIFY", actor: str | None = None) -> Entry:
    old, new = None if event == "INSERT" else b'{"a":{"N":"1"}}', None if event == "REMOVE" else b'{"a":{"N":"2"}}'
    return of_change(
        Change("2026-11-23T00:00:00.000", "1" * 21, 1_795_406_400_000_123, event, "id", actor, b'{"a":{"N":"1"}}', old, new), None
    )


def bare(entry: Entry) -> Entry:
    """What a listing has of an entry."""
    return msgspec.structs.replace(entry, event_id="", before=None, after=None)


def test_lines_that_tell_all_are_decoded_for_a_listing() -> None:
    found = [change(), change("INSERT"), change("REMOVE")]
    assert listed_entries(lines(found)) == list(map(bare, found))


@pytest.mark.parametrize(
    "other",
    [
        change("REMOVE", "dynamodb.amazonaws.com"),
        of_scanned(Scanned(b'{"a":{"N":"1"}}', b'{"a":{"N":"1"}}', 5, 5_000_000), None),
        msgspec.structs.replace(change(), old=None),
        msgspec.structs.replace(change(), event=SCANNED),
    ],
)
def test_beside_one_that_does_not_all_are_decoded_whole(other: Entry) -> None:
    body = lines([change(), other])
    assert listed_entries(body) == entries(body) == [change(), other]


@pytest.mark.parametrize("broken", [b"[]", b"{", b'{"Metadata":{"WriteTimestampMicros":{"N":"x"}}}'])
def test_what_is_no_line_is_named(broken: bytes) -> None:
    with pytest.raises(Damaged, match="not lines of the change log"):
        listed_entries(lines([change()]) + b"\n" + broken)
