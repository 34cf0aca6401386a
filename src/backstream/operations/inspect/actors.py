"""Finds the actor of a change: every source that names somebody, the surest first.

A stream names nobody, unless DynamoDB itself made the change (time to live). Each claim states its source, so that a reader can
distinguish DynamoDB's statement from an application's. See docs/notes/0029-who-made-a-change.md.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from backstream.errors import Damaged, raising
from backstream.model.changes.entry import Entry
from backstream.model.condition import path_of, value_at
from backstream.model.tables import legacy_names
from backstream.vault.attribution.findings import AttributionStore, FindingSummary
from backstream.vault.table_vault import TableVault


class ActorSource(enum.StrEnum):
    """The source of a name.

    STREAM: the stream's record, in which DynamoDB names itself (time to live). CLOUDTRAIL: a finding of `blame --annotate`, by
    AWS's record of the call. ATTRIBUTE: an attribute of the item after the change, in which an application names itself.
    """

    STREAM = "stream"
    CLOUDTRAIL = "cloudtrail"
    ATTRIBUTE = "attribute"


class ActorClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """One source's claim about the actor of a change.

    `names`: other names of the same actor, such as the role of a session or an access key; `settled`: False if events that could
    contradict it had not been delivered yet.
    """

    actor: str
    source: ActorSource
    names: tuple[str, ...] = ()
    settled: bool = True

    def is_of(self, wanted: Collection[str]) -> bool:
        """True if it names one of these actors."""
        return self.actor in wanted or any(name in wanted for name in self.names)


class Attributed(Protocol):
    """The parts of a change that identify its actor.

    `stream`, `sequence`: its place in the log; `micros`: its time; `actor`: the name in the stream's record; `new`: the item after
    the change in DynamoDB JSON, None if it was deleted.
    """

    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> str: ...
    @property
    def micros(self) -> int: ...
    @property
    def actor(self) -> str | None: ...
    @property
    def new(self) -> bytes | None: ...


class AttributedEntry(msgspec.Struct, frozen=True):
    """An `Attributed` for an entry of the log whose image lies elsewhere."""

    stream: str
    sequence: str
    micros: int
    actor: str | None
    new: bytes | None


def told_by(entry: Entry, image: bytes) -> AttributedEntry:
    """Returns the entry, with its image, as a change for `Actors`. `image` is not used if the entry is a delete."""
    return AttributedEntry(entry.stream, entry.sequence, entry.micros, entry.actor, None if entry.removed else image)


class Actors:
    """Names the actors of one table's changes.

    `attribute`: the path of the attribute in which items name their last writer; `findings`: the findings of `blame`; `damaged`
    receives the error of each unreadable finding; if it returns, the others count. One thread at a time may ask.
    """

    def __init__(
        self, attribute: str | None = None, findings: AttributionStore | None = None, damaged: Callable[[Damaged], None] = raising
    ) -> None:
        self._path = None if attribute is None else path_of(attribute)
        self._findings = findings
        self._damaged = damaged

    @classmethod
    def of_vault(cls, vault: TableVault, damaged: Callable[[Damaged], None] = raising) -> Actors:
        """Returns the actors that the vault of a table can name."""
        return cls(vault.catalog.actor_attribute, vault.findings, damaged)

    def of(self, change: Attributed) -> str | None:
        """Returns the actor by the surest source; None if no source names one."""
        claim = self.first(change)
        return None if claim is None else claim.actor

    @property
    def knows_none(self) -> bool:
        """True if no source but the stream itself can name anybody."""
        return self._path is None and (self._findings is None or self._findings.is_empty)

    def first(self, change: Attributed) -> ActorClaim | None:
        """Returns the claim of the surest source; None if no source names anybody."""
        return next(iter(self.claims(change)), None)

    def claims(self, change: Attributed) -> list[ActorClaim]:
        """Returns every source's claim about a change, the surest source first."""
        of_stream = [] if change.actor is None else [ActorClaim(change.actor, ActorSource.STREAM)]
        return [*of_stream, *self._of_findings(change), *self._of_attribute(change)]

    def is_by(self, change: Attributed, wanted: Collection[str]) -> bool:
        """True if any source names one of these actors: the selection of `--actor`."""
        return any(claim.is_of(wanted) for claim in self.claims(change))

    def is_ambiguous(self, change: Attributed) -> bool:
        """True if calls of several principals may have made it, by the findings."""
        found = self._finding(change)
        return found is not None and found.actor is None and found.fitting > 1

    def _finding(self, change: Attributed) -> FindingSummary | None:
        """Returns what `blame` has found: it has only looked at changes of the stream."""
        if self._findings is None or not change.stream or change.stream == legacy_names.STREAM:
            return None
        return self._findings.of(change.stream, change.sequence, change.micros, self._damaged)

    def _of_findings(self, change: Attributed) -> list[ActorClaim]:
        """Returns the claims in findings."""
        found = self._finding(change)
        if found is None or found.actor is None:
            return []
        names = tuple(name for name in found.names if name != found.actor)
        return [ActorClaim(found.actor, ActorSource.CLOUDTRAIL, names, found.settled)]

    def _of_attribute(self, change: Attributed) -> list[ActorClaim]:
        """Returns the writer that the image after the change names.

        A delete leaves no such image: the old one names the writer before.
        """
        if self._path is None or change.new is None:
            return []
        value = value_at(change.new, self._path) or {}
        text = value.get("S", value.get("N"))
        return [ActorClaim(text, ActorSource.ATTRIBUTE)] if isinstance(text, str) and text else []
