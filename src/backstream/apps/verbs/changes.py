"""`changes` and `revert` in the library: `TableBackup.changes`, `summary`, `revert` and so on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import Key, Moment, key_of, second_of
from backstream.errors import NothingMatches, UsageError
from backstream.operations import changes as changing
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import ChangeCriteria, ChangeRecord, Changes, ChangeSummary, ChangeWindow, NetRecord
from backstream.vault.table_vault import TableVault


class Selected:
    """A window of changes and a selection of them, read when it is iterated: a `ChangeRecord` for each change, oldest first.

    Making it checks that the vault knows the window. `certainty`: the vault's certainty about it; `warnings`: unreadable objects,
    if `allow_gap` was given, complete once everything was taken. It is an iterator, too: after `next` a `for` yields the
    rest.
    """

    def __init__(self, changes: Changes, tenant_attribute: str | None) -> None:
        self._changes = changes
        self._tenant_attribute = tenant_attribute
        self._begun: Iterator[ChangeRecord] | None = None
        self.certainty = changes.certainty

    def __iter__(self) -> Iterator[ChangeRecord]:
        return self._changes.records() if self._begun is None else self._begun

    def __next__(self) -> ChangeRecord:
        if self._begun is None:
            self._begun = self._changes.records()
        return next(self._begun)

    def net(self) -> Iterator[NetRecord]:
        """Yields one record for each item: its state before the window against the state after it."""
        return self._changes.net()

    def summary(self) -> ChangeSummary:
        """Returns the counts of items and changes: by event, tenant, attribute, actor and minute, and the busiest keys."""
        return changing.summed_up(self._changes, self._tenant_attribute)

    @property
    def warnings(self) -> list[str]:
        """Descriptions of unreadable objects."""
        return self._changes.warnings

    @property
    def gone(self) -> list[str]:
        """Descriptions of the first images that cannot be read."""
        return self._changes.gone

    @property
    def doubts(self) -> list[str]:
        """Notes about changes that may match, and are not selected; complete once everything was taken."""
        selection = self._changes.selection
        return changing.doubts_about(selection.undecided, selection.ambiguous)

    @property
    def doubtful(self) -> int:
        """The number of taken records that lack an image: their `note` says why."""
        return self._changes.doubtful


class RequestedKeys(msgspec.Struct, frozen=True):
    """Rows by their keys, and `notes`: why a row may be missing among them."""

    keys: list[bytes]
    notes: Sequence[str] = ()


class Changing:
    """The part of a table's backup that lists changes."""

    _config: Config
    _name: str

    def changes(
        self,
        *,
        from_: Moment,
        to: Moment = "now",
        keys: Iterable[Key] = (),
        keys_file: str | Path | None = None,
        partition: str | None = None,
        tenant: str | None = None,
        where: str | None = None,
        events: Iterable[str] = (),
        actor: str | None = None,
        attributes: Iterable[str] = (),
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Selected:
        """Returns the changes made after `from_`, up to and including `to`: iterate over it, or call `net()` or `summary()`.

        A change must pass all given filters. `keys`, and those in `keys_file`, one a line: only these items; `partition`: a hash
        key's value; `where`: a condition that the item satisfies before or after the change; `events`: INSERT, MODIFY, REMOVE;
        `attributes`: changes of one of these top-level attributes. Raises UsageError, OutsideWindow or GapInTheWay if the window is
        invalid, or not known; `allow_gap`: list the known changes all the same.
        """
        vault = self._config.vault(self._name)
        asked = asked_of(
            vault,
            keys=keys,
            keys_file=keys_file,
            partition=partition,
            tenant=tenant,
            where=where,
            events=events,
            actor=actor,
            attributes=attributes,
        )
        around = changing.ChangesContext(self._config.clock, self._config.memory, progress or Silent())
        span = span_of(vault, from_, to, around)
        return Selected(Changes(vault, span, asked, around, allow_gap=allow_gap), vault.catalog.tenant_attribute)


def span_of(vault: TableVault, from_: Moment, to: Moment, around: changing.ChangesContext) -> ChangeWindow:
    """Returns the window. Raises UsageError if one of them is not a moment."""
    now = around.clock.now()
    return ChangeWindow(*(second_of(each, now, vault) for each in (from_, to)))


def requested_keys(
    vault: TableVault,
    around: changing.ChangesContext,
    *,
    keys: Iterable[Key],
    keys_file: str | Path | None,
    changed_between: tuple[Moment, Moment] | None,
    allow_gap: bool,
) -> RequestedKeys:
    """Returns the keys of the requested rows; none if all are. Raises NothingMatches if none of these rows changed."""
    asked = asked_of(vault, keys=keys, keys_file=keys_file)
    if changed_between is None:
        return RequestedKeys(list(asked.keys))
    found = Changes(vault, span_of(vault, *changed_between, around), asked, around, allow_gap=allow_gap)
    try:
        every = found.keys()
    except NothingMatches as error:
        error.hint = " ".join([error.hint, *_uncertain(found)]).strip()
        raise
    return RequestedKeys(every, [f"rows that changed in the window: {each}" for each in _uncertain(found)])


def _uncertain(found: Changes) -> list[str]:
    """Returns why a change of a window may be missing among those that were found."""
    return [*found.certainty.notes, *(f"not read: {each}" for each in found.warnings)]


def asked_of(
    vault: TableVault,
    *,
    keys: Iterable[Key] = (),
    keys_file: str | Path | None = None,
    changes_file: str | Path | None = None,
    partition: str | None = None,
    tenant: str | None = None,
    where: str | None = None,
    events: Iterable[str] = (),
    actor: str | None = None,
    attributes: Iterable[str] = (),
) -> ChangeCriteria:
    """Returns the filters. Raises UsageError if a key or a file is invalid, NothingMatches if a file is of other tables alone."""
    for name, given, like in (
        ("keys", keys, "[KEY]"),
        ("events", events, '["INSERT", "REMOVE"]'),
        ("attributes", attributes, '["price"]'),
    ):
        if isinstance(given, (str, bytes)):
            raise UsageError(f"{name} are a list", hint=f"{name}={like}")
    schema = vault.catalog.key_schema
    every = [key_of(vault, key) for key in keys]
    try:
        every += [] if keys_file is None else changing.keys_in(Path(keys_file), schema, vault.catalog.table)
    except NothingMatches:
        if not every:
            raise
    return ChangeCriteria(
        keys=list(dict.fromkeys(every)),
        partition=partition,
        tenant=tenant,
        where=where,
        events=list(events),
        actor=actor,
        attributes=list(attributes),
        numbers=None if changes_file is None else changing.numbers_in(Path(changes_file), schema, vault.catalog.table),
    )
