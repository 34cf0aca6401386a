"""What a migration's function may give back, and what becomes of an item's image then: decided before anything is touched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from backstream.model import fitness, numbers, plain, wire
from backstream.model.fitness import Unfit


class _Delete:
    """See `DELETE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "backstream.DELETE"


DELETE: Final = _Delete()  # what a migration's function gives back to have the item deleted


class DynamoDBJson(dict[str, dict[str, Any]]):
    """An item in DynamoDB JSON, `{"id": {"S": "a"}}`, binary as base64 text: for the annotation of a function that wants it so."""


class Change(msgspec.Struct, frozen=True):
    """What is to become of an item. `before`: its image, None where it does not exist; `after`: None to delete it."""

    key: bytes
    before: bytes | None
    after: bytes | None


def given(image: bytes | None, *, native: bool) -> Any:
    """An item as the function gets it: a new object each time, since it may change it; None where there is none."""
    if image is None:
        return None
    return DynamoDBJson(wire.decode(image)) if native else plain.to_plain(image)


def becomes(result: Any, passed: Any, base: bytes | None, *, native: bool) -> bytes | None:
    """The image that the item is to have, None where it is to be deleted; `base` itself where it is to be left alone.

    `result`: what the function gave back; `passed`: the object it was given that stands for `base`, as it is by now.
    Attributes that are equal to the base's keep its bytes. Unfit where the result is none.
    """
    if result is DELETE:
        return None
    if result is None:
        if base is not None and spliced(fields_of(passed, native=native), base) != base:
            raise Unfit("it changed the item and gave back nothing: end the function with `return item`")
        return base
    if not isinstance(result, Mapping):
        raise Unfit(
            f"it gave back {_short(result)}, a {type(result).__name__}: return the item, None to leave it as it is, "
            "or backstream.DELETE"
        )
    image = spliced(fields_of(result, native=native), base)
    fitness.check_size(image)
    return base if base is not None and wire.same_image(image, base) else image


def fields_of(item: Mapping[Any, Any], *, native: bool) -> Mapping[str, Any]:
    """An item as a function gave it back, as decoded DynamoDB JSON that DynamoDB takes. Unfit where it is none."""
    fields = item if native else plain.from_plain(item)
    if native:
        try:
            fields = msgspec.json.decode(msgspec.json.encode(fields))  # bytes become base64 text, as boto3's callers expect
        except (TypeError, ValueError) as error:
            raise Unfit(f"it gave back what is no DynamoDB JSON: {error}") from error
    fitness.check(fields)
    return fields


def spliced(fields: Mapping[str, Any], base: bytes | None) -> bytes:
    """The image of these attributes; each that is equal to that of `base` in its bytes."""
    old = {} if base is None else wire.decode(base)
    raw = {} if base is None else msgspec.json.decode(base, type=dict[str, msgspec.Raw])
    if len(raw) == len(fields) and all(name in old and _same(value, old[name]) for name, value in fields.items()):
        return base or b"{}"
    return msgspec.json.encode(
        {name: raw[name] if name in old and _same(value, old[name]) else value for name, value in fields.items()}
    )


def _same(value: Any, other: Any) -> bool:
    return value == other or wire.same_image(wire.encode({"v": value}), wire.encode({"v": other}))


def digest(image: bytes | None) -> str | None:
    """What tells an item's image from every other: the same for images that are the same item. None where there is none."""
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
    """Base64 whose unused bits are zero."""
    return base64.b64encode(base64.b64decode(text)).decode()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
