"""The record of the lines that an erasure took out of a compacted set, beside the set: without one, no set may lack lines.

compacted/SET/erased.json    which erasure took how many lines out as the set was written; most sets have none
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.model.values.decoding import UNDECODABLE
from backstream.ports import ObjectStore
from backstream.vault import below_markers

NAME = "erased.json"


class ErasedLines(msgspec.Struct, frozen=True):
    """`erasure`: its id; `taken`: how many lines were taken out of each set that this one replaces, by the set's id."""

    erasure: str
    taken: dict[str, int]


def write(store: ObjectStore, folder: str, lines: ErasedLines) -> None:
    """Writes the record of the set in this folder, once."""
    with suppress(AlreadyExists):
        store.put(folder + NAME, msgspec.json.encode(lines), {"format": "1"}, if_absent=True)


def taken(store: ObjectStore, folder: str, erasures: Collection[str]) -> int:
    """Returns how many lines were taken out as the set in this folder was written; 0 if no record says so.

    `erasures`: the ids of those that the catalog names. The record of any other one accounts for nothing.
    """
    try:
        found = below_markers.pinned(store, below_markers.first(store, folder + NAME))
        record = msgspec.json.decode(found.body, type=ErasedLines)
    except (MissingObject, Damaged, *UNDECODABLE):
        return 0
    return sum(record.taken.values()) if record.erasure in erasures and min(record.taken.values(), default=0) >= 0 else 0
