"""Finds items' images just before a migration changed them, in the vault by their digests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from backstream.errors import Failed
from backstream.model import migration, moment
from backstream.model.changes.entry import Entry
from backstream.operations.inspect.whole_log import changes_since
from backstream.operations.migrate.journal import Noted
from backstream.vault.table_vault import TableVault


class Before:
    """The images of some items: one reading of the vault finds most of them, one of the log since then nearly all others.

    `began`: the second in which the migration began: most items were then unchanged until it came to them. A change between that
    and the migration's own write is in the log since.
    """

    def __init__(self, vault: TableVault, began: int, noted: Sequence[Noted]) -> None:
        self._vault = vault
        self._began = began
        self._wanted = {each.key: each.before for each in noted if each.before is not None}
        self._images: dict[bytes, bytes] = {}
        if self._wanted:
            with vault.engine.state(vault, began, keys=set(self._wanted)) as state:
                self._keep((key, entry) for part in state for key, entry in part.items())
        if missing := self._wanted.keys() - self._images.keys():
            self._keep(self._since(missing))

    def image(self, noted: Noted) -> bytes | None:
        """Returns an image; None if the item did not exist. Raises Failed if the vault does not hold it (yet)."""
        if noted.before is None:
            return None
        if noted.key not in self._images:
            self._keep((noted.key, entry) for entry in self._vault.history(noted.key))
        if noted.key in self._images:
            return self._images[noted.key]
        raise Failed(
            f"the vault does not hold it as it was before the migration, which began at {moment.iso(self._began)}: "
            f"`backstream tail {self._vault.catalog.table} --until-caught-up` makes sure of changes that are still on their way"
        )

    def _keep(self, entries: Iterable[tuple[bytes, Entry]]) -> None:
        """Keeps the wanted images."""
        there = ((key, entry) for key, entry in entries if key in self._wanted and not entry.removed)
        for key, image in self._vault.images(there):
            if isinstance(image, bytes) and migration.digest(image) == self._wanted[key]:
                self._images[key] = image

    def _since(self, keys: Collection[bytes]) -> Iterator[tuple[bytes, Entry]]:
        """Yields the log's entries of these items from the hour in which the migration began on."""
        # From the second before on: an item may have changed twice in the second in which the migration began.
        changes = changes_since(self._vault, self._began - 1)
        yield from ((key, entry) for entry in changes if (key := self._vault.key(entry)) in keys)
