"""A shop's table, a bad window in it, and the revert of that window: memory parts with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backstream.model.values import wire
from backstream.operations import revert as reverting
from backstream.operations.changes import ChangeWindow
from backstream.operations.revert import Around, Plan, Reverted, RevertRequest, Writing
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Delete, Put, Table, TableFacts
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.images import image, key
from kit.stage import Stage


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


class Shop:
    """Four goods, then a bad window: 1 and 2 are repriced, 3 is deleted, 9 is new. All of it is in the vault, and proven.

    `late`: the vault begins after the four were written, and has no base backup.
    """

    def __init__(self, layout: Layout, folder: Path, *, late: bool = False) -> None:
        self.clock = ManualClock()
        self.stage = Stage(self.clock, layout=layout, shards=1)
        self.folder = folder
        for each in (1, 2, 3, 4):
            self.put(each, price=number(5))
        if late:
            self._begin_anew(layout)
        self.clock.move(50)
        self.begun = int(self.clock.now()) - 1
        self.put(1, price=number(0))
        self.put(2, price=number(0))
        self.delete(3)
        self.put(9, price=number(0))
        self.ended = int(self.clock.now())
        self.clock.move(50)
        self.stage.follow()

    def _begin_anew(self, layout: Layout) -> None:
        self.stage.table.disable_stream()
        self.stage.table.enable_stream()
        self.stage.store = MemoryStore(self.clock)
        init(self.stage.store, self.stage.table, InitOptions(layout=layout))

    def put(self, item: int, **fields: Any) -> None:
        self.stage.table.write([Put(image("z", item, **fields))])

    def delete(self, item: int) -> None:
        self.stage.table.write([Delete(key("z", item))])

    def around(self, table: Any = None) -> Around:
        return Around(table or self.stage.table, self.clock, self.folder)

    def request(self, **words: Any) -> RevertRequest:
        return RevertRequest(ChangeWindow(self.begun, words.pop("until", self.ended)), **words)

    def revert(self, table: Any = None, **words: Any) -> Reverted:
        return reverting.revert(self.stage.vault(), self.request(**words), self.around(table), Writing(), lambda _: True)

    def plan(self, path: Path, **words: Any) -> Plan:
        return reverting.plan(self.stage.vault(), self.request(**words), self.around(), path)

    def prices(self) -> Mapping[str, str]:
        """Number -> price, of all that is there."""
        found = [wire.decode(each) for page in self.stage.table.scan() for each in page]
        return {each["number"]["N"]: each["price"]["N"] for each in found}


GOOD = {"1": "5", "2": "5", "3": "5", "4": "5"}
BAD = {"1": "0", "2": "0", "4": "5", "9": "0"}


class AnotherTable:
    """The same table, as one that was deleted and created again: its id is another."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def facts(self) -> TableFacts:
        """As of a table with another id."""
        known = self._table.facts()
        return TableFacts(**{**{name: getattr(known, name) for name in TableFacts.__struct_fields__}, "table_id": "another"})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)
