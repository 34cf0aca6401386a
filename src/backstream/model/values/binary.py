"""Detects and corrects binary values that arrive as base64 of base64.

Records of Kinesis Data Streams for DynamoDB have been seen with binary values encoded twice
(https://github.com/awslabs/amazon-kinesis-client/issues/959), without any mark. But a record also states the size of the change
(`SizeBytes`: keys and images together), in the bytes that DynamoDB holds. So there are two readings, and one of them fits.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from backstream.model.values import sizes, wire

Images = Mapping[str, bytes | None]


def undoubled(images: Images, size: int | None) -> Images:
    """Returns the same images of a record with a stated `size` in bytes, with binary values that were encoded twice encoded once.

    Returns them unchanged if there are none, no size is stated, or one value cannot be decoded twice. Raises Damaged if one is not
    an image.
    """
    present = [image for image in images.values() if image is not None]
    if not size or not any(b'"B' in image for image in present):
        return images
    once = _once(images)
    if once is None:
        return images
    decoded = [image for image in once.values() if image is not None]
    return once if abs(_size(decoded) - size) < abs(_size(present) - size) else images


def _size(images: list[bytes]) -> int:
    return sum(map(sizes.item_bytes, images))


def _once(images: Images) -> Images | None:
    """Returns images with each binary value decoded once; None if one of them is not base64 of base64."""
    try:
        return {
            name: None if image is None else wire.encode({field: _value(each) for field, each in wire.decode(image).items()})
            for name, image in images.items()
        }
    except ValueError:  # binascii's and Unicode's errors are
        return None


def _value(value: Mapping[str, Any]) -> Mapping[str, Any]:
    ((kind, inner),) = value.items()
    match kind:
        case "B":
            return {kind: _text(inner)}
        case "BS":
            return {kind: [_text(each) for each in inner]}
        case "M":
            return {kind: {name: _value(each) for name, each in inner.items()}}
        case "L":
            return {kind: [_value(each) for each in inner]}
        case _:
            return value


def _text(twice: str) -> str:
    once = base64.b64decode(twice, validate=True)
    raw = base64.b64decode(once, validate=True)
    if binascii.b2a_base64(raw, newline=False) != once:
        raise ValueError("not base64 as an encoder writes it")
    return once.decode("ascii")
