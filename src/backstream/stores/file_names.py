"""Turns object names into paths and back, for `DirectoryStore`: one pure pair, `to_path` and `to_name`.

A name's parts between slashes become folders. Plain characters stay unchanged, so that a person finds `flights/abc` at
`flights/abc@`:

- The last component ends in `@`: an object, not the folder of others. (`a` and `a/b` can both be objects.)
- Bytes other than printable ASCII, and `%`, become `%XX`. So do a leading dot (`.`, `..` and hidden files are not ours) and a
  trailing `@` or `~` (they would look like our own marks). An empty part is a lone `%`.
- A part that would be longer than 240 characters is cut: its first 80 bytes and `~`, then the rest in the folder below that.
"""

from __future__ import annotations

from backstream.errors import Damaged

OBJECT_MARK = "@"
CUT_MARK = "~"

_LONGEST = 240  # of the 255 bytes that file systems take; a mark comes on top
_CUT_BYTES = 80  # at most 240 characters when each is escaped
_EMPTY = "%"
_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%"), ord("/")}
_CHARACTERS = tuple(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in range(256))


def to_path(name: str) -> list[str]:
    """Returns the path components of the object called `name`."""
    *folders, last = name.encode().split(b"/")
    path = [component for part in folders for component in _cut(part)]
    *beginnings, end = _cut(last)
    return [*path, *beginnings, end + OBJECT_MARK]


def to_folder(parts: bytes) -> list[str]:
    """Returns the path components of the folder with all names starting with `parts`, which ends in a slash or is empty."""
    return [component for part in parts.split(b"/")[:-1] for component in _cut(part)]


def to_name(path: list[str]) -> str:
    """Returns the name of the object at these path components."""
    return b"".join(name_bytes(component) for component in path).decode()


def name_bytes(component: str) -> bytes:
    """Returns one component's share of a name: a part, with the slash behind it if it is a folder's.

    Raises `Damaged` if it is not ours.
    """
    marked = component.endswith((OBJECT_MARK, CUT_MARK))
    text = component[:-1] if marked else component
    part = _unescaped(text)
    if part is None or _escaped(part) != text:
        raise Damaged(f"The folder {component!r} in the store was not made by it.", hint="Move it elsewhere.")
    return part if marked else part + b"/"


def _cut(part: bytes) -> list[str]:
    escaped = _escaped(part)
    if len(escaped) <= _LONGEST:
        return [escaped]
    return [_escaped(part[:_CUT_BYTES]) + CUT_MARK, *_cut(part[_CUT_BYTES:])]


def _escaped(part: bytes) -> str:
    if not part:
        return _EMPTY
    characters = [_CHARACTERS[byte] for byte in part]
    if characters[0] == ".":
        characters[0] = "%2E"
    if characters[-1] in (OBJECT_MARK, CUT_MARK):
        characters[-1] = f"%{part[-1]:02X}"
    return "".join(characters)


def _unescaped(text: str) -> bytes | None:
    if text == _EMPTY:
        return b""
    plain, *escapes = text.split("%")
    try:
        return plain.encode() + b"".join(bytes.fromhex(escape[:2]) + escape[2:].encode() for escape in escapes)
    except ValueError:  # no hexadecimal digits, or a file name that is not UTF-8
        return None


def may_hold(begin: bytes, prefix: bytes, after: bytes) -> bool:
    """True if a name that begins with `begin` can start with `prefix` and follow `after`."""
    related = begin.startswith(prefix) or prefix.startswith(begin)
    return related and (begin > after or after.startswith(begin))
