"""Describes the difference between two images of an item, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backstream.model.changes import merge
from backstream.model.values import wire

AROUND = 40  # characters shown on either side of the place where two long values differ
LONG = 160  # characters; a longer value is cut where a plan is shown
Value = dict[str, Any]  # an attribute's value in DynamoDB JSON


def attributes(image: bytes) -> dict[str, bytes]:
    """Returns an image's attributes, each in compact JSON; none for `null`."""
    if image == b"null":
        return {}
    compact = msgspec.json.format(image, indent=-1)
    return {name: bytes(raw) for name, raw in msgspec.json.decode(compact, type=dict[str, msgspec.Raw]).items()}


def difference(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Returns a line for each attribute that differs."""
    names = [*after, *(name for name in before if name not in after)]
    return _lines(before, after, [name for name in names if before.get(name) != after.get(name)])


def changed_lines(before: bytes, after: bytes, *, cut: bool = False) -> list[str]:
    """Returns a line for each attribute that differs between two images, `null` for none.

    `cut`: show only that part of long values.
    """
    names = merge.changed_names(*(None if each == b"null" else each for each in (before, after)))
    return _lines(attributes(before), attributes(after), names, cut=cut)


def _lines(before: dict[str, bytes], after: dict[str, bytes], names: Sequence[str], *, cut: bool = False) -> list[str]:
    words = []
    for name in names:
        old, new = (None if each is None else each.decode() for each in (before.get(name), after.get(name)))
        if old is not None and new is not None:
            old, new = _where_they_differ(old, new) if cut else (old, new)
            words.append(f"{name}: {old} -> {new}")
        elif new is not None:
            words.append(f"+{name}={_cut(new) if cut else new}")
        elif old is not None:
            words.append(f"-{name}={_cut(old) if cut else old}")
    return words


def _where_they_differ(old: str, new: str) -> tuple[str, str]:
    """Returns the differing part of two long values, so that a change deep in a large one is visible."""
    if max(len(old), len(new)) <= LONG:
        return old, new
    one, other = msgspec.json.decode(old), msgspec.json.decode(new)
    reduced = _differing(one, other)
    if reduced != (one, other):
        old, new = (f"...{msgspec.json.encode(each).decode()}..." for each in reduced)
        if max(len(old), len(new)) <= LONG:
            return old, new
    same = _alike(old, new)
    end = _alike(old[same:][::-1], new[same:][::-1])
    return _around(old, same, len(old) - end), _around(new, same, len(new) - end)


def _differing(one: Value, other: Value) -> tuple[Value, Value]:
    """Returns two values without what is alike in their maps and sets, whose order says nothing: a text would differ everywhere."""
    ((kind, old),), ((of, new),) = one.items(), other.items()
    if kind == of == "M":
        names = [name for name in {**old, **new} if not _same(old.get(name), new.get(name))]
        pairs = {name: _differing(old[name], new[name]) for name in names if name in old and name in new}
        return (
            {kind: {name: pairs[name][0] if name in pairs else old[name] for name in names if name in old}},
            {kind: {name: pairs[name][1] if name in pairs else new[name] for name in names if name in new}},
        )
    if kind == of and kind in ("SS", "NS", "BS"):
        lost, gained = ({_element(kind, each): each for each in found} for found in (old, new))
        return (
            {kind: [each for name, each in lost.items() if name not in gained]},
            {kind: [each for name, each in gained.items() if name not in lost]},
        )
    return one, other


def _element(kind: str, text: str) -> str:
    return text if kind == "SS" else wire.canonical_scalar(kind[0], text)


def _same(one: Value | None, other: Value | None) -> bool:
    return merge.same_value(*(None if each is None else msgspec.Raw(msgspec.json.encode(each)) for each in (one, other)))


def _alike(one: str, other: str) -> int:
    """Returns the number of characters that two texts begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _around(text: str, first: int, last: int) -> str:
    begin, end = max(0, first - AROUND), min(len(text), last + AROUND)
    part = _cut(text[begin:end])
    return f"{'...' if begin else ''}{part}{'...' if end < len(text) and not part.endswith('...') else ''}"


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}..."
