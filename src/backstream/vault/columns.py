"""The schema of a table's typed columns: `_backstream/TABLE/columns.json`. A column keeps its name for ever."""

from __future__ import annotations

from backstream.errors import AlreadyExists, ConditionNotMet, Damaged, MissingObject, Unavailable
from backstream.model.columns import schema as schemas
from backstream.model.columns.schema import ColumnSchema
from backstream.ports import ObjectStore
from backstream.vault import below_markers
from backstream.vault.catalog import folder

ATTEMPTS = 20


class ColumnStore:
    """The typed columns of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self.name = f"{folder(table)}columns.json"

    def load(self) -> ColumnSchema:
        """Returns the columns; none if nothing was exported yet. Raises Damaged if the object is not a schema."""
        return self._current()[0]

    def keep(self, wanted: ColumnSchema) -> ColumnSchema:
        """Makes the columns durable and returns all that the table has. Others may have added columns meanwhile: theirs stay.

        A column that others have added under another name has that name in the answer. Nothing is written if nothing is new.
        """
        for _ in range(ATTEMPTS):
            known, tag = self._current()
            merged = known.including(wanted)
            if merged is known:
                return known
            try:
                self._put(schemas.to_json(merged), tag)
            except (AlreadyExists, ConditionNotMet, MissingObject):
                continue
            return merged
        raise Unavailable(f"{self.name} is changed by others all the time: the columns were not kept", hint="Try again.")

    def _put(self, body: bytes, tag: str | None) -> None:
        metadata = {"format": str(schemas.FORMAT)}
        if tag is None:
            self._store.put(self.name, body, metadata, if_absent=True)
        else:
            self._store.put(self.name, body, metadata, if_match=tag)

    def _current(self) -> tuple[ColumnSchema, str | None]:
        try:
            found = self._store.get(self.name)
            tag = found.info.tag
        except MissingObject:
            try:
                found, tag = below_markers.get(self._store, self.name), None
            except MissingObject:
                return ColumnSchema(), None
        try:
            return schemas.from_json(found.body), tag
        except Damaged as error:
            raise error.of(f"{self._store.url}/{self.name}") from error
