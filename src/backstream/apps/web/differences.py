"""Two states of an item side by side: what is added, removed and changed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from backstream.apps.web import values
from backstream.apps.web.access.privacy import ShownValue
from backstream.model.values import wire

ADDED, REMOVED, CHANGED, SAME = "added", "removed", "changed", "same"


class Line(msgspec.Struct, frozen=True):
    """One attribute. `kind`: its change; `before`, `after`: its values, empty if it was not there."""

    name: str
    kind: str
    before: str
    after: str


def lines(before: Mapping[str, ShownValue], after: Mapping[str, ShownValue]) -> list[Line]:
    """Returns a line for each attribute that differs."""
    names = [*after, *(name for name in before if name not in after)]
    found = (_line(name, before.get(name), after.get(name)) for name in names)
    return [each for each in found if each.kind != SAME]


def _line(name: str, before: ShownValue | None, after: ShownValue | None) -> Line:
    return Line(name, kind_of(before, after), *values.changed_cells(before, after))


def kind_of(before: ShownValue | None, after: ShownValue | None) -> str:
    """Returns the kind of an attribute's change. Values are compared as DynamoDB compares them."""
    if before is None:
        return SAME if after is None else ADDED
    if after is None:
        return REMOVED
    return SAME if before.token == after.token or _same(before.token, after.token) else CHANGED


def _same(one: bytes, other: bytes) -> bool:
    return wire.same_image(b'{"a":%s}' % one, b'{"a":%s}' % other)
