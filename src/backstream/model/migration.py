"""Checks the result of a migration's function, and makes an item's new image from it, before anything is touched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.model.values import item_limits, numbers, python_items, wire
from backstream.model.values.item_limits import InvalidItem


class _Delete:
    """See `DELETE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "backstream.DELETE"


DELETE: Final = _Delete()  # what a migration's function gives back to have the item deleted


class DynamoDBJson(dict[str, dict[str, Any]]):
    """An item in DynamoDB JSON, `{"id": {"S": "a"}}`, binary as base64 text. A function asks for it by this annotation."""


class ItemRewrite(msgspec.Struct, frozen=True):
    """The rewrite of an item. `before`: its image, None if it does not exist; `after`: its new image, None to delete it."""

    key: bytes
    before: bytes | None
    after: bytes | None


def given(image: bytes | None, *, native: bool) -> Any:
    """Returns an item as the function receives it: a new object each time, since it may change it; None if there is none."""
    if image is None:
        return None
    return DynamoDBJson(wire.decode(image)) if native else python_items.to_plain(image)


def becomes(result: Any, passed: Any, base: bytes | None, *, native: bool) -> bytes | None:
    """Returns the item's new image; None to delete it; `base` itself to leave it alone.

    `result`: the function's result; `passed`: the object for `base` that it received, in its present state. Attributes that are
    equal to the base's keep its bytes. Raises InvalidItem if the result is not an item.
    """
    if result is DELETE:
        return None
    if result is None:
        if base is not None and spliced(fields_of(passed, native=native), base) != base:
            raise InvalidItem("it changed the item and gave back nothing: end the function with `return item`")
        return base
    if not isinstance(result, Mapping):
        raise InvalidItem(
            f"it gave back {_short(result)}, a {type(result).__name__}: return the item, None to leave it as it is, "
            "or backstream.DELETE"
        )
    image = spliced(fields_of(result, native=native), base)
    item_limits.check_size(image)
    return base if base is not None and wire.same_image(image, base) else image


def fields_of(item: Mapping[Any, Any], *, native: bool) -> Mapping[str, Any]:
    """Returns an item from a function's result, as decoded DynamoDB JSON. Raises InvalidItem if it is not one."""
    if not native:
        return python_items.from_plain(item)
    try:
        fields = msgspec.json.decode(msgspec.json.encode(item))  # bytes become base64 text, as boto3's callers expect
    except (TypeError, ValueError) as error:
        raise InvalidItem(f"it gave back what is no DynamoDB JSON: {error}") from error
    return {str(name): value for name, value in fields.items()}


def spliced(fields: Mapping[str, Any], base: bytes | None) -> bytes:
    """Returns the image of these attributes; those equal to `base`'s keep their bytes.

    Raises InvalidItem if another one is invalid.
    """
    old = {} if base is None else wire.decode(base)
    raw = {} if base is None else msgspec.json.decode(base, type=dict[str, msgspec.Raw])
    kept = {name for name, value in fields.items() if _is_kept(name, value, old)}
    if base is not None and kept == old.keys() == fields.keys():
        return base
    return msgspec.json.encode({name: raw[name] if name in kept else value for name, value in fields.items()})


def _is_kept(name: str, value: Any, old: Mapping[str, Any]) -> bool:
    """True if an attribute is unchanged.

    Only changed ones are checked: existing values of the table are not this tool's business.
    """
    if name in old and value == old[name]:
        return True
    item_limits.check({name: value})
    return name in old and wire.same_image(wire.encode({name: value}), wire.encode({name: old[name]}))


def digest(image: bytes | None) -> str | None:
    """Returns a digest that is the same for images of the same item, and differs for all others; None without an image."""
    if image is None:
        return None
    canonical = _canonical({"M": wire.well_formed_item(image)})
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()[:32]


def _canonical(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, inner),) = value.items()
    match kind:
        case "M":
            return {kind: {name: _canonical(each) for name, each in inner.items()}}
        case "L":
            return {kind: [_canonical(each) for each in inner]}
        case "N":
            return {kind: numbers.canonical(inner)}
        case "NS":
            return {kind: sorted(map(numbers.canonical, inner))}
        case "B":
            return {kind: _rewritten(inner)}
        case "BS":
            return {kind: sorted(map(_rewritten, inner))}
        case "SS":
            return {kind: sorted(inner)}
        case _:
            return {kind: inner}


def _rewritten(text: str) -> str:
    """Returns base64 with its unused bits set to zero."""
    return base64.b64encode(base64.b64decode(text)).decode()


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an object of the user's may raise anything; its type is named beside it
        return "something"
    return text if len(text) <= 40 else f"{text[:40]}..."
