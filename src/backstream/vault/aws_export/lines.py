"""The lines of an export's data files: an item of a full export, a net change of an incremental one. Images stay bytes."""

from __future__ import annotations

import msgspec

from backstream.errors import Damaged
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason


class NetChange(msgspec.Struct, frozen=True):
    """The net change of one item between an incremental export's two moments. `new` is None if the item was deleted.

    `micros` is the time of the last write, in microseconds since 1970. `old` is None if the item did not exist before, or if the
    export has new images only.
    """

    micros: int
    keys: bytes
    old: bytes | None
    new: bytes | None


class _ExportItem(msgspec.Struct):
    item: msgspec.Raw = msgspec.field(name="Item")


class _ExportNumber(msgspec.Struct):
    N: str


class _ExportMetadata(msgspec.Struct):
    written: _ExportNumber = msgspec.field(name="WriteTimestampMicros")


class _Change(msgspec.Struct):
    metadata: _ExportMetadata = msgspec.field(name="Metadata")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    old: msgspec.Raw = msgspec.field(name="OldImage", default=msgspec.Raw())
    new: msgspec.Raw = msgspec.field(name="NewImage", default=msgspec.Raw())


_items = msgspec.json.Decoder(_ExportItem)
_changes = msgspec.json.Decoder(_Change)


def item_line(image: bytes) -> bytes:
    """`{"Item":...}`, with its line break."""
    return b'{"Item":' + wire.one_line(image) + b"}\n"


def read_item(line: bytes) -> bytes:
    """Returns the image in a full export's line. Raises Damaged if the line is not one."""
    try:
        return _object(_items.decode(line).item)
    except UNDECODABLE as error:
        raise Damaged(f"not a line of a full export: {reason(error)}") from error


def read_change(line: bytes) -> NetChange:
    """Returns the change in an incremental export's line. Raises Damaged if the line is not one."""
    try:
        change = _changes.decode(line)
        return NetChange(
            micros=int(change.metadata.written.N),
            keys=_object(change.keys),
            old=_object(change.old) if change.old else None,
            new=_object(change.new) if change.new else None,
        )
    except UNDECODABLE as error:
        raise Damaged(f"not a line of an incremental export: {reason(error)}") from error


def _object(raw: msgspec.Raw) -> bytes:
    image = bytes(raw)
    if not image.startswith(b"{"):
        raise ValueError("an image that is no JSON object")
    return image
