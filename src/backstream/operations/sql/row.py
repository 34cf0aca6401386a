"""One row of a view, before it is made into columns."""

from __future__ import annotations

import msgspec

from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names
from backstream.operations.changes.reading import OVERHEAD
from backstream.operations.tabular.batches import DIGITS


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row of a view. `key`: canonical; `old`, `new`: images, None if there is none.

    `note`: why an image is not known, empty if both are; `until`: the microsecond of the item's next version.
    """

    key: bytes
    entry: Entry
    old: bytes | None = None
    new: bytes | None = None
    note: str = ""
    actor: str | None = None
    until: int | None = None

    @property
    def sequence(self) -> str | None:
        """Its sequence number as text; None if it is not the stream's."""
        return self.entry.sequence.zfill(DIGITS) if self.is_numbered else None

    @property
    def is_numbered(self) -> bool:
        """True if its sequence number is the stream's."""
        return not self.entry.scanned and self.entry.stream != legacy_names.STREAM

    @property
    def size(self) -> int:
        """The bytes that it takes, about."""
        return OVERHEAD + len(self.old or b"") + len(self.new or b"")
