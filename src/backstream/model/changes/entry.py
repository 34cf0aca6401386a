"""One line of the change log: a change or a scanned image, and the place of the image.

The line has the format of AWS's incremental export (`Metadata`, `Keys`, `OldImage`, `NewImage`), with the stream, the sequence
number, the event and the actor added under `Metadata`. In the rows layout `Metadata` names the object and version that hold the
image instead. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html (incremental
export)
"""

from __future__ import annotations

import msgspec

from backstream.errors import Damaged
from backstream.model.changes.change import LATEST, MICROS, Change, Order, is_sequence
from backstream.model.values import digests, wire
from backstream.model.values.decoding import UNDECODABLE, reason


class ImagePlace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The object and version that hold an image; `name` is relative to the vault's root."""

    name: str
    version: str


_NO_POSITION = "a change without stream or sequence number"
_NO_TIME = "a change of no time between 1970 and 9999"
SCANNED = "BACKFILL"  # the event of an image that no change brought
NO_SEQUENCE = "0"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change as the log holds it. `image`: the new image if it is inline; `place`: its place otherwise.

    `began`: set if this is not a change of the stream but an image from a scan or an export; it is the second in which that read
    began. Then `micros` is the time at which the item was known to have this state, and stream and sequence mean nothing.
    `received`: when the store received its segment (epoch seconds), if it has been compacted since; see `foreign_objects`.
    `before`, `after`: the digests of the item's state before and after the change (`digests.of_state`); `body`: the SHA-256 of the
    body of the row object that `place` names. They are None if the line does not state them, as in format 1.
    """

    stream: str
    sequence: str
    micros: int
    event: str
    event_id: str
    actor: str | None
    keys: bytes
    image: bytes | None = None
    old: bytes | None = None
    place: ImagePlace | None = None
    began: int | None = None
    received: float | None = None
    before: str | None = None
    after: str | None = None
    body: str | None = None

    @property
    def scanned(self) -> bool:
        """True if it was read from the table or an export, so that it has no place among the changes."""
        return self.began is not None

    @property
    def order(self) -> Order:
        """The order of the change: greater is later, among the changes of one item. It means nothing for a scanned image."""
        return Order(self.stream, int(self.sequence))

    @property
    def seconds(self) -> int:
        """The second of the change. For a scanned image: the second from which the item is known to have had this state."""
        return self.micros // MICROS

    @property
    def since(self) -> int:
        """The second from which on another change of the item may be newer than this."""
        return self.seconds if self.began is None else self.began

    @property
    def removed(self) -> bool:
        """True if the item does not exist after this change."""
        return self.event == "REMOVE"

    @property
    def leaves(self) -> str | None:
        """The digest of the item's state after the change. For a delete it is known even if the line does not state it."""
        return digests.ABSENT if self.removed else self.after


def of_change(change: Change, place: ImagePlace | None, body: bytes | None = None) -> Entry:
    """Returns the entry of a change: its image at `place`, or inline if that is None.

    `body`: the bytes stored at `place`; None if they are the change's own: its new image, or the old image of a delete.
    """
    inline = place is None
    removed = change.event == "REMOVE"
    if body is None:
        body = (change.old if removed else change.new) or b""
    return Entry(
        stream=change.stream,
        sequence=change.sequence,
        micros=change.micros,
        event=change.event,
        event_id=change.event_id,
        actor=change.actor,
        keys=change.keys,
        image=change.new if inline else None,
        old=change.old if inline else None,
        place=place,
        before=_before(change),
        after=None if removed else digests.of_state_if_sound(change.new),
        body=None if inline else digests.of_body(body),
    )


def _before(change: Change) -> str | None:
    """Returns the digest of the state before the change; None if the record does not state it.

    The state before an INSERT is empty. Time to live may delete an item that has changed meanwhile, so nothing is stated about its
    state.
    """
    if change.event == "INSERT":
        return digests.of_state_if_sound(change.old)
    return None if change.old is None or change.actor is not None else digests.of_state_if_sound(change.old)


class Scanned(msgspec.Struct, frozen=True):
    """An item's state that was read by a scan or from an export, not delivered by a stream.

    `image`: None if the item did not exist; `old`: the vault's image instead, if that is known; `began`: the second in which the
    read began, or that the state belongs to; `micros`: the time from which the state is known; `became`: the event, if an export
    states it; `source`: an incremental export's id.
    """

    keys: bytes
    image: bytes | None
    began: int
    micros: int
    old: bytes | None = None
    became: str | None = None
    source: str = ""

    @property
    def event(self) -> str:
        """The event name in the log."""
        return self.became or ("REMOVE" if self.image is None else SCANNED)


def of_scanned(scanned: Scanned, place: ImagePlace | None, body: bytes | None = None) -> Entry:
    """Returns the entry of a scanned state: its image at `place`, or inline if that is None. `body`: the bytes stored at `place`.

    Its digest belongs to the state that was read. An incremental export gives none: it states only an item's last state, and not
    since when it was so.
    """
    told = scanned.image is not None and not scanned.source
    return Entry(
        stream="",
        sequence=NO_SEQUENCE,
        micros=scanned.micros,
        event=scanned.event,
        event_id=scanned.source,
        actor=None,
        keys=scanned.keys,
        image=scanned.image if place is None else None,
        old=scanned.old if place is None else None,
        place=place,
        began=scanned.began,
        after=digests.of_state_if_sound(scanned.image) if told else None,
        body=None if place is None or body is None else digests.of_body(body),
    )


def bare_change(change: Change) -> Entry:
    """Returns the identity of a change without the item's states, as a row version states it."""
    return Entry(change.stream, change.sequence, change.micros, change.event, change.event_id, change.actor, change.keys)


def bare_scan(scanned: Scanned) -> Entry:
    """Returns the same for a scanned state."""
    return Entry("", NO_SEQUENCE, scanned.micros, scanned.event, scanned.source, None, scanned.keys, began=scanned.began)


# The garbage collector does not track these: a million of them hold no cycles.
class _Text(msgspec.Struct, gc=False):
    S: str


class _LineNumber(msgspec.Struct, gc=False):
    N: str


class _LineMetadata(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    micros: _LineNumber = msgspec.field(name="WriteTimestampMicros")
    began: _LineNumber | None = msgspec.field(name="ReadBeganMicros", default=None)
    stream: _Text | None = msgspec.field(name="Stream", default=None)
    sequence: _Text | None = msgspec.field(name="SequenceNumber", default=None)
    event: _Text = msgspec.field(name="EventName")
    event_id: _Text | None = msgspec.field(name="EventID", default=None)
    actor: _Text | None = msgspec.field(name="Actor", default=None)
    name: _Text | None = msgspec.field(name="Object", default=None)
    version: _Text | None = msgspec.field(name="VersionId", default=None)
    received: _LineNumber | None = msgspec.field(name="ReceivedSeconds", default=None)
    before: _Text | None = msgspec.field(name="OldDigest", default=None)
    after: _Text | None = msgspec.field(name="NewDigest", default=None)
    body: _Text | None = msgspec.field(name="BodySHA256", default=None)


class _LogLine(msgspec.Struct, gc=False):
    metadata: _LineMetadata = msgspec.field(name="Metadata")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw())
    old: msgspec.Raw = msgspec.field(name="OldImage", default=msgspec.Raw())


_lines = msgspec.json.Decoder(_LogLine)


def to_line(entry: Entry) -> bytes:
    """Returns the entry as one line of JSON, without its line break. Images are spliced in unchanged."""
    metadata = _LineMetadata(
        micros=_LineNumber(str(entry.micros)),
        began=None if entry.began is None else _LineNumber(str(entry.began * MICROS)),
        stream=None if entry.scanned else _Text(entry.stream),
        sequence=None if entry.scanned else _Text(entry.sequence),
        event=_Text(entry.event),
        event_id=_Text(entry.event_id) if entry.event_id else None,
        actor=_Text(entry.actor) if entry.actor is not None else None,
        name=_Text(entry.place.name) if entry.place else None,
        version=_Text(entry.place.version) if entry.place else None,
        received=None if entry.received is None else _LineNumber(repr(entry.received)),
        before=None if entry.before is None else _Text(entry.before),
        after=None if entry.after is None else _Text(entry.after),
        body=None if entry.body is None else _Text(entry.body),
    )
    parts: dict[str, _LineMetadata | msgspec.Raw] = {"Metadata": metadata, "Keys": msgspec.Raw(wire.one_line(entry.keys))}
    for name, image in (("OldImage", entry.old), ("NewImage", entry.image)):
        if image is not None:
            parts[name] = msgspec.Raw(wire.one_line(image))
    return msgspec.json.encode(parts)


def from_line(line: bytes) -> Entry:
    """The inverse of `to_line`. Raises Damaged if the text is not such a line."""
    try:
        decoded = _lines.decode(line)
        return _entry(decoded, bytes(decoded.new) or None, bytes(decoded.old) or None)
    except UNDECODABLE as error:
        raise Damaged(f"not a line of the change log ({reason(error)}): {line[:120]!r}") from error


def entries(lines: bytes) -> list[Entry]:
    """Returns the entries of many lines with their images: like `from_line`, but faster.

    Raises Damaged if one is not such a line.
    """
    try:
        return [_entry(line, bytes(line.new) or None, bytes(line.old) or None) for line in _lines.decode_lines(lines)]
    except UNDECODABLE as error:
        raise Damaged(f"not lines of the change log ({reason(error)}): {lines[:120]!r}") from error


class _Micros(msgspec.Struct, gc=False):
    N: int


class _StateMetadata(msgspec.Struct, kw_only=True, gc=False):
    """The part of `_LineMetadata` that matters for a state."""

    micros: _Micros = msgspec.field(name="WriteTimestampMicros")
    began: _Micros | None = msgspec.field(name="ReadBeganMicros", default=None)
    stream: _Text | None = msgspec.field(name="Stream", default=None)
    sequence: _Text | None = msgspec.field(name="SequenceNumber", default=None)
    event: _Text = msgspec.field(name="EventName")
    event_id: _Text | None = msgspec.field(name="EventID", default=None)
    name: _Text | None = msgspec.field(name="Object", default=None)
    version: _Text | None = msgspec.field(name="VersionId", default=None)
    received: _LineNumber | None = msgspec.field(name="ReceivedSeconds", default=None)
    before: _Text | None = msgspec.field(name="OldDigest", default=None)
    after: _Text | None = msgspec.field(name="NewDigest", default=None)
    body: _Text | None = msgspec.field(name="BodySHA256", default=None)


class _StateLine(msgspec.Struct, gc=False):
    metadata: _StateMetadata = msgspec.field(name="Metadata")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw())


_state_lines = msgspec.json.Decoder(_StateLine, strict=False)  # not strict: a number may stand in quotes, as DynamoDB JSON has it


def states(lines: bytes) -> list[tuple[Entry, bytes]]:
    """Returns the item state in each of many lines: the entry without its images, and the new image, empty if it has none.

    The actor, and a change's event id, are left out: a state does not need them, and there are millions. Four times as fast as
    `from_line`. Raises Damaged if one is not such a line.
    """
    try:
        decoded = _state_lines.decode_lines(lines)
        return list(zip(map(_state, decoded), [bytes(line.new) for line in decoded], strict=True))
    except UNDECODABLE as error:
        raise Damaged(f"not lines of the change log ({reason(error)}): {lines[:120]!r}") from error


def _state(line: _StateLine) -> Entry:
    meta, keys = line.metadata, bytes(line.keys)
    place = None if meta.name is None or meta.version is None else ImagePlace(meta.name.S, meta.version.S)
    received = None if meta.received is None else _seconds(meta.received)
    if not 0 <= meta.micros.N < LATEST:
        raise ValueError(_NO_TIME)
    before, after, body = _said(meta.before), _said(meta.after), _said(meta.body)
    micros, event = meta.micros.N, meta.event.S
    if meta.began is None:
        if meta.stream is None or meta.sequence is None or not is_sequence(meta.sequence.S):
            raise ValueError(_NO_POSITION)
        stream, sequence = meta.stream.S, meta.sequence.S
        return Entry(stream, sequence, micros, event, "", None, keys, None, None, place, None, received, before, after, body)
    event_id = "" if meta.event_id is None else meta.event_id.S
    if not 0 <= meta.began.N < LATEST:
        raise ValueError(_NO_TIME)
    began = meta.began.N // MICROS
    return Entry("", NO_SEQUENCE, micros, event, event_id, None, keys, None, None, place, began, received, before, after, body)


def _said(text: _Text | None) -> str | None:
    return None if text is None else text.S


def _entry(line: _LogLine, image: bytes | None, old: bytes | None) -> Entry:
    """Returns the entry in a line.

    It is called millions of times, so it calls little itself. Raises ValueError if the line is not a change or a scan.
    """
    meta = line.metadata
    micros = int(meta.micros.N)
    if not 0 <= micros < LATEST:
        raise ValueError(_NO_TIME)
    if meta.began is None:
        began = None
        if meta.stream is None or meta.sequence is None or not is_sequence(meta.sequence.S):
            raise ValueError(_NO_POSITION)
        stream, sequence = meta.stream.S, meta.sequence.S
    else:
        began = int(meta.began.N)
        if not 0 <= began < LATEST:
            raise ValueError(_NO_TIME)
        began, stream, sequence = began // MICROS, "", NO_SEQUENCE
    event_id, actor, before, after, body = meta.event_id, meta.actor, meta.before, meta.after, meta.body
    return Entry(
        stream,
        sequence,
        micros,
        meta.event.S,
        "" if event_id is None else event_id.S,
        None if actor is None else actor.S,
        bytes(line.keys),
        image,
        old,
        None if meta.name is None or meta.version is None else ImagePlace(meta.name.S, meta.version.S),
        began,
        None if meta.received is None else _seconds(meta.received),
        None if before is None else before.S,
        None if after is None else after.S,
        None if body is None else body.S,
    )


def _seconds(number: _LineNumber) -> float:
    """Returns when a store received something, in epoch seconds. Raises ValueError if the number is not a second."""
    seconds = float(number.N)
    if not 0 <= seconds < LATEST // MICROS:
        raise ValueError(_NO_TIME)
    return seconds
