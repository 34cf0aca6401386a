"""Takes the subject out of values in JSON: out of lists the elements that name it, out of objects the fields."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from backstream.operations.erase import sentences
from backstream.operations.erase.searching import DEEPEST, Search, compressed_as, decoded, key_of, plain, within
from backstream.operations.erase.subject import NEVER, Subject


class Redactor:
    """Returns values without the subject."""

    def __init__(self, search: Search, subject: Subject, *, typed: bool = False) -> None:
        """`typed`: only typed keys count."""
        self._search = search
        self._subject = subject
        self._typed = typed

    def without(self, value: Any, depth: int = 0) -> Any:
        """Returns a value in which the subject is nowhere: parts about it are left out of lists, and null elsewhere."""
        if not self._is_in(value) or depth > DEEPEST:
            return value if depth <= DEEPEST else None
        if isinstance(value, dict):
            if self._is_item(value):
                return None
            return {name: self.without(each, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            return [self.without(each, depth + 1) for each in value if not self._belongs(each)]
        return self._text(value, depth) if isinstance(value, str) else None

    def _belongs(self, element: Any) -> bool:
        """True if an element of a list is of the subject alone: it has its item or key, and no list of others."""
        inner = within(element) if isinstance(element, str) else element
        return inner is not None and self._is_in(element) and not _has_list(inner)

    def _text(self, value: str, depth: int) -> Any:
        if within(value) is None:
            return sentences.without(value, list(self._search.spans_in(value, typed=self._typed)))
        inner = self.without(within(value), depth + 1)
        if inner is None:
            return None
        text = msgspec.json.encode(inner)
        return text.decode() if value[:1] in ("{", "[") else base64.b64encode(text).decode()

    def _is_in(self, value: Any) -> bool:
        return self._search.is_within(value, typed=self._typed)

    def _is_item(self, value: dict[str, Any]) -> bool:
        key = key_of(self._search.schema, value, typed=self._typed)
        return key is not None and self._subject.until(key) > NEVER

    def body(self, body: bytes) -> bytes:
        """Returns a body of JSON, or of lines of JSON, without the subject, compressed as it was.

        Raises Damaged if it cannot be read.
        """
        text = plain(body)
        values = list(decoded(text))
        if len(values) == 1 and not text.rstrip().count(b"\n"):
            kept = msgspec.json.encode(self.without(values[0])) + (b"\n" if text.endswith(b"\n") else b"")
        elif len(values) == 1:
            kept = msgspec.json.format(msgspec.json.encode(self.without(values[0])), indent=2)
        else:
            kept = b"".join(msgspec.json.encode(self.without(each)) + b"\n" for each in values if not self._belongs(each))
        return compressed_as(body, kept)


def _has_list(value: Any) -> bool:
    """True if a value holds a list of objects."""
    if isinstance(value, list):
        return any(isinstance(each, dict | list) for each in value)
    return isinstance(value, dict) and any(map(_has_list, value.values()))
