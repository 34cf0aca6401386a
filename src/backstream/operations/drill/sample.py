"""A random sample of rows, each drill its own: those whose keys, hashed together with the drill's id, come first."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator


class Sample:
    """A sample of `size` rows among all that are offered."""

    def __init__(self, drill: str, size: int) -> None:
        self._drill = drill.encode()
        self._size = size
        self._heap: list[tuple[int, bytes, bytes]] = []  # the greatest hash on top

    def offer(self, key: bytes, image: bytes) -> None:
        """Offers a row (its canonical key) and its image."""
        place = -int.from_bytes(hashlib.sha256(self._drill + key).digest()[:8], "big")
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (place, key, image))
        elif self._heap and place > self._heap[0][0]:
            heapq.heapreplace(self._heap, (place, key, image))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, image) for _, key, image in self._heap)
