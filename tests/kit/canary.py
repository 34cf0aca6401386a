"""A script of its own that reads every version of every object of a store, decompressed, and looks for some bytes.

It shares no code with the tool: it knows nothing but zstd, gzip and base64.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator

import zstandard

from backstream.ports import ObjectStore

CANARY = "canary-7f3a"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def found_in(store: ObjectStore, canary: str = CANARY) -> list[str]:
    """The names and versions that hold the bytes, in their name, in their metadata or in their body; none where all is erased."""
    wanted, found = canary.encode(), []
    for row in store.versions(""):
        texts = [row.name.encode()]
        if not row.marker:
            stored = store.get(row.name, row.version)
            texts += [repr(sorted(stored.info.metadata.items())).encode(), *_texts(stored.body)]
        if any(wanted in text for text in texts):
            found.append(f"{row.name} {row.version}")
    return found


def _texts(body: bytes) -> Iterator[bytes]:
    """The body, and all that is packed in it."""
    yield body
    if body[:2] == b"\x1f\x8b":
        yield from _texts(gzip.decompress(body))
    for start in (found.start() for found in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), body)):  # each zstd frame, wherever it is
        try:
            yield from _texts(zstandard.ZstdDecompressor().decompressobj().decompress(body[start:]))
        except zstandard.ZstdError:
            continue  # these four bytes by chance
    for found in _BASE64.finditer(body):
        try:
            yield base64.b64decode(found[0] + b"=" * (-len(found[0]) % 4))
        except ValueError:
            continue
