"""Finds hidden segments of the log, of all times: compaction itself hid those that a set replaces, but not the others.

Three years of compacted segments are many names, so they are compared on disk, by the hash of the name.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Pairs
from backstream.errors import Damaged, MissingObject
from backstream.operations.bulk.progress import Progress
from backstream.vault.log import sources
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault

PARTITIONS = 64
_OWN = b"="  # before a version that a set took over; a listing begins with another byte


def concealed_log(vault: TableVault, memory: Memory, progress: Progress) -> Iterator[LogListing]:
    """Yields the segments that somebody else has hidden."""
    compacted = vault.compacted
    progress.phase("listing the change log", None)
    with Pairs(PARTITIONS, buffer=memory.buffer) as names:
        for listed in vault.log.listing():
            progress.advance(1)
            if listed.markers:
                names.add(listed.name.encode(), msgspec.msgpack.encode(listed))
        kept = frozenset(compacted.current().kept)
        for one in compacted.every_set():
            try:
                for name, version in compacted.sources(one.id).items():
                    if name not in kept:
                        names.add(name.encode(), _OWN + version.encode())
            except (Damaged, MissingObject):
                continue  # of a set in force, reading the lines finds it; what only an older one names is taken for hidden
        for number in range(PARTITIONS):
            yield from _not_own(names, number)


def _not_own(names: Pairs, number: int) -> list[LogListing]:
    found, own = dict[bytes, LogListing](), set[tuple[bytes, str]]()
    for name, value in names.read(number):
        if value.startswith(_OWN):
            own.add((name, value.removeprefix(_OWN).decode()))
        else:
            found[name] = _listings.decode(value)
    return [each for name, each in found.items() if own.isdisjoint([(name, each.version), (name, sources.ANY)])]


_listings = msgspec.msgpack.Decoder(LogListing)
