"""`changes`: what changed between two moments, in the order of time, item by item, or counted."""

from backstream.operations.changes.run import Around, Changes, ItemChanges, NetRecord
from backstream.operations.changes.seen import ChangeRecord, Seen
from backstream.operations.changes.selection import Asked, Number, keys_in, numbers_in
from backstream.operations.changes.summary import Summary, summary
from backstream.operations.changes.window import Certainty, Span

__all__ = [
    "Around",
    "Asked",
    "Certainty",
    "ChangeRecord",
    "Changes",
    "ItemChanges",
    "NetRecord",
    "Number",
    "Seen",
    "Span",
    "Summary",
    "keys_in",
    "numbers_in",
    "summary",
]
