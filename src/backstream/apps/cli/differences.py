"""What changed between two images of an item, in lines for people."""

from __future__ import annotations

import msgspec


def attributes(image: bytes) -> dict[str, bytes]:
    """An image's attributes, each in compact JSON; none for `null`."""
    if image == b"null":
        return {}
    compact = msgspec.json.format(image, indent=-1)
    return {name: bytes(raw) for name, raw in msgspec.json.decode(compact, type=dict[str, msgspec.Raw]).items()}


def difference(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """A line for each attribute that is not the same."""
    names = [*after, *(name for name in before if name not in after)]
    words = []
    for name in names:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None and new is not None:
            words.append(f"+{name}={new.decode()}")
        elif new is None and old is not None:
            words.append(f"-{name}={old.decode()}")
        elif old is not None and new is not None:
            words.append(f"{name}: {old.decode()} -> {new.decode()}")
    return words
