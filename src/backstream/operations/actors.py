"""Who made a change: every source that names somebody, the surest first.

A stream names nobody, except where DynamoDB itself made the change (time to live). Each claim says where it comes from, so that
a reader can tell DynamoDB's own word from an application's.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Protocol

import msgspec

from backstream.layouts.vault import TableVault


class ActorSource(enum.StrEnum):
    """Where a name comes from. STREAM: the stream's record, in which DynamoDB names itself (time to live)."""

    STREAM = "stream"


class Claim(msgspec.Struct, frozen=True):
    """One source's word on who made a change."""

    actor: str
    source: ActorSource

    def is_of(self, wanted: Collection[str]) -> bool:
        """Whether it names one of these actors."""
        return self.actor in wanted


class Attributed(Protocol):
    """The parts of a change that tell who made it.

    `stream`, `sequence`: its place in the log; `actor`: the name in the stream's record; `new`: the item after the change in
    DynamoDB JSON, None where it was deleted.
    """

    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def actor(self) -> str | None: ...
    @property
    def new(self) -> bytes | None: ...


class Actors:
    """Names the actors of one table's changes."""

    @classmethod
    def of_vault(cls, vault: TableVault) -> Actors:  # noqa: ARG003 - the sources that a vault holds come next
        """The actors that the vault of a table can name."""
        return cls()

    def of(self, change: Attributed) -> str | None:
        """The actor by the surest source; None where no source names one."""
        return next((claim.actor for claim in self.claims(change)), None)

    def claims(self, change: Attributed) -> list[Claim]:
        """Every source's word on a change, the surest source first."""
        return [] if change.actor is None else [Claim(change.actor, ActorSource.STREAM)]

    def is_by(self, change: Attributed, wanted: Collection[str]) -> bool:
        """Whether any source names one of these actors: the selection of `--actor`."""
        return any(claim.is_of(wanted) for claim in self.claims(change))
