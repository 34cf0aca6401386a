"""The folded items of a partition on their way from an executor to the driver.

A piece is two lengths (eight bytes each), its items in MessagePack, and the images of the entries that tell their states. The two
ends are of one version: the format may change at any time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from backstream.engine.local.partition import Folded, with_image
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.ports.engine import StatePartition

PIECE = 8 << 20  # bytes of images, about
_OVERHEAD = 500  # bytes: about what an item takes besides its image
_LENGTHS = struct.Struct("<QQ")
_NO_IMAGE = -1


class FoldedItem(msgspec.Struct, frozen=True, array_like=True):
    """All that was found out about one item. See `model.changes.fold.FoldState`. `image`: the length of its inline image."""

    key: bytes
    change: Entry | None
    latest: int
    scan: Entry | None
    image: int

    @property
    def known(self) -> FoldState:
        """The same as a state of the fold, without the image."""
        return FoldState(self.change, self.latest, self.scan)


_encode = msgspec.msgpack.Encoder().encode
_items = msgspec.msgpack.Decoder(list[FoldedItem])


def pieces(folded: Folded, inline: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yields a partition's items in the order of their keys, some MB at a time. `inline`: their images, where these are inline."""
    items, images, size = list[FoldedItem](), list[bytes](), 0
    for key in sorted(folded.newest):
        known, image = folded.known(key), inline.get(key)
        items.append(FoldedItem(key, known.change, known.latest, known.scan, _NO_IMAGE if image is None else len(image)))
        images += [] if image is None else [image]
        size += _OVERHEAD + (0 if image is None else len(image))
        if size >= PIECE:
            yield _piece(items, images)
            items, images, size = [], [], 0
    if items:
        yield _piece(items, images)


def _piece(items: list[FoldedItem], images: list[bytes]) -> bytes:
    encoded = _encode(items)
    return b"".join([_LENGTHS.pack(len(encoded), sum(map(len, images))), encoded, *images])


def items_of(piece: bytes) -> Iterator[tuple[FoldedItem, bytes | None]]:
    """Yields the items of a piece, each with its inline image."""
    length, _ = _LENGTHS.unpack_from(piece)
    offset = _LENGTHS.size + length
    for item in _items.decode(memoryview(piece)[_LENGTHS.size : offset]):
        if item.image == _NO_IMAGE:
            yield item, None
            continue
        yield item, piece[offset : offset + item.image]
        offset += item.image


class FoldedPartition(StatePartition):
    """See the port. `floor`: see `FoldState.newest`."""

    def __init__(self, found: Iterable[bytes], floor: int) -> None:
        self._known: dict[bytes, FoldState] = {}
        self._newest: dict[bytes, Entry] = {}
        for piece in found:
            for item, image in items_of(piece):
                self._add(item, image, floor)

    def _add(self, item: FoldedItem, image: bytes | None, floor: int) -> None:
        entry = item.known.newest(floor)
        if entry is None:
            return
        known = item.known
        entry = entry if image is None else with_image(entry, image)
        change, scan = (known.change, entry) if entry.scanned else (entry, known.scan)
        known = FoldState(change, known.latest, scan)
        self._newest[item.key], self._known[item.key] = entry, known

    def __getitem__(self, key: bytes) -> Entry:
        return self._newest[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)

    def exists(self, key: bytes) -> bool:
        """See the port."""
        entry = self._newest.get(key)
        return entry is not None and not entry.removed

    def known(self, key: bytes) -> FoldState:
        """See the port."""
        return self._known.get(key, FoldState())
