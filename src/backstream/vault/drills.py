"""Drills: the reports of a table's restore tests, one object each, named by their start, so that a listing is the history."""

from __future__ import annotations

import itertools

import msgspec

from backstream.errors import Damaged, NotFound
from backstream.model import moment
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore
from backstream.vault import below_markers
from backstream.vault.catalog import folder

UNREADABLE = "the record of this drill cannot be read"


class Held(msgspec.Struct, frozen=True):
    """The summary of one drill's record. Times are ISO 8601, UTC; figures are None if nothing could be measured.

    `began`: its start; `at`: the moment that was restored; `error`: what stopped it, None if it finished.
    """

    id: str
    began: str
    at: str
    passed: bool
    rows: int
    differences: int
    rpo_seconds: float | None
    rto_seconds: float | None
    error: str | None = None


class Drills:
    """The drills of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._prefix = folder(table) + "drills/"

    def keep(self, drill: str, began: float, record: bytes) -> str:
        """Makes a drill's record durable and returns its name. `record` is JSON that holds at least the fields of `Held`."""
        name = f"{self._prefix}{moment.compact(int(began))[:-1]}.{int(began * 1_000) % 1_000:03d}Z_{drill}.json"
        self._store.put(name, record, {"format": "1"})
        return name

    def newest(self, most: int) -> list[Held]:
        """Returns the last `most` drills, oldest first. A drill whose record cannot be read counts as failed."""
        names = [listed.name for listed in below_markers.newest(self._store, self._prefix)]
        return [self._held(name) for name in itertools.islice(names, max(0, len(names) - most), None)]

    def check(self, name: str) -> None:
        """Raises Damaged if a record cannot be read."""
        held = self._held(name)
        if (held.error or "").startswith(UNREADABLE):
            raise Damaged(f"{name}: {held.error}")

    def record(self, drill: str) -> tuple[Held, bytes]:
        """Returns one drill's summary, and its record: JSON. Raises NotFound if the vault has no drill of that id."""
        names = [listed.name for listed in below_markers.newest(self._store, self._prefix)]
        found = [name for name in names if _id_of(name) == drill]
        if not found:
            raise NotFound(f"the vault has no drill {drill!r:.80}", hint="It may be older than what the vault keeps.")
        return self._held(found[-1]), below_markers.get(self._store, found[-1]).body

    def _held(self, name: str) -> Held:
        try:
            return msgspec.json.decode(below_markers.get(self._store, name).body, type=Held)
        except (Damaged, *UNDECODABLE) as error:
            time, _, drill = name.removeprefix(self._prefix).removesuffix(".json").partition("_")
            return Held(drill, time, "", passed=False, rows=0, differences=0, rpo_seconds=None, rto_seconds=None, error=_why(error))


def _id_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json").partition("_")[2]


def _why(error: Exception) -> str:
    return f"{UNREADABLE}: {reason(error)}"
