"""A Bloom filter of the items that a segment has lines of, as text of its metadata. Pure.

The text is `1.` and the bits in base64; bit 0 is the highest of the first byte. An item sets four bits. The CRC-32 of its key,
times 2,654,435,769, gives 32 bits: `first` is the upper half, `step` the lower half with its last bit set. For i of 0 to 3, the
number (first + i * step) modulo 65,536, times the number of bits, divided by 65,536, is the place of a bit. An item with a bit that
is not set has no line in the segment. A capture makes a filter of every batch, so the hash is the cheapest that serves.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from zlib import crc32

FORMAT = "1."
BITS_PER_KEY = 10  # of each hundred other items, about one seems to be in it
LEAST_BITS_PER_KEY = 4  # with fewer, every fifth seems to be in it: not worth the request
MOST_BYTES = 1 << 16  # that a reader looks at

_SPREAD = 2_654_435_769  # 2**32 by the golden ratio: neighbors among keys are no neighbors among bits


def text_of(keys: Collection[bytes], room: int) -> str:
    """Returns the filter of distinct canonical keys, in at most `room` characters; empty if it would say too little."""
    size = min(-(-len(keys) * BITS_PER_KEY // 8), max(0, room - len(FORMAT)) // 4 * 3)
    if not keys or size * 8 < LEAST_BITS_PER_KEY * len(keys):
        return ""
    bits = bytearray(b"0") * (size * 8)
    count = size * 8
    for key in keys:  # for every change that is captured, so it calls little
        number = crc32(key) * _SPREAD
        first, step = number >> 16 & 0xFFFF, number & 0xFFFF | 1
        bits[first * count >> 16] = 49  # the digit 1
        bits[(first + step & 0xFFFF) * count >> 16] = 49
        bits[(first + 2 * step & 0xFFFF) * count >> 16] = 49
        bits[(first + 3 * step & 0xFFFF) * count >> 16] = 49
    return FORMAT + base64.b64encode(int(bits, 2).to_bytes(size)).decode()


def may_hold(text: str, key: bytes) -> bool:
    """Returns whether a segment with this filter may have lines of an item. True if the filter cannot be read."""
    if not text.startswith(FORMAT) or len(text) > MOST_BYTES:
        return True
    try:
        bits = base64.b64decode(text.removeprefix(FORMAT), validate=True)
    except (binascii.Error, ValueError):
        return True
    count, number = len(bits) * 8, crc32(key) * _SPREAD
    first, step = number >> 16 & 0xFFFF, number & 0xFFFF | 1
    places = [(first + turn * step & 0xFFFF) * count >> 16 for turn in range(4)]
    return not bits or all(bits[place >> 3] & 128 >> (place & 7) for place in places)
