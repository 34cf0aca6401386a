"""Lines of the change log, decoded for a listing of all changes: the least that it needs of them, since there are millions."""

from __future__ import annotations

import msgspec

from backstream.model.changes.change import LATEST, is_sequence
from backstream.model.changes.entry import Entry, entries
from backstream.model.values.decoding import UNDECODABLE


# Without the garbage collector's care: a million of them hold no cycles.
class _Text(msgspec.Struct, gc=False):
    S: str


class _Number(msgspec.Struct, gc=False):
    N: int


class _Metadata(msgspec.Struct, kw_only=True, gc=False):
    """What a listing shows, and what says that a line does not tell all of its change."""

    micros: _Number = msgspec.field(name="WriteTimestampMicros")
    stream: _Text = msgspec.field(name="Stream")
    sequence: _Text = msgspec.field(name="SequenceNumber")
    event: _Text = msgspec.field(name="EventName")
    began: msgspec.Raw | None = msgspec.field(name="ReadBeganMicros", default=None)
    actor: msgspec.Raw | None = msgspec.field(name="Actor", default=None)
    name: msgspec.Raw | None = msgspec.field(name="Object", default=None)


class _Line(msgspec.Struct, gc=False):
    metadata: _Metadata = msgspec.field(name="Metadata")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw())
    old: msgspec.Raw = msgspec.field(name="OldImage", default=msgspec.Raw())


_lines = msgspec.json.Decoder(_Line, strict=False)  # not strict: a number may stand in quotes, as DynamoDB JSON has it


def listed_entries(lines: bytes) -> list[Entry]:
    """The entries of many lines. Where every line tells all of its change, event ids and digests are left out: `tells_all`.

    Where one does not, all of them are as of `entry.entries`. Damaged where one is no line of the change log.
    """
    try:
        found = list(map(_entry, _lines.decode_lines(lines)))
    except UNDECODABLE:
        return entries(lines)
    return found if all(map(tells_all, found)) else entries(lines)


def _entry(line: _Line) -> Entry:
    """Called millions of times, so it calls little itself. ValueError where somebody else has to look at the line."""
    meta = line.metadata
    micros, sequence = meta.micros.N, meta.sequence.S
    if not 0 <= micros < LATEST or not is_sequence(sequence):
        raise ValueError(sequence)
    if meta.began is not None or meta.actor is not None or meta.name is not None:
        raise ValueError(sequence)
    event, keys, old, new = meta.event.S, bytes(line.keys), bytes(line.old) or None, bytes(line.new) or None
    return Entry(meta.stream.S, sequence, micros, event, "", None, keys, new, old)


def tells_all(entry: Entry) -> bool:
    """Whether a line tells all of its change: both images, its stream and number, and no name that is looked up."""
    if entry.place is not None or entry.began is not None or entry.actor is not None:
        return False
    event = entry.event
    if event == "MODIFY":
        return entry.old is not None and entry.image is not None
    if event == "INSERT":
        return entry.old is None and entry.image is not None
    return event == "REMOVE" and entry.old is not None and entry.image is None
