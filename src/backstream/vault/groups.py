"""Keeps groups of tables in the vault: `_backstream/~groups/NAME.json`. Every change of a group is kept as a version.

No table can have the folder's name. A group names its tables, or the tags that a table of it carries. A removed group has a delete
marker on top: its definitions stay below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from backstream.errors import AlreadyExists, ConditionNotMet, Damaged, MissingObject, NotFound, UsageError
from backstream.model import moment
from backstream.model.tables.naming import SYSTEM_FOLDER, is_table_name
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore, ObjectVersion

FORMAT = 1
FOLDER = f"{SYSTEM_FOLDER}/~groups/"
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,100}")
_ENDING = ".json"


class Group(msgspec.Struct, frozen=True):
    """A group: the names of its tables, in the order in which they were given, or the tags that its tables carry.

    `saved`: the time of the definition (ISO 8601).
    """

    format: int
    name: str
    saved: str
    tables: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}


class _Header(msgspec.Struct):
    """The part that a definition of any format has."""

    format: int


class GroupVersion(msgspec.Struct, frozen=True):
    """A definition of a group, or its removal (`removed`), at the time `saved`. `unreadable`: why a definition cannot be read."""

    name: str
    saved: str
    tables: Sequence[str] = ()
    tags: Mapping[str, str] = {}
    removed: bool = False
    unreadable: str = ""


def check_name(name: str) -> None:
    """Raises UsageError for text that cannot be a group's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"not a group's name: {name!r}", hint="1 to 100 of the characters a-z, A-Z, 0-9, '_', '-' and '.'.")


def names(store: ObjectStore) -> list[str]:
    """Returns the names of all groups."""
    found = (each.name.removeprefix(FOLDER) for each in store.list(FOLDER))
    return sorted(each.removesuffix(_ENDING) for each in found if each.endswith(_ENDING))


def save(store: ObjectStore, name: str, tables: Sequence[str], tags: Mapping[str, str], now: float) -> Group:
    """Defines a group anew, or for the first time, and returns it. Writes nothing if it is defined like that already.

    A definition that cannot be read is replaced. Raises Damaged for one of a newer format, and ConditionNotMet if somebody defines
    it at the same time.
    """
    check_name(name)
    wanted = Group(FORMAT, name, moment.iso(int(now)), tuple(tables), dict(tags))
    try:
        found = store.get(_name_of(name))
    except MissingObject:
        return _put(store, wanted, None)
    known = _read(found.body, name)
    if isinstance(known, Group) and (known.tables, dict(known.tags)) == (wanted.tables, dict(wanted.tags)):
        return known
    return _put(store, wanted, found.info.tag)


def load(store: ObjectStore, name: str, at: int | None = None) -> Group:
    """Returns a group as it is defined now, or as it was at the end of a second.

    Raises NotFound if there is none of this name, or if there was none then.
    """
    check_name(name)
    chosen = next((each for each in _versions(store, name) if at is None or each.modified < at + 1), None)
    if chosen is None or chosen.marker:
        raise _unknown(store, name, at, chosen)
    return _decoded(store.get(_name_of(name), chosen.version).body, name)


def remove(store: ObjectStore, name: str) -> GroupVersion:
    """Removes a group, and returns its removal; its definitions stay. Raises NotFound if there is none of this name."""
    check_name(name)
    newest = next(iter(_versions(store, name)), None)
    if newest is None or newest.marker:
        raise _unknown(store, name, None, newest)
    store.delete(_name_of(name))
    return next(versions(store, name))


def versions(store: ObjectStore, name: str) -> Iterator[GroupVersion]:
    """Yields every definition of a group and every removal, newest first. Raises NotFound if there was never one of this name."""
    check_name(name)
    found = list(_versions(store, name))
    if all(each.marker for each in found):
        raise _unknown(store, name, None, None)
    return (_version(store, name, each) for each in found)


def _version(store: ObjectStore, name: str, each: ObjectVersion) -> GroupVersion:
    if each.marker:
        return GroupVersion(name, moment.iso(int(each.modified)), removed=True)
    found = _read(store.get(_name_of(name), each.version).body, name)
    if isinstance(found, str):
        return GroupVersion(name, moment.iso(int(each.modified)), unreadable=found)
    return GroupVersion(name, found.saved, found.tables, found.tags)


def _name_of(name: str) -> str:
    return f"{FOLDER}{name}{_ENDING}"


def _versions(store: ObjectStore, name: str) -> Iterator[ObjectVersion]:
    return store.versions_of(_name_of(name))


def _put(store: ObjectStore, group: Group, tag: str | None) -> Group:
    body = msgspec.json.format(msgspec.json.encode(group), indent=2) + b"\n"
    metadata = {"format": str(FORMAT)}
    try:
        if tag is None:
            store.put(_name_of(group.name), body, metadata, if_absent=True)
        else:
            store.put(_name_of(group.name), body, metadata, if_match=tag)
    except (AlreadyExists, MissingObject) as error:
        raise ConditionNotMet(f"somebody else defines the group {group.name} now", hint="Run it again.") from error
    return group


def _decoded(body: bytes, name: str) -> Group:
    found = _read(body, name)
    if isinstance(found, str):
        raise Damaged(found, hint=f"Define it anew: backstream group {name} TABLE...")
    return found


def _read(body: bytes, name: str) -> Group | str:
    """Returns a definition, or why it cannot be read. Raises Damaged for one of a newer format."""
    if (format_ := _format_of(body)) > FORMAT:
        raise Damaged(f"the group {_name_of(name)} is of format {format_}", hint="Use a newer Backstream.")
    try:
        group = msgspec.json.decode(body, type=Group)
    except UNDECODABLE as error:
        return f"the group {_name_of(name)} cannot be read: {reason(error)}"
    if group.name != name or not all(map(is_table_name, group.tables)) or bool(group.tables) == bool(group.tags):
        return f"the group {_name_of(name)} says what none does"
    return group


def _format_of(body: bytes) -> int:
    try:
        return msgspec.json.decode(body, type=_Header).format
    except UNDECODABLE:
        return 0  # of none


def _unknown(store: ObjectStore, name: str, at: int | None, removed: ObjectVersion | None) -> NotFound:
    known = names(store)
    said = f"The vault's groups: {', '.join(known)}." if known else f"Define it: backstream group {name} TABLE..."
    if removed is not None:
        hint = f"`backstream group {name} --versions` lists its definitions; `--group {name}@MOMENT` is the group as it was."
        return NotFound(f"the group {name!r} was removed at {moment.iso(int(removed.modified))}", hint=hint)
    if at is not None and name in known:
        return NotFound(f"there was no group {name!r} at {moment.iso(at)}", hint=f"`backstream group {name} --versions` lists all.")
    return NotFound(f"the vault {store.url} knows no group {name!r}", hint=said)
