"""The versions of row objects: the metadata of one version, and the state that the versions of one object give together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import MICROS, Change, Order, is_sequence
from backstream.model.changes.entry import NO_SEQUENCE, Entry, ImagePlace
from backstream.model.changes.fold import BEGINNING, FoldState
from backstream.model.values import wire
from backstream.model.values.decoding import MISSHAPEN
from backstream.ports import ObjectInfo, ObjectStore

FORMAT = "1"
NOTHING = "nothing"


class NewestVersion(msgspec.Struct, frozen=True):
    """The newest state that a row object is known to hold: enough to decide whether a change is newer.

    See `model.changes.fold.FoldState`.
    """

    order: Order | None = None
    latest: int = BEGINNING
    began: int = BEGINNING

    @classmethod
    def of(cls, known: FoldState) -> NewestVersion:
        """Returns the same in little memory."""
        order = None if known.change is None else known.change.order
        return cls(order, known.latest, BEGINNING if known.scan is None else known.scan.since)

    @classmethod
    def of_row(cls, row: RowVersion) -> NewestVersion | None:
        """Returns the state of an object with that version on top; None if the version does not state everything."""
        if not row.entry.scanned:
            return cls(row.entry.order, row.entry.seconds)
        return None if row.upon is None else cls(row.upon.order, row.upon.latest, row.entry.since)

    def is_of(self, row: RowVersion) -> bool:
        """True if a version is the newest change, or the scan, that this state comes from."""
        return row.entry.since == self.began if row.entry.scanned else row.entry.order == self.order

    def precedes(self, change: Change) -> bool:
        """True if a change is newer."""
        newer = self.order is None or change.order > self.order
        return newer and max(self.latest, change.seconds) >= self.began

    def __str__(self) -> str:
        return NOTHING if self.order is None else f"{self.order.stream} {self.order.sequence} {self.latest}"

    @classmethod
    def parse(cls, text: str) -> NewestVersion:
        """Parses `str(top)`. Raises ValueError if the text is not one."""
        if text == NOTHING:
            return cls()
        stream, sequence, latest = text.rsplit(" ", 2)
        return cls(Order(stream, int(sequence)), int(latest))

    def with_change(self, change: Change) -> NewestVersion:
        """Returns the same with a newer change on top."""
        return NewestVersion(change.order, max(self.latest, change.seconds), self.began)


class RowVersion(msgspec.Struct, frozen=True):
    """One version of a row object: its entry in the log, from its metadata but without the key, and the names of the key's
    attributes.

    `upon`: the changes that a scanned image was put on top of, so that nobody has to look for them below it; None if not known.
    """

    entry: Entry
    key_names: tuple[str, ...]
    upon: NewestVersion | None = None

    @property
    def place(self) -> ImagePlace:
        """The object and version."""
        assert self.entry.place is not None  # noqa: S101 - every row version is made with its place
        return self.entry.place


def metadata_of(entry: Entry, key_names: tuple[str, ...], upon: NewestVersion | None = None) -> dict[str, str]:
    """Returns the metadata of a row version."""
    return {
        "format": FORMAT,
        **({"began": moment.iso(entry.since)} if entry.scanned else {"stream": entry.stream, "sequence": entry.sequence}),
        "time": moment.iso_micros(entry.micros),
        "event": entry.event,
        "event-id": entry.event_id,
        "keys": _in_json(key_names),
        **({"actor": entry.actor} if entry.actor is not None else {}),
        **({"upon": str(upon)} if upon is not None else {}),
    }


@lru_cache(maxsize=64)
def _in_json(key_names: tuple[str, ...]) -> str:
    """Escaped to ASCII, as S3's metadata must be."""
    return json.dumps(key_names)


def parse_metadata(info: ObjectInfo) -> RowVersion | None:
    """The inverse of `metadata_of`. Returns None for an object that this tool did not write."""
    meta = info.metadata
    if meta.get("format") != FORMAT:
        return None
    try:
        began = meta.get("began")
        if began is None and not is_sequence(meta["sequence"]):
            raise ValueError("no sequence number")
        entry = Entry(
            stream=meta["stream"] if began is None else "",
            sequence=meta["sequence"] if began is None else NO_SEQUENCE,
            micros=moment.parse_iso_micros(meta["time"]),
            event=meta["event"],
            event_id=meta.get("event-id", ""),
            actor=meta.get("actor"),
            keys=b"",
            place=ImagePlace(info.name, info.version),
            began=None if began is None else moment.parse_iso_micros(began) // MICROS,
        )
        upon = meta.get("upon")
        return RowVersion(entry, tuple(json.loads(meta["keys"])), None if upon is None else NewestVersion.parse(upon))
    except MISSHAPEN as error:
        raise Damaged(f"{info.name}: the metadata of version {info.version} cannot be read: {error!r:.200}") from error


def known_of(rows: Iterable[RowVersion]) -> FoldState:
    """Returns the state that one object's versions give together."""
    known = FoldState()
    for row in rows:
        known = known.with_entry(row.entry)
    return known


def newest_row(rows: Sequence[RowVersion]) -> RowVersion:
    """Returns the version that holds the item's state, from at least one version of an object."""
    newest = known_of(rows).newest()
    return next(row for row in rows if row.entry == newest)


def row_versions(store: ObjectStore, name: str) -> Iterator[RowVersion]:
    """Yields the versions of one row object that this tool wrote, newest first in the store's order."""
    for version in store.versions_of(name):
        if not version.marker:
            row = parse_metadata(store.head(name, version.version))
            if row is not None:
                yield row


def entry_of(row: RowVersion, keys: bytes) -> Entry:
    """Returns the log's entry of a row version. `keys` is the key of its item, in DynamoDB JSON."""
    return msgspec.structs.replace(row.entry, keys=keys)


def keys_in(row: RowVersion, body: bytes) -> bytes:
    """Returns the key in a row version's body: the version names the key's attributes. Raises Damaged if the body lacks one."""
    fields: Mapping[str, object] = wire.decode(body)
    missing = [name for name in row.key_names if name not in fields]
    if missing:
        raise Damaged(f"{row.place.name}: version {row.place.version} lacks the key attribute {missing[0]!r}")
    return msgspec.json.encode({name: fields[name] for name in row.key_names})
