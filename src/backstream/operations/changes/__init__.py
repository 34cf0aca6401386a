"""`changes`: lists the changes between two moments, in the order of time, item by item, or counted."""

from backstream.operations.changes.gathered import ItemChanges
from backstream.operations.changes.run import Changes, ChangesContext, NetRecord, unread_images
from backstream.operations.changes.seen import ChangeRecord, SeenChange
from backstream.operations.changes.selection import ChangeCriteria, Number, doubts_about, keys_in, numbers_in
from backstream.operations.changes.spread import summed_up
from backstream.operations.changes.summary import ChangeSummary, summary
from backstream.operations.changes.window import Certainty, ChangeWindow

__all__ = [
    "Certainty",
    "ChangeCriteria",
    "ChangeRecord",
    "ChangeSummary",
    "ChangeWindow",
    "Changes",
    "ChangesContext",
    "ItemChanges",
    "NetRecord",
    "Number",
    "SeenChange",
    "doubts_about",
    "keys_in",
    "numbers_in",
    "summary",
    "summed_up",
    "unread_images",
]
