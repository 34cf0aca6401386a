"""Decodes lines of the change log for a listing of all changes: only the needed parts, since there are millions."""

from __future__ import annotations

import msgspec

from backstream.model.changes.change import LATEST, is_sequence
from backstream.model.changes.entry import Entry, entries
from backstream.model.values.decoding import UNDECODABLE

IMAGES = {"INSERT": (False, True), "MODIFY": (True, True), "REMOVE": (True, False)}  # which images a change has: the old, the new


# The garbage collector does not track these: a million of them hold no cycles.
class _ListedText(msgspec.Struct, gc=False):
    S: str


class _ListedNumber(msgspec.Struct, gc=False):
    N: int


class _ListedMetadata(msgspec.Struct, kw_only=True, gc=False):
    """The fields that a listing shows, and those that mark a line which does not hold all of its change."""

    micros: _ListedNumber = msgspec.field(name="WriteTimestampMicros")
    stream: _ListedText = msgspec.field(name="Stream")
    sequence: _ListedText = msgspec.field(name="SequenceNumber")
    event: _ListedText = msgspec.field(name="EventName")
    began: msgspec.Raw | None = msgspec.field(name="ReadBeganMicros", default=None)
    actor: msgspec.Raw | None = msgspec.field(name="Actor", default=None)
    name: msgspec.Raw | None = msgspec.field(name="Object", default=None)


class _ListedLine(msgspec.Struct, gc=False):
    metadata: _ListedMetadata = msgspec.field(name="Metadata")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw())
    old: msgspec.Raw = msgspec.field(name="OldImage", default=msgspec.Raw())


_lines = msgspec.json.Decoder(_ListedLine, strict=False)  # not strict: a number may stand in quotes, as DynamoDB JSON has it


def listed_entries(lines: bytes) -> list[Entry]:
    """Returns the entries of many lines, without event ids and digests if every line holds all of its change.

    Such a line has both images, a stream and a number, and no name to look up. If one line does not, all of them come from
    `entry.entries`. Raises Damaged if one is not a line of the change log.
    """
    try:
        return list(map(_entry, _lines.decode_lines(lines)))
    except UNDECODABLE:
        return entries(lines)


def _entry(line: _ListedLine) -> Entry:
    """Returns the entry in a line.

    It is called millions of times, so it calls little itself. Raises ValueError if the line needs the slower reader.
    """
    meta = line.metadata
    micros, sequence = meta.micros.N, meta.sequence.S
    if not 0 <= micros < LATEST or not is_sequence(sequence):
        raise ValueError(sequence)
    if meta.began is not None or meta.actor is not None or meta.name is not None:
        raise ValueError(sequence)
    event, old, new = meta.event.S, bytes(line.old) or None, bytes(line.new) or None
    if IMAGES.get(event) != (old is not None, new is not None):
        raise ValueError(sequence)
    return Entry(meta.stream.S, sequence, micros, event, "", None, bytes(line.keys), new, old)
