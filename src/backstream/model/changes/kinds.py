"""Finds the attributes that a change changed, quickly if a change of the same kind came shortly before.

Changes come in kinds: a deploy sets one attribute of every row, a service two others. The names of such a kind tell where to look
in the bytes of both images. If all other bytes are the same before and after, nothing else differs, and no image is decoded.
Everything that this does not prove is left to `merge.changed_attributes`, so the answer is always the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from backstream.model.changes import merge
from backstream.model.values.decoding import UNDECODABLE

KINDS = 4  # that are remembered
MOST = 4  # attributes of a kind
PATIENCE = 256  # kinds are not tried for a while after this many more changes of unknown kinds than of known ones
REST = 4_096  # changes of that while

_skip = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Attribute(msgspec.Struct, frozen=True, gc=False):
    """An attribute of a kind. `tag` is its name in an image, up to its value; `plain` matches it there with a plain value."""

    name: str
    tag: bytes
    plain: Callable[[bytes, int], re.Match[bytes] | None]


Kind = Sequence[_Attribute]


def kind_of(names: Sequence[str]) -> Kind:
    """Returns the kind of changes that change these attributes, which stand in images in this order."""
    tags = [msgspec.json.encode(name) + b":" for name in names]
    return [_Attribute(name, tag, re.compile(re.escape(tag) + merge.PLAIN).match) for name, tag in zip(names, tags, strict=True)]


class ChangedAttributes:
    """Finds the names of the attributes that differ, like `merge.changed_attributes`, in change after change."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, ...], Kind] = {}
        self._last: Kind | None = None
        self._missed = 0
        self._resting = 0

    def __call__(self, old: bytes | None, new: bytes | None) -> list[str]:
        """Returns the names of the top-level attributes in which two images differ, in the order of `merge.changed_attributes`."""
        if old is None or new is None:
            return merge.changed_attributes(old, new)
        if self._last is not None and (found := differing(self._last, old, new)) is not None:
            return found
        if self._resting:
            self._resting -= 1
            return merge.changed_attributes(old, new)
        return self._of_another_kind(old, new)

    def _of_another_kind(self, old: bytes, new: bytes) -> list[str]:
        for kind in self._kinds.values():
            if kind is not self._last and (found := differing(kind, old, new)) is not None:
                self._missed -= bool(self._missed)
                self._last = kind
                return found
        names = merge.changed_attributes(old, new)
        self._learn(names)
        return names

    def _learn(self, names: list[str]) -> None:
        self._missed += 1
        if self._missed > PATIENCE:
            self._missed, self._resting, self._last = 0, REST, None
            return
        if 0 < len(names) <= MOST and tuple(names) not in self._kinds:
            if len(self._kinds) == KINDS:
                del self._kinds[next(iter(self._kinds))]
            self._last = self._kinds[tuple(names)] = kind_of(names)


def differing(kind: Kind, old: bytes, new: bytes) -> list[str] | None:
    """Returns the attributes of a kind that differ between two images, both valid JSON; None if others may differ, or if nothing is
    certain.

    Walks both images from one attribute of the kind to the next. The bytes between must be the same in both, and must be whole
    members of an object: with an empty member in place of the attribute they form one. So the attribute belongs to the item itself,
    and is not a part of a text or of a nested map.
    """
    found, then, now, before = list[str](), 0, 0, b""
    try:
        for each in kind:
            start = new.find(each.tag, now)
            between = new[now:start]
            if start < 0 or not old.startswith(between, then):
                return None
            _skip(before + between + b'"":0}')
            then, now, before = then + len(between), start, b'{"":0'
            was, value = each.plain(old, then), each.plain(new, now)
            if was is not None and value is not None:
                same = was[0] == value[0]
                then, now = was.end(), value.end()
            else:
                then, now, same = _any_value(each.tag, old, then, new, now)
            if not same:
                found.append(each.name)
            if new.find(each.tag, now) >= 0:
                return None  # of two members of one name the last one counts
    except UNDECODABLE:
        return None
    return found if old[then:] == new[now:] else None


def _any_value(tag: bytes, old: bytes, then: int, new: bytes, now: int) -> tuple[int, int, bool]:
    """Returns the end of an attribute in both images, and whether its values are equal.

    Raises UNDECODABLE if that is not certain.
    """
    end_then, end_now = _end(old, then), _end(new, now)
    was, value = _value(tag, old[then:end_then]), _value(tag, new[now:end_now])
    return end_then, end_now, merge.same_value(was, value)


def _end(image: bytes, start: int) -> int:
    """Returns the possible end of an attribute that starts there: before the next comma after a brace, or the last brace."""
    end = image.find(b'},"', start)
    return len(image) - 1 if end < 0 else end + 1


def _value(tag: bytes, member: bytes) -> msgspec.Raw:
    """Returns the value of bytes that must be one member of an object, and nothing more."""
    found = _members(b"{%b}" % member) if member.startswith(tag) else {}
    if len(found) != 1:
        raise ValueError(tag)
    return next(iter(found.values()))
