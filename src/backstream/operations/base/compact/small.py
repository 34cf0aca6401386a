"""The small objects that a compaction merges: segments of the log, and parts of base backups."""

from __future__ import annotations

import msgspec

from backstream.vault.bases import Part
from backstream.vault.log import sources
from backstream.vault.log.log import FetchedSegment, LogListing
from backstream.vault.log.segments import SegmentHeader
from backstream.vault.table_vault import TableVault


class SmallRead(msgspec.Struct, frozen=True):
    """A small object that was read: its header, its bytes, and for a segment everything that was fetched, with its version."""

    claim: SegmentHeader
    body: bytes
    fetched: FetchedSegment | None = None
    version: str = sources.ANY


class Small(msgspec.Struct, frozen=True):
    """A small object: its name, its size, when it was received, what it is, and its base backup, if it belongs to one."""

    name: str
    size: int
    received: float
    what: LogListing | Part
    base: str | None = None

    def read(self, vault: TableVault) -> SmallRead:
        """Reads it. Raises Damaged, and the errors of the store."""
        if isinstance(self.what, Part):
            return SmallRead(*vault.bases.claim_and_body(self.what))
        found = vault.log.fetch(self.what)
        return SmallRead(found.claim, found.body, found, found.version)


def small_segment(listed: LogListing) -> Small:
    """Returns a segment of the log."""
    return Small(listed.name, listed.size, listed.modified, listed)


def small_part(base: str, part: Part) -> Small:
    """Returns a part of a base backup."""
    return Small(part.name, part.size, part.modified, part, base)
