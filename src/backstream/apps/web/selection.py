"""The filters of a list of changes or of a plan: from a form, and kept under an id, so that no content appears in a URL."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.apps.verbs.changes import asked_of
from backstream.apps.web.access.privacy import Privacy
from backstream.errors import UsageError
from backstream.model.values.decoding import UNDECODABLE
from backstream.operations.changes import ChangeCriteria
from backstream.operations.changes.selection import events_of
from backstream.vault.table_vault import TableVault

EVENTS = ("INSERT", "MODIFY", "REMOVE")
MOST_KEYS = 200


class ChangeFilters(msgspec.Struct, frozen=True, omit_defaults=True):
    """The selected changes. Empty fields select all. `keys`: as people write them."""

    keys: tuple[str, ...] = ()
    partition: str = ""
    tenant: str = ""
    where: str = ""
    actor: str = ""
    events: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    @property
    def selects(self) -> bool:
        """True if not all changes are selected."""
        return self != ChangeFilters()

    def criteria(self, vault: TableVault, privacy: Privacy) -> ChangeCriteria:
        """Returns the filters in the form of operations. Raises UsageError if one is invalid, or asks for hidden data."""
        privacy.check_filters(vault.catalog, self.where or None, self.attributes, self.tenant or None)
        if self.actor and not privacy.allows_actor(vault.catalog):
            raise UsageError("actors are not shown here: items name them in an attribute that is hidden or masked")
        return asked_of(
            vault,
            keys=list(self.keys),
            partition=self.partition or None,
            tenant=self.tenant or None,
            where=self.where or None,
            events=events_of(self.events),
            actor=self.actor or None,
            attributes=list(self.attributes),
        )


def of_form(field: Callable[[str], str], every: Callable[[str], list[str]]) -> ChangeFilters:
    """Returns the selection in a form.

    `field`: returns a field's value; `every`: returns all values of one. Raises UsageError if there are too many keys.
    """
    keys = [line.strip() for text in every("key") for line in text.splitlines() if line.strip()]
    if len(keys) > MOST_KEYS:
        raise UsageError(f"more than {MOST_KEYS} keys", hint="Use the command line, with --keys FILE.")
    return ChangeFilters(
        keys=tuple(dict.fromkeys(keys)),
        partition=field("partition"),  # data may begin and end with blanks
        tenant=field("tenant"),
        where=field("where").strip(),
        actor=field("actor"),
        events=tuple(each for each in EVENTS if each in every("event")),
        attributes=tuple(each.strip() for each in field("attribute").split(",") if each.strip()),
    )


def kept(chosen: ChangeFilters, privacy: Privacy) -> str:
    """Returns the id of a selection; empty for the selection of everything."""
    return privacy.remember(msgspec.json.encode(chosen).decode()) if chosen.selects else ""


def recalled(name: str, privacy: Privacy) -> ChangeFilters:
    """Returns the selection of an id. Raises UsageError if it is forgotten."""
    text = privacy.recall(name)
    if not text:
        return ChangeFilters()
    try:
        return msgspec.json.decode(text, type=ChangeFilters)
    except UNDECODABLE as error:
        raise UsageError("this address names no selection") from error
