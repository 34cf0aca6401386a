"""Keeps data that must not appear in a URL, by id. Ids belong to this process and reveal nothing about the data."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict

MOST = 20_000  # values that are kept; the one that was used longest ago goes first
_DIGITS = 32


class Remembered:
    """Bytes by their ids. The same bytes have the same id as long as `secret` is the same."""

    def __init__(self, secret: bytes, most: int = MOST) -> None:
        self._secret = secret
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def put(self, value: bytes) -> str:
        """Keeps a value, and returns its id."""
        name = hmac.new(self._secret, value, hashlib.sha256).hexdigest()[:_DIGITS]
        with self._lock:
            self._kept[name] = value
            self._kept.move_to_end(name)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        """Returns the value of an id; None if it is not kept any more, or never was."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)
