"""A quiet second: no transaction lies on both sides of it, whatever the traffic was; and nothing is called quiet without proof."""

from __future__ import annotations

import random

import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import Refused
from backstream.model import moment
from backstream.operations.together import quiet as quiets
from backstream.operations.together.quiet import quiet
from backstream.stores.memory import MemoryStore
from backstream.vault.gaps.gap import Gap
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import image

BEGAN = 1_800_000_000
NAMES = ("orders", "ledger", "stock")
END = BEGAN + 200


class Traffic:
    """Transactions over three tables in bursts and pauses. The records of one may be stamped in two neighbouring seconds."""

    def __init__(self, seed: int, *, until: int = END) -> None:
        store, chance = MemoryStore(ManualClock(BEGAN)), random.Random(seed)
        self.feeds = {name: Feed(store, name, began=BEGAN - 5) for name in NAMES}
        second, self.seconds = BEGAN, list[set[int]]()
        for number in range(120):
            second += chance.choice((0, 0, 0, 1, 1, 2, 3))
            stamped = [second + chance.choice((0, 0, 0, 1)) for _ in NAMES]
            for name, each in zip(NAMES, stamped, strict=True):
                self.feeds[name].put(each, image("row", number))
            self.seconds.append(set(stamped))
            second = max(second, *stamped)
        for feed in self.feeds.values():
            feed.deliver(now=END)
            feed.reached(until)

    def quiet(self, at: int) -> int:
        vaults = {name: feed.vault for name, feed in self.feeds.items()}
        return quiet(vaults, at, END + 60.0, Memory()).at

    def is_cut(self, at: int) -> bool:
        """True if some table has a transaction at that second that another one does not have yet."""
        first, *others = (feed.model.at(at).keys() for feed in self.feeds.values())
        return any(each != first for each in others)

    def brute(self, at: int) -> int:
        """The definition: the latest second up to this one after which nothing changed for a second."""
        changed = set().union(*self.seconds)
        return next(second for second in range(at, BEGAN - 5, -1) if second + 1 not in changed)


@pytest.mark.parametrize("seed", range(2))
def test_at_fifty_moments_no_table_has_what_another_lacks(seed: int) -> None:
    traffic, chance = Traffic(seed), random.Random(seed)
    moments = [chance.randrange(BEGAN + 1, END - 1) for _ in range(25)]
    assert any(map(traffic.is_cut, moments)), "some of these moments cut a transaction"
    for at in moments:
        settled = traffic.quiet(at)
        assert settled == traffic.brute(at)
        assert not traffic.is_cut(settled)


def test_what_is_not_proven_is_not_quiet() -> None:
    traffic = Traffic(1, until=BEGAN + 100)
    after = max(BEGAN + 100, *(max(each) for each in traffic.seconds)) + 10
    proven = traffic.feeds["orders"].vault.window(END + 60.0).durable
    assert proven is not None
    assert traffic.quiet(min(after, END)) < proven, "whether something changed later is not known"
    lost = traffic.feeds["ledger"]
    at = next(second for second in range(BEGAN + 90, BEGAN + 20, -1) if traffic.brute(second) == second)
    assert traffic.quiet(at) == at
    lost.vault.gaps.record(Gap("lost by a test", at + 1, at + 1, lost.label))
    assert traffic.quiet(at) < at


def test_traffic_without_a_pause_has_no_quiet_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiets, "BACK", (20, 90))
    feeds = {name: Feed(MemoryStore(ManualClock(BEGAN)), name, began=BEGAN - 5) for name in NAMES[:2]}
    for name, feed in feeds.items():
        feed.put(BEGAN, image("row", 0))
        for second in range(BEGAN, BEGAN + 200):
            if (second % 2 == 0) == (name == "orders"):
                feed.put(second, image("row", second - BEGAN))
        feed.deliver(now=BEGAN + 300)
        feed.reached(BEGAN + 300)
    vaults = {name: feed.vault for name, feed in feeds.items()}
    with pytest.raises(Refused, match=f"no quiet second within an hour before {moment.iso(BEGAN + 150)}"):
        quiet(vaults, BEGAN + 150, BEGAN + 400.0, Memory())
