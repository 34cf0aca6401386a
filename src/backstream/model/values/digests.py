"""The digest of an item's state: equal for equal states, however their JSON is written.

Two states are equal by the rule of `wire.same_state`: numbers by value, sets and attributes in any order, the rest exactly. The
digest is the beginning of the SHA-256 of the state's canonical form. That is JSON without spaces, the names in each map sorted,
numbers in plain notation, the members of a set sorted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model.values import wire

ABSENT = "absent"  # the digest of no item
DIGITS = 16  # hex digits: 64 bits

_encode = msgspec.json.Encoder(order="sorted").encode
_typed_values = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])
# A number in a notation that differs from `numbers.canonical`, or one that must be looked at more closely.
_other_number = re.compile(rb'"N":"(?!(?:0|-?[1-9][0-9]*(?:\.[0-9]*[1-9])?|-?0\.[0-9]*[1-9])")').search


def of_state(image: bytes | None) -> str:
    """Returns the digest of an item, or of no item if that is None.

    Raises Damaged if the bytes are not an item in DynamoDB JSON.
    """
    return ABSENT if image is None else sha256(canonical(image)).hexdigest()[:DIGITS]


def of_state_if_sound(image: bytes | None) -> str | None:
    """Returns the same as `of_state`; None if the bytes are not an item, so that nothing can be said."""
    try:
        return of_state(image)
    except Damaged:
        return None


def of_scalars(image: Mapping[str, Any]) -> str | None:
    """Returns the same as `of_state`, for a decoded item of S, N, BOOL and NULL only; None if a number needs a closer look."""
    plain = _encode(image)
    return None if _other_number(plain) is not None else sha256(plain).hexdigest()[:DIGITS]


def of_body(body: bytes) -> str:
    """Returns the SHA-256 of an object's bytes, in hex, as `sha256sum` prints it."""
    return sha256(body).hexdigest()


def canonical(image: bytes) -> bytes:
    """Returns the canonical form of an item: the same bytes for equal items.

    Raises Damaged if the bytes are not an item in DynamoDB JSON.
    """
    try:
        plain = _encode(_typed_values.decode(image))
    except msgspec.DecodeError as error:
        raise Damaged(f"not an item in DynamoDB JSON ({error}): {image[:80]!r}") from error
    # These may be written in more than one way: lists and sets (by the bracket), maps, binary, escapes. Nearly every item has none.
    # The tests run one after the other: a generator over the signs takes as long as the rest.
    if b'":[' in plain or b'"M":' in plain or b'"B":' in plain or b"\\" in plain or _other_number(plain) is not None:
        return _encode({name: _canonical(value) for name, value in wire.well_formed_item(image).items()})
    return plain


def _canonical(value: dict[str, Any]) -> dict[str, Any]:
    """Returns a well-formed attribute value in its canonical form, at any depth."""
    ((kind, inner),) = value.items()
    match kind:
        case "N" | "B":
            return {kind: wire.canonical_scalar(kind, inner)}
        case "NS" | "BS":
            return {kind: sorted({wire.canonical_scalar(kind[0], each) for each in inner})}
        case "SS":
            return {kind: sorted(set(inner))}
        case "M":
            return {kind: {name: _canonical(each) for name, each in inner.items()}}
        case "L":
            return {kind: [_canonical(each) for each in inner]}
        case _:
            return value
