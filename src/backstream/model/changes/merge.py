"""Three-way merge of an item: undoes the changes of a window, and keeps later changes of others.

For each item there are three states, each an image in DynamoDB JSON or None where the item does not exist:

    before   at the start of the window
    bad      at its end
    live     now

`undone` merges by top-level attribute, or by the item as a whole. `undone_steps` undoes single changes, newest first, and keeps the
changes between them. Values are compared as DynamoDB compares them: numbers by value, sets without order.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import ne

import msgspec

from backstream.model.values import wire


class Merge(enum.StrEnum):
    """The unit of a merge: each top-level attribute, or the whole item."""

    ATTRIBUTES = "attributes"
    ITEM = "item"


class MergeVerdict(enum.StrEnum):
    """The result of a merge.

    UNCHANGED: the item already has the merged state. WRITE: it must become `Merged.image`. CONFLICT: the window and others both
    changed it. GONE: somebody has deleted it since, so there is nothing to undo.
    """

    UNCHANGED = "unchanged"
    WRITE = "write"
    CONFLICT = "conflict"
    GONE = "gone"


class MergeStep(msgspec.Struct, frozen=True):
    """One change of an item: its state before and after the change, None if it did not exist."""

    old: bytes | None
    new: bytes | None


class Merged(msgspec.Struct, frozen=True):
    """The outcome for one item. `image`: for a WRITE, its new image (None: delete it); `why`: the reason of the other results.

    `attributes`: the names of the attributes in conflict.
    """

    verdict: MergeVerdict
    image: bytes | None = None
    why: str = ""
    attributes: tuple[str, ...] = ()


UNCHANGED = Merged(MergeVerdict.UNCHANGED)
GONE = Merged(MergeVerdict.GONE, why="somebody has deleted it since")
CREATED_AGAIN = "the window deleted it, and somebody has created it again since"
CHANGED_SINCE = "the window created it, and somebody has changed it since"
ITEM_CHANGED = "somebody has changed it since"

_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Fields = Mapping[str, msgspec.Raw]
_NOTHING: _Fields = {}


def undone(
    before: bytes | None, bad: bytes | None, live: bytes | None, by: Merge = Merge.ATTRIBUTES, *, overwrite: bool = False
) -> Merged:
    """Returns an item's new state after undoing a window's changes, from `before` to `bad`, and keeping later changes.

    `overwrite`: if both changed the same thing, the state before the window wins. Raises Damaged if bytes are not an item.
    """
    if wire.same_state(live, bad):
        return _to(before, live)
    if wire.same_state(live, before) or wire.same_state(before, bad):
        return UNCHANGED
    if by is Merge.ITEM:
        return _to(before, live) if overwrite else Merged(MergeVerdict.CONFLICT, why=ITEM_CHANGED)
    if before is None:
        if live is None:
            return UNCHANGED
        return _to(None, live) if overwrite else Merged(MergeVerdict.CONFLICT, why=CHANGED_SINCE)
    if bad is None:
        return _to(before, live) if overwrite else Merged(MergeVerdict.CONFLICT, why=CREATED_AGAIN)
    if live is None:
        return GONE
    return _by_attribute(before, bad, live, overwrite=overwrite)


def _to(image: bytes | None, live: bytes | None) -> Merged:
    return UNCHANGED if wire.same_state(image, live) else Merged(MergeVerdict.WRITE, image)


def _by_attribute(before: bytes, bad: bytes, live: bytes, *, overwrite: bool) -> Merged:
    """Merges by attribute. All three states exist."""
    one, other, now = _fields(before), _fields(bad), _fields(live)
    result, conflicts = dict(now), list[str]()
    for name in changed_fields(one, other):
        was, is_now = one.get(name), now.get(name)
        if same_value(is_now, was):
            continue
        if not overwrite and not same_value(is_now, other.get(name)):
            conflicts.append(name)
        elif was is None:
            del result[name]
        else:
            result[name] = was
    if conflicts:
        return Merged(MergeVerdict.CONFLICT, why=_both_changed(conflicts), attributes=tuple(conflicts))
    return _to(msgspec.json.encode(result), live)


def _both_changed(names: Sequence[str]) -> str:
    return f"the window changed {', '.join(names)}, and somebody has changed the same since"


def undone_steps(
    steps: Sequence[MergeStep],
    chosen: Sequence[bool],
    live: bytes | None,
    by: Merge = Merge.ATTRIBUTES,
    *,
    overwrite: bool = False,
) -> Merged:
    """Returns an item's new state after undoing the chosen changes of a window, newest first, and keeping the others.

    `steps`: all changes of the item in the window, oldest first; `chosen`: True for each one to undo. If all are chosen, it is
    `undone` from the first one's old state to the last one's new state.

    A second run finds nothing to do. An item is UNCHANGED if it already has the state that undoing them at the window's end would
    have left, apart from later changes of others.
    """
    if all(chosen):
        return undone(steps[0].old, steps[-1].new, live, by, overwrite=overwrite)
    direct = _backwards(steps, chosen, live, by, overwrite=False)
    if direct.verdict in (MergeVerdict.WRITE, MergeVerdict.UNCHANGED):
        return direct
    bad = steps[-1].new
    inside = _backwards(steps, chosen, bad, by, overwrite=False)
    if inside.verdict in (MergeVerdict.WRITE, MergeVerdict.UNCHANGED):
        target = inside.image if inside.verdict is MergeVerdict.WRITE else bad
        merged = undone(target, bad, live, by)
        if merged.verdict is not MergeVerdict.CONFLICT:
            return merged
    return _backwards(steps, chosen, live, by, overwrite=True) if overwrite and direct.verdict is MergeVerdict.CONFLICT else direct


def _backwards(steps: Sequence[MergeStep], chosen: Sequence[bool], live: bytes | None, by: Merge, *, overwrite: bool) -> Merged:
    state = live
    for step, taken in zip(reversed(steps), reversed(chosen), strict=True):
        if not taken:
            continue
        merged = undone(step.old, step.new, state, by, overwrite=overwrite)
        if merged.verdict is MergeVerdict.WRITE:
            state = merged.image
        elif merged.verdict is not MergeVerdict.UNCHANGED:
            return merged
    return _to(state, live)


# --- attributes -------------------------------------------------------------------------------------------------------------------


def changed_names(old: bytes | None, new: bytes | None) -> list[str]:
    """Returns the names of the top-level attributes in which two states differ, in the order of the newer one, the removed ones
    last.
    """
    return changed_fields({} if old is None else _fields(old), {} if new is None else _fields(new))


def changed_attributes(old: bytes | None, new: bytes | None) -> list[str]:
    """Returns the same as `changed_names`, for images that are known to be items."""
    return changed_fields(_NOTHING if old is None else _shallow.decode(old), _NOTHING if new is None else _shallow.decode(new))


def changed_fields(old: _Fields, new: _Fields) -> list[str]:
    """Returns the same for decoded states."""
    if not old or not new:
        return [*new, *old]
    if list(old) == list(new):  # nearly always, and compared at once
        return [name for name in compress(new, map(ne, old.values(), new.values())) if not same_value(old[name], new[name])]
    get = old.get
    names = [name for name, value in new.items() if (was := get(name)) != value and not same_value(was, value)]
    return names if new.keys() >= old.keys() else names + [name for name in old if name not in new]


PLAIN = rb'\{"(?:S":"[^"\\]*"|N":"(?:0|-?[1-9][0-9]*)"|BOOL":(?:true|false))\}'  # values of one spelling each
_is_plain = re.compile(PLAIN).fullmatch


def same_value(one: msgspec.Raw | None, other: msgspec.Raw | None) -> bool:
    """True if two values of an attribute are equal; None stands for no value. Numbers compare by value, sets without order."""
    if one is None or other is None:
        return one is other
    first, second = bytes(one), bytes(other)
    if first == second:
        return True
    if _is_plain(first) and _is_plain(second):
        return False
    return wire.same_image(b'{"v":%b}' % first, b'{"v":%b}' % second)


def _fields(image: bytes) -> dict[str, msgspec.Raw]:
    wire.well_formed_item(image)
    return _shallow.decode(image)
