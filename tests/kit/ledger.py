"""A shop of three tables whose orders, ledger and stock are written by transactions: each order has its row in the ledger.

Times are whole seconds, and a transaction's records may be stamped in two of them, as DynamoDB may do at a second's end.
"""

from __future__ import annotations

import random
import time

from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.ports import Put
from kit.feed import Feed
from kit.images import SCHEMA, image
from kit.scene import Scene

TABLES = ("orders", "ledger", "stock")


class Shop:
    """The tables live as they are now, ruined, and a vault that knows every second of them. `began`: the first of these."""

    def __init__(self, scene: Scene, name: str, *, transactions: int = 60, seed: int = 1) -> None:
        self.scene = scene
        self.name = name
        self.names = [f"{name}-{each}" for each in TABLES]
        self.orders, self.ledger, self.stock = self.names
        self.began = int(time.time()) - 3_600
        self.feeds = {each: self._feed(each) for each in self.names}
        self._write(transactions, random.Random(seed))
        self._ruin(self.last + 60)
        for each in self.feeds.values():
            each.deliver()
            each.reached(int(time.time()))

    def _feed(self, name: str) -> Feed:
        live = self.scene.live(name)
        live.create(on_demand(SCHEMA))
        facts = live.facts()
        region, account = facts.arn.split(":")[3:5]
        return Feed(self.scene.store(), name, began=self.began - 10, owner=(account, region, facts.table_id))

    def _write(self, transactions: int, chance: random.Random) -> None:
        """Transactions in bursts, with pauses. Of some, one table's record is stamped in the next second."""
        second = self.began
        for number in range(transactions):
            second += chance.choice((0, 0, 0, 1, 1, 4))
            cut = [second + chance.choice((0, 0, 1)) for _ in range(3)]
            row = image("order", number, total={"N": str(number)})
            self.feeds[self.orders].put(cut[0], row)
            self.feeds[self.ledger].put(cut[1], row)
            self.feeds[self.stock].put(cut[2], image("stock", number % 12, left={"N": str(1_000 - number)}))
            second = max(cut)
        self.last = second

    def _ruin(self, second: int) -> None:
        """What a bad deploy has made of the live tables: half of the rows are gone, and a few are new. The vault knows it."""
        for name, feed in self.feeds.items():
            rows = feed.model.at(second)
            feed.delete(second, *list(rows)[len(rows) // 2 :])
            feed.put(second, *(image("order", 10_000 + number, wrong={"BOOL": True}) for number in range(3)))
            self.scene.write(map(Put, feed.model.at(second).values()), name)

    def at(self, second: int) -> dict[str, dict[bytes, bytes]]:
        """Every table at the end of that second."""
        return {name: feed.model.at(second) for name, feed in self.feeds.items()}

    def live(self, suffix: str = "") -> dict[str, dict[bytes, bytes]]:
        """The live tables, by the names of those that they came from."""
        return {name: self.scene.items(name + suffix) for name in self.names}


def orders_without_ledger(orders: dict[bytes, bytes], ledger: dict[bytes, bytes]) -> set[bytes]:
    """The orders that have no row in the ledger. What was ruined counts, too."""
    return {wire.key_of(SCHEMA, each) for each in orders.values()} ^ {wire.key_of(SCHEMA, each) for each in ledger.values()}
