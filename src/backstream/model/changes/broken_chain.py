"""A broken chain: an item that lacks a change."""

from __future__ import annotations

import msgspec

from backstream.model import moment


class BrokenChain(msgspec.Struct, frozen=True):
    """An item that lacks a change, made between two seconds (both included). `key`: the canonical key.

    `pending`: it may still arrive, as nobody has proven yet that all changes of that time are there.
    """

    key: bytes
    since: int
    until: int
    pending: bool = False

    def __str__(self) -> str:
        still = ", or has not arrived yet" if self.pending else ""
        between = f"{moment.iso(self.since)} and {moment.iso(self.until)}"
        return f"{self.key.decode()}: a change made between {between} is missing{still}"
