"""Finds items in the midst of text: messages in records name an item by its key in JSON, or by the name of its row object."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence

ERASED = "(erased)"
Span = tuple[int, int]  # where something begins and ends in a text
_OBJECT = re.compile(r"\{\s*\"")
_ENDS = re.compile(r" \(version |: |; |, |\. |\)|'|\"|$")  # what may follow a name in a message
_MOST_ENDS = 50
_decoder = json.JSONDecoder()


def without(text: str, spans: Sequence[Span]) -> str:
    """Returns a text with `ERASED` in place of these parts."""
    kept, begin = list[str](), 0
    for since, until in sorted(spans):
        if since >= begin:
            kept += [text[begin:since], ERASED]
        begin = max(begin, until)
    return "".join([*kept, text[begin:]])


def objects(text: str, attributes: Collection[str], is_wanted: Callable[[object], bool]) -> Iterator[Span]:
    """Yields where a text holds an object in JSON that is wanted. `attributes`: names that each of these objects has."""
    at = 0 if all(json.dumps(each, ensure_ascii=False) in text or json.dumps(each) in text for each in attributes) else len(text)
    while (found := _OBJECT.search(text, at)) is not None:
        at = found.start() + 1
        try:
            value, end = _decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        if is_wanted(value):
            yield found.start(), end
            at = end


def names(text: str, folders: Sequence[str], is_wanted: Callable[[str], bool]) -> Iterator[Span]:
    """Yields where a text holds the name of a wanted object in these folders: a name has no mark of its end."""
    for folder in folders:
        at = text.find(folder)
        while at >= 0:
            ends = [each.start() for each, _ in zip(_ENDS.finditer(text, at), range(_MOST_ENDS), strict=False)]
            end = next((each for each in reversed(ends) if is_wanted(text[at:each])), None)
            if end is not None:
                yield at, end
            at = text.find(folder, at + 1 if end is None else end)
