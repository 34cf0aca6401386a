"""A restore of several tables: whatever one of them refuses for, nothing is touched; and one that is left keeps no other back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import AccessDenied, BackstreamError, MissingTable, Refused, Unavailable
from backstream.model.values.schema import KeySchema
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import RestoreContext
from backstream.operations.together import restoring
from backstream.operations.together.restoring import GroupRestoreRequest, RestoredTogether, head_of
from backstream.ports import Put, Write
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.gaps.gap import Gap
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.scene import same

BEGAN = 1_800_000_000
MOMENT = BEGAN + 50
NAMES = ("orders", "ledger", "stock")
OTHER_KEYS = KeySchema(msgspec.structs.replace(SCHEMA.hash, name="other"), SCHEMA.range)


class Town:
    """Three live tables that were changed after the moment, and the vault that knows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(BEGAN + 500)
        self.tables = {name: MemoryTable(name, self.clock, SCHEMA) for name in NAMES}
        store = MemoryStore(ManualClock(BEGAN - 10))
        self.feeds = {name: self._feed(store, live) for name, live in self.tables.items()}

    @staticmethod
    def _feed(store: MemoryStore, live: MemoryTable) -> Feed:
        feed = Feed(store, live.name, began=BEGAN - 5, owner=(live.account, live.region, live.id))
        feed.put(BEGAN, *(image(live.name, number) for number in range(4)))
        feed.put(BEGAN + 100, *(image(live.name, number, bad={"BOOL": True}) for number in range(2)))
        feed.delete(BEGAN + 100, key(live.name, 3))
        live.write([Put(each) for each in feed.model.at(BEGAN + 200).values()])
        feed.deliver(now=BEGAN + 300.0)
        feed.reached(BEGAN + 499)
        return feed

    @property
    def stock(self) -> MemoryTable:
        return self.tables["stock"]

    def table_of(self, name: str) -> MemoryTable:
        return self.tables.setdefault(name, MemoryTable(name, self.clock))

    def items(self) -> dict[str, Mapping[bytes, bytes]]:
        return {name: dict(live._items) for name, live in self.tables.items() if live._schema is not None}

    def is_back(self) -> bool:
        return all(same(self.items()[name], self.feeds[name].model.at(MOMENT)) for name in NAMES)

    def asked(self, *, force: bool = False) -> GroupRestoreRequest:
        around = RestoreContext(self.table_of, self.clock, self.folder, memory=Memory(64 << 20))
        return GroupRestoreRequest(
            vault_of=lambda name: self.feeds[name].vault, around=around, covered=lambda *_: SignedCover(), force=force
        )

    def restore(self, ending: str) -> RestoredTogether:
        return restoring.restore(head_of([], {name: name + ending for name in NAMES}, MOMENT, MOMENT, {}), self.asked())


def account(town: Town) -> None:
    town.stock.account = "999999999999"


def region(town: Town) -> None:
    town.stock.region = "eu-central-9"


def table_id(town: Town) -> None:
    town.stock.id = "another"


def gone(town: Town) -> None:
    town.stock.delete()


def gap(town: Town) -> None:
    feed = town.feeds["stock"]
    feed.vault.gaps.record(Gap("lost by a test", BEGAN + 3, BEGAN + 4, feed.label))


def keys(town: Town) -> None:
    town.stock._schema = OTHER_KEYS


def denied(town: Town) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AccessDenied("not today")

    town.stock.write_if = refuse  # type: ignore[assignment, method-assign]


def silent(town: Town) -> None:
    def fail(*_: object) -> NoReturn:
        raise Unavailable("no answer")

    town.stock.scan = fail  # type: ignore[assignment, method-assign]


def deletes(town: Town) -> None:
    town.stock.write([Put(image("new", number)) for number in range(9)])


def full(town: Town) -> None:
    town.table_of("stock-b")._schema = SCHEMA
    town.table_of("stock-b").write([Put(image("x", 1))])


def others_keys(town: Town) -> None:
    town.table_of("stock-b")._schema = OTHER_KEYS


@pytest.mark.parametrize(
    ("fault", "ending", "error"),
    [
        *((each, "", Refused) for each in (account, region, table_id, gap, keys, deletes)),
        *((each, "-b", Refused) for each in (gap, full, others_keys)),
        (gone, "", MissingTable),
        (denied, "", AccessDenied),
        (silent, "", Unavailable),
    ],
)
def test_one_that_refuses_keeps_all_from_being_touched(
    tmp_path: Path, fault: Callable[[Town], None], ending: str, error: type[BackstreamError]
) -> None:
    town = Town(tmp_path)
    fault(town)
    before = town.items()
    with pytest.raises(error, match=r"nothing was touched: 1 of 3 tables cannot be restored to .*: stock: "):
        town.restore(ending)
    assert town.items() == before
    assert not [*tmp_path.iterdir()]


def test_rows_that_somebody_changed_in_one_table_keep_no_other_from_going_on(tmp_path: Path) -> None:
    town = Town(tmp_path)
    orders, write_if, mine = town.tables["orders"], town.tables["orders"].write_if, image("orders", 0, mine={"BOOL": True})

    def overtaken(write: Write, before: bytes | None) -> bool:
        if before is not None and b"probe" not in before:
            orders.write([Put(mine)])
        return write_if(write, before)

    orders.write_if = overtaken  # type: ignore[method-assign]
    first = town.restore("")
    assert (first.as_of, [each.table for each in first.not_as_of]) == ([], [*NAMES])
    orders.write_if = write_if  # type: ignore[method-assign]
    left = Path(first.left or "")

    second = restoring.resume(left, town.asked())
    assert second.as_of == ["ledger", "stock"]
    (kept,) = second.not_as_of
    assert (kept.table, kept.begun, "--force brings them back" in kept.why) == ("orders", True, True)
    assert mine in town.items()["orders"].values()
    with pytest.raises(Refused, match="orders: all that is left are 1 rows"):
        restoring.resume(left, town.asked())
    assert restoring.resume(left, town.asked(force=True)).as_of == [*NAMES]
    assert town.is_back()
