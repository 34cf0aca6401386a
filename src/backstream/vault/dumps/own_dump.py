"""Backstream's own dumps as a source of items."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.values.decoding import UNDECODABLE
from backstream.ports import Files
from backstream.vault.dumps.dumps import MANIFEST, Dump
from backstream.vault.dumps.held import HeldFacts, HeldPage, TableKeys, paged

LIMITS = (
    "from a dump: each item is as it was at some time while the table was read, the settings are what DescribeTable said, and rows "
    "that are not in it are left alone"
)


class OwnDump:
    """A folder that `dump` wrote. See `HeldTable`. `now`: epoch seconds. A dump ends up to a second later, by its server."""

    def __init__(self, store: Files, now: float, *, checksums: bool = True) -> None:
        self._dump = dump = Dump.open(store, checksums=checksums)
        told = dump.manifest
        name = f"{store.url}/{MANIFEST}"
        if (held := sum(each.item_count for each in told.files)) != told.items:
            raise Damaged(f"{name}: its files hold {held} items, and it says {told.items}")
        try:
            began, ended = (moment.parse_iso_micros(each) // MICROS for each in (told.began, told.ended))
            description = msgspec.json.decode(told.description, type=dict[str, object])
        except (ValueError, *UNDECODABLE) as error:
            raise Damaged(f"{name} is not a dump's manifest: {error}") from error
        self.facts = HeldFacts(
            what="a dump",
            url=store.url,
            table=told.table,
            table_arn=told.table_arn,
            table_id=told.table_id,
            description=description,
            at=min(ended, int(now)),
            limits=LIMITS,
            rows=told.items,
            read=(began, ended) if told.consistent else None,
        )

    def pages(self, keys: TableKeys) -> Iterator[HeldPage]:  # noqa: ARG002 - every line is an item
        """See `HeldTable`."""
        for file in self._dump.manifest.files:
            yield from paged(file.name, enumerate(self._dump.images(file), 1))

    def missing(self) -> list[str]:
        """Returns nothing: a dump without its manifest, or without one of its files, is none."""
        return []
