"""`filter`: runs a function over lines of DynamoDB JSON, one after the other, from a dump or an export, or changes of one.

A line is an item (`{"id":{"S":"a"}}`), an item as exports write it (`{"Item":{...}}`), or a change with its `NewImage`. The output
has the shape of the input; an unchanged line stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from backstream.errors import Damaged, ScriptFailed
from backstream.model import migration
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.item_limits import InvalidItem
from backstream.operations.migrate.function import Script

_SHAPES = ("Item", "NewImage")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class FilterScript(Script, Protocol):
    """A script that may have a function `filter`, which decides whether a line stays."""

    @property
    def filters(self) -> bool:
        """True if it has."""

    def keep(self, item: Any) -> Any:
        """Calls it. Raises ScriptFailed, as for `migrate`."""


def filtered(lines: Iterable[bytes], script: FilterScript) -> Iterator[bytes]:
    """Yields the lines that stay, each with its line break. Raises Damaged or ScriptFailed, naming the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            kept = _line(line, script)
        except (Damaged, ScriptFailed) as error:
            raise type(error)(f"line {number}: {error.message}", hint=error.hint) from (error.__cause__ or error)
        except InvalidItem as error:
            raise ScriptFailed(f"line {number}: {error} ({script.path})") from error
        if kept is not None:
            yield kept if kept.endswith(b"\n") else kept + b"\n"


def _line(line: bytes, script: FilterScript) -> bytes | None:
    """Returns the new line; None if it is left out."""
    try:
        fields = _fields.decode(line)
    except UNDECODABLE as error:
        raise Damaged(f"not a line of DynamoDB JSON: {reason(error)}") from error
    shape = _shape(fields)
    if shape is None and "Keys" in fields and "Metadata" in fields:
        return line  # a delete: there is no item to ask about
    image = line.strip() if shape is None else bytes(fields[shape])
    wire.well_formed_item(image)
    after = _judged(image, script)
    if after is None or after is image:
        return None if after is None else line
    return after if shape is None else msgspec.json.encode({**fields, shape: msgspec.Raw(after)})


def _shape(fields: dict[str, msgspec.Raw]) -> str | None:
    """Returns the name of the field that holds the item; None if the line is the item.

    An attribute of that name is a typed value, not an item.
    """
    for name in _SHAPES:
        if name in fields and (len(fields) == 1 or "Keys" in fields) and not _is_value(fields[name]):
            return name
    return None


def _is_value(raw: msgspec.Raw) -> bool:
    """True if it is one typed attribute value: then the line is an item with an attribute of that name."""
    return wire.well_formed(msgspec.json.decode(raw))


def _judged(image: bytes, script: FilterScript) -> bytes | None:
    """Returns the image that stays, unchanged if it is the same; None if it is left out."""
    native = script.native
    item = migration.given(image, native=native)
    if script.filters:
        answer = script.keep(item)
        if not isinstance(answer, bool):
            raise InvalidItem(f"filter gave back {answer!r:.40}, a {type(answer).__name__}: return True or False")
        return image if answer else None
    return migration.becomes(script.migrate(item), item, image, native=native)
