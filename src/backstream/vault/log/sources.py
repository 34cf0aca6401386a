"""The sources of a compacted set: the small objects that it replaces, each with its name and the version that was read.

    compacted/SET/sources.ndjson.zst    since format 2 a JSON array of name and version a line; before, a JSON string, the name

A name alone does not identify the author of a delete marker. Once a compaction has hidden a segment, a create-only write of the
same name succeeds again (a batch that is delivered once more, a watermark of the same second). Then anybody may hide the new
version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from backstream.errors import Damaged
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.vault import decompression
from backstream.vault.decompression import UNREADABLE
from backstream.vault.log.segments import Codec

FORMAT = "2"
ANY = ""  # in the place of a version, where nobody noted it
_FOLDERS, _SHORTEST = ("log/", "base/"), 60

Sources = Mapping[str, str]  # names, each with the version that was taken over, or ANY


def encode(sources: Sources) -> bytes:
    """Returns the body. The same sources give the same bytes."""
    return Codec.ZSTD.compress(b"".join(msgspec.json.encode(each) + b"\n" for each in sorted(sources.items())))


def decode(name: str, body: bytes, folder: str) -> Sources:
    """The inverse of `encode`, for every format.

    `folder` is the table's, which holds all sources. Raises Damaged, naming the object, if it is not one.
    """
    try:
        blocks = decompression.whole_lines(decompression.bounded(decompression.zstd(body), object_limits.expanded(len(body))))
        return dict(_source(line, folder) for block in blocks for line in block.splitlines())
    except Damaged as error:
        raise error.of(name) from error
    except (*UNREADABLE, *UNDECODABLE) as error:
        raise Damaged(f"{name}: {reason(error)}") from error


def _source(line: bytes, folder: str) -> tuple[str, str]:
    """Returns the source in a line. A set replaces only segments and parts of base backups, whose names are long."""
    found = msgspec.json.decode(line, type=str | tuple[str, str])
    name, version = (found, ANY) if isinstance(found, str) else found
    below = name.removeprefix(folder)
    if not name.startswith(folder) or not below.startswith(_FOLDERS) or len(below) < _SHORTEST:
        raise Damaged(f"it stands for an object that is neither a segment nor a part of a base backup: {name[:120]!r}")
    return name, version


def is_of(sources: Sources, name: str, version: str) -> bool:
    """True if this version is one of the sources."""
    return sources.get(name) in (ANY, version)


def names(each: Iterable[Sources]) -> frozenset[str]:
    """Returns the names of all of them."""
    return frozenset[str]().union(*each)


def marked(sources: Sources) -> list[str]:
    """Returns each source with its version, as text. A set's id is made of them."""
    return [f"{name} {version}" for name, version in sources.items()]
