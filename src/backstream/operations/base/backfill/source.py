"""Where a base backup is read from: the table itself, or a full export of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from backstream.model.changes.entry import Scanned
from backstream.operations.bulk.rate_limited_scan import Stopped
from backstream.vault.bases import BaseKind


class SegmentPosition(msgspec.Struct, frozen=True):
    """How far a segment has been read: so many rows, the last of this canonical key, None where there is none yet."""

    rows: int = 0
    last: bytes | None = None


class TableSource(Protocol):
    """The whole table, in segments that are read side by side."""

    @property
    def kind(self) -> BaseKind:
        """What it is."""

    @property
    def id(self) -> str:
        """What an interrupted base backup must be of, to be gone on with: the table's id, the export's ARN."""

    @property
    def segments(self) -> int:
        """How many there are."""

    @property
    def side_by_side(self) -> int:
        """How many of them at once."""

    @property
    def rows(self) -> int:
        """About how many items there will be."""

    @property
    def units(self) -> float | None:
        """The read units that were taken so far; None where none are."""

    def begin(self) -> int:
        """The second before which no image is read: every change of that second or later may be newer than an image of it."""

    def pages(self, segment: int, segments: int, reached: SegmentPosition, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """What is left of a segment, page by page, until its end; nothing more is read once `stopped` says so."""

    def end(self) -> int:
        """The second by which everything had been read. Refused where it was not the same table to the end."""
