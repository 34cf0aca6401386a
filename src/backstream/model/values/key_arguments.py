"""Parses a key from the command line: typed DynamoDB JSON, plain JSON, or the bare value of a hash key.

The key schema gives the types of plain values.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import MalformedRecord, UsageError
from backstream.model.values.item_text import ItemText
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key, canonical_value


class NumberText(str):
    """A JSON number's own digits. A float would lose all beyond the sixteenth."""

    __slots__ = ()


def parse_key(schema: KeySchema, text: str) -> bytes:
    """Returns the canonical key of `{"id":{"S":"a"},"n":{"N":"5"}}`, of `{"id":"a","n":5}`, or of `a` if there is no sort key.

    `text`: an `ItemText` may hold other attributes too. Raises UsageError if attributes are missing, superfluous, or of a type that
    differs from the key schema.
    """
    bare = schema.range is None and not isinstance(text, ItemText) and not text.lstrip().startswith("{")
    words = {schema.hash.name: {schema.hash.type: text}} if bare else _json_object(schema, text)
    if isinstance(text, ItemText):
        words = {name: words[name] for name in schema.names if name in words}
    if set(words) != set(schema.names):
        raise UsageError(f"not a key of this table: {text}{_wrong_names(schema, words)}", hint=_hint(schema))
    try:
        return canonical_key(schema, {a.name: typed(a, words[a.name]) for a in schema.attributes})
    except MalformedRecord as error:
        raise UsageError(f"not a key of this table: {text}: {error.message}", hint=_hint(schema)) from error
    except UnicodeEncodeError as error:  # half of a surrogate pair, as an escape or out of a terminal that is not UTF-8
        raise UsageError(f"not a key: {text!r} is not text in Unicode", hint=_hint(schema)) from error


def _wrong_names(schema: KeySchema, words: Mapping[str, Any]) -> str:
    """Returns the end of an error message: the superfluous and the missing attributes."""
    extra = [name for name in words if name not in schema.names]
    missing = [name for name in schema.names if name not in words]
    lacks = f": it lacks {' and '.join(missing)}" if missing else ""
    if not extra:
        return lacks
    also = f": {', '.join(extra)} {'is no key attribute' if len(extra) == 1 else 'are no key attributes'}"
    return lacks + also + ("" if missing else "; --key-from-item takes only the key from a whole item")


def parse_partition(schema: KeySchema, text: str) -> bytes:
    """Returns the prefix of the canonical keys of all items with this hash key. `text`: its plain value, binary as base64.

    Raises UsageError if it does not have the key schema's type.
    """
    attribute = schema.hash
    try:
        value = base64.b64encode(base64.b64decode(text, validate=True)).decode() if attribute.type == "B" else text
        known = canonical_value(attribute, {attribute.type: value})
        return msgspec.json.encode({attribute.name: known})[:-1] + (b"}" if schema.range is None else b",")
    except (ValueError, MalformedRecord) as error:  # not base64, no number, or half of a surrogate pair
        word = {"N": "a number", "B": "base64", "S": "text in Unicode"}[attribute.type]
        raise UsageError(f"not a value of {attribute.name}, the partition key: {text!r} is not {word}") from error


def _json_object(schema: KeySchema, text: str) -> Mapping[str, Any]:
    try:
        words = json.loads(text, parse_int=NumberText, parse_float=NumberText)
    except (ValueError, RecursionError) as error:
        bare = "" if text.lstrip().startswith("{") else ": a bare value is a key only where the table has no sort key"
        raise UsageError(f"not a key: {text!r} is not JSON ({error}){bare}", hint=_hint(schema)) from error
    if not isinstance(words, dict):
        raise UsageError(f"not a key: {text!r} is not a JSON object", hint=_hint(schema))
    return words


def typed(attribute: KeyAttribute, word: Any) -> Any:
    """Returns the typed value of a key attribute in plain JSON; a typed one stays."""
    if isinstance(word, NumberText):
        return {"N": str(word)} if attribute.type == "N" else {"a number": str(word)}
    return {attribute.type: word} if isinstance(word, str) else word


def _hint(schema: KeySchema) -> str:
    long = ",".join(f'"{a.name}":{{"{a.type}":"..."}}' for a in schema.attributes)
    plain = ",".join(f'"{a.name}":{"5" if a.type == "N" else chr(34) + "..." + chr(34)}' for a in schema.attributes)
    bare = f", or is the bare value of {schema.hash.name}" if schema.range is None else ""
    return f"A key of this table looks like {{{long}}} or {{{plain}}}{bare}."
