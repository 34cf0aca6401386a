"""The source of a base backup: the table itself, or a full export of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from backstream.model.changes.entry import Scanned
from backstream.operations.bulk.rate_limited_scan import Stopped
from backstream.vault.bases import BaseKind


class SegmentPosition(msgspec.Struct, frozen=True):
    """The progress in a segment: the number of rows, and the canonical key of the last one, None if there is none yet."""

    rows: int = 0
    last: bytes | None = None


class TableSource(Protocol):
    """The whole table, in segments that are read side by side."""

    @property
    def kind(self) -> BaseKind:
        """The kind of the source."""

    @property
    def id(self) -> str:
        """The identity of the source: the table's id, the export's ARN.

        An interrupted base backup resumes only with the same one.
        """

    @property
    def segments(self) -> int:
        """The number of segments."""

    @property
    def side_by_side(self) -> int:
        """The number of segments that are read at once."""

    @property
    def rows(self) -> int:
        """The approximate number of items."""

    @property
    def units(self) -> float | None:
        """The read units consumed so far; None if there are none."""

    def begin(self) -> int:
        """Returns the second before which no image is read: every change of that second or later may be newer than an image."""

    def pages(self, segment: int, segments: int, reached: SegmentPosition, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """Yields the rest of a segment, page by page; nothing more is read once `stopped` returns True."""

    def end(self) -> int:
        """Returns the second by which everything had been read. Raises Refused if it was not the same table to the end."""
