"""The text fields in a segment's name: a stream's label and a shard's id, in characters that a name may have.

Each text has one such form, and any other is refused: two names would else stand for one segment.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

_LABEL = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)((?:\.\d+)?)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)((?:\.\d+)?)")
_UNSAFE = re.compile(r"[^A-Za-z0-9.=-]")


def compact_label(label: str) -> str:
    """Returns a label without colons, which Hadoop's paths do not allow. A label of unknown shape is escaped instead."""
    if match := _LABEL.fullmatch(label):
        return "{}{}{}T{}{}{}{}".format(*match.groups())
    return escape(label) if not _COMPACT.fullmatch(label) else f"%{ord(label[0]):02X}{label[1:]}"


def _expand_label(text: str) -> str:
    if match := _COMPACT.fullmatch(text):
        return "{}-{}-{}T{}:{}:{}{}".format(*match.groups())
    return _unescape(text)


@functools.lru_cache(maxsize=256)
def label_in(text: str) -> str:
    """Returns the stream's label in a name. Raises ValueError if `compact_label` would write it in another way."""
    return _as_written(text, _expand_label(text), compact_label)


def shard_in(text: str) -> str:
    """Returns the SHARD field of a name. Raises ValueError if `escape` would write it in another way."""
    if "%" not in text and _UNSAFE.search(text) is None:
        return text
    return _as_written(text, _unescape(text), escape)


def _as_written(text: str, value: str, write: Callable[[str], str]) -> str:
    if write(value) != text:
        raise ValueError(f"not as it would be written: {text!r}")
    return value


def escape(text: str) -> str:
    """Returns a text in characters that every store and Hadoop take in a name, the others as `%5F`."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


def _unescape(text: str) -> str:
    return re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode()).decode()
