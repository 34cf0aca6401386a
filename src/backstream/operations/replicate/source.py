"""Checks that a delivery belongs to a replica's source table: its account, its region, and not a table that it replaced."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from backstream.errors import BackstreamError, Refused
from backstream.model.changes.change import Change, stream_label
from backstream.model.changes.deliveries import is_kinesis
from backstream.model.tables.owner import owner_of
from backstream.operations.setup.identity import created_second
from backstream.ports import Table, TableFacts


class SourceTable(msgspec.Struct, frozen=True):
    """A replica's source, as it was described, and the stream of the delivery at that time."""

    table: Table
    facts: TableFacts
    stream_arn: str

    @property
    def id(self) -> str:
        """The table's id."""
        return self.facts.table_id

    def delivers(self, arn: str) -> bool:
        """True if this stream is the one that was checked."""
        return arn == self.stream_arn

    def check(self) -> None:
        """Raises Refused if the stream belongs to another account or region, or to a deleted table of the same name."""
        name = self.facts.name
        ours, theirs = self.facts.arn.split(":")[3:5], self.stream_arn.split(":")[3:5]
        if ours != theirs or (not is_kinesis(self.stream_arn) and owner_of(self.stream_arn) != owner_of(self.facts.arn)):
            raise Refused(
                f"{self.stream_arn} is not a stream of {self.facts.arn}: nothing of it was brought into the replica",
                hint="Map the function to the table's own stream, in its own account and region.",
            )
        if is_kinesis(self.stream_arn) or self.stream_arn == self.facts.stream_arn:
            return
        if not self.facts.stream_arn or stream_label(self.stream_arn) > stream_label(self.facts.stream_arn):
            raise Refused(f"{self.stream_arn} is not a stream that {name} has had: nothing of it was brought into the replica")

    def of_before(self, changes: Mapping[int, Change]) -> dict[int, BackstreamError]:
        """Returns the changes that were made before this table was created, by position: they belong to another one of the same
        name.
        """
        created = created_second(self.facts)
        if created is None:
            return {}
        old = Refused(
            f"made before the table {self.facts.name} was created: of another table of that name, which is gone",
            hint="It was made before the table was created again, and is of the one before: it says nothing of the replica.",
        )
        return {position: old for position, change in changes.items() if change.seconds < created}
