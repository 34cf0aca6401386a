"""Finds the names nearest to one that matches nothing, so that a typing error is seen at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

MOST = 3
KEPT = 10_000  # different names that are compared
LOOKED_AT = 10_000  # items whose attributes are noted
DEEPEST = 4  # maps within maps whose attributes are noted


class Nearest:
    """Collects names, and finds those nearest to the requested one. `wanting`: True if more names are of use."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._seen: set[str] = set()

    @property
    def wanting(self) -> bool:
        """False once enough names are known."""
        return len(self._seen) < KEPT

    def add(self, name: str | None) -> None:
        """Keep a name."""
        if name is not None and self.wanting:
            self._seen.add(name)

    def said(self, what: str) -> str:
        """Returns the nearest names as text. `what`: the kind of the names."""
        return said(what, self._wanted, self._seen)


class Attributes:
    """Collects the names of items' attributes, and finds the names in a condition that no item has."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._items = 0

    @property
    def wanting(self) -> bool:
        """False once enough items were read."""
        return self._items < LOOKED_AT

    def add_all(self, item: Mapping[str, Any]) -> None:
        """Keep the names of an item's attributes."""
        self._items += 1
        self._seen.update(list(_paths(item, ""))[: KEPT - len(self._seen)])

    def said(self, wanted: Iterable[str]) -> str:
        """Describes the wanted attributes that no item has, each with the nearest names."""
        missing = [name for name in dict.fromkeys(wanted) if name not in self._seen]
        if not self._seen:
            return ""
        return " ".join(f"No row has an attribute {name!r}. {said('attributes', name, self._seen)}" for name in missing)


def _paths(item: Mapping[str, Any], before: str, depth: int = 1) -> Iterator[str]:
    """Yields the names of attributes, those in maps with dots."""
    for name, value in item.items():
        yield before + name
        inner = value.get("M") if isinstance(value, Mapping) else None
        if isinstance(inner, Mapping) and depth < DEEPEST:
            yield from _paths(inner, f"{before}{name}.", depth + 1)


def said(what: str, wanted: str, names: Iterable[str]) -> str:
    """Returns the names nearest to `wanted` as text; empty if there are none at all."""
    known = sorted(names)
    near = difflib.get_close_matches(wanted, known, n=MOST, cutoff=0.5) or known[:MOST]
    return f"The nearest {what}: {', '.join(map(repr, near))}." if near else ""


def scalar(value: Mapping[str, Any] | None) -> str | None:
    """Returns the text of a string, number or binary in DynamoDB JSON; None for anything else."""
    texts: Sequence[Any] = [] if value is None else [text for kind, text in value.items() if kind in ("S", "N", "B")]
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None
