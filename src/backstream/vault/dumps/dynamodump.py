"""dynamodump's dumps as a source of items."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.stores.dumps import SCHEMA, DynamodumpDump
from backstream.vault.dumps.dump_pages import Pages, description_of
from backstream.vault.dumps.held import HeldFacts, HeldPage, TableKeys

LIMITS = (
    "from a dump: each of its pages is of the moment in which it was read, the settings are what DescribeTable said, and rows that "
    "are not in it are left alone"
)


class DynamodumpTable:
    """One table in a dump of dynamodump. See `HeldTable`. `now`: epoch seconds; no file counts as younger."""

    def __init__(self, dump: DynamodumpDump, table: str, now: float) -> None:
        self._dump = dump
        self._pages = Pages()
        schema = dump.schema()
        written = [min(int(now), int(each.member.modified)) for each in dump.pages()]
        description = description_of(schema.body, schema.name)
        self.facts = HeldFacts(
            what="a dump of dynamodump",
            url=str(dump.path),
            table=table,
            table_arn=str(description.get("TableArn", "")),
            table_id=str(description.get("TableId", "")),
            description=description,
            at=max(written, default=int(now)),
            limits=LIMITS,
        )

    def pages(self, keys: TableKeys) -> Iterator[HeldPage]:  # noqa: ARG002 - the pages are the answers of Scan
        """See `HeldTable`."""
        self._pages = Pages()
        for page in self._dump.pages():
            name = page.member.name
            yield HeldPage(name, self._pages.read(page.number, page.member.body, name))

    def missing(self) -> list[str]:
        """Describes the missing pages: see `Pages`."""
        return self._pages.missing()


__all__ = ["LIMITS", "SCHEMA", "DynamodumpTable"]
