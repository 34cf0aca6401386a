"""A quiet second: no transaction lies on both sides of it, whatever the traffic was; and nothing is called quiet without proof."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import Refused
from backstream.model import moment
from backstream.model.window import Older, Window
from backstream.operations.drill import DrillPlan
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import RestoreContext
from backstream.operations.together import quiet as quiets
from backstream.operations.together.drilling import DrilledTogether, GroupDrillRequest, drill_together
from backstream.operations.together.quiet import quiet
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.gaps.gap import Gap
from backstream.vault.table_vault import TableVault
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


def test_with_gaps_and_a_table_that_never_changes_it_is_the_definition() -> None:
    traffic, chance = Traffic(3), random.Random(3)
    idle = Feed(MemoryStore(ManualClock(BEGAN)), "idle", began=BEGAN - 5)
    idle.reached(BEGAN + 150)
    traffic.feeds["idle"] = idle
    unknown = set[int]()
    for feed in traffic.feeds.values():
        for since in chance.sample(range(BEGAN + 10, BEGAN + 140), 3):
            feed.vault.gaps.record(Gap("lost by a test", since, since + 1, feed.label))
            unknown |= {since, since + 1}
    durable = min(feed.vault.window(END + 60.0).durable or 0 for feed in traffic.feeds.values())
    busy = set().union(*traffic.seconds) | unknown
    for at in [durable - 1, durable, durable + 3, *chance.sample(range(BEGAN + 5, durable), 12)]:
        assert traffic.quiet(at) == next(each for each in range(at, BEGAN - 60, -1) if each < durable and each + 1 not in busy)


def quiet_itself(traffic: Traffic) -> int:
    return next(second for second in range(BEGAN + 90, BEGAN + 20, -1) if traffic.brute(second) == second)


@pytest.mark.parametrize("kind", ["horizon", "older"])
def test_what_was_removed_or_never_timed_is_not_quiet(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A kept state before the horizon can be restored, but what changed after it is gone. An older tool knows no change's time."""
    traffic, window = Traffic(1), TableVault.window
    at = quiet_itself(traffic)

    def until(second: int) -> None:
        more = {"horizon": second} if kind == "horizon" else {"older": Older(BEGAN - 60, second)}

        def with_more(vault: TableVault, now: float) -> Window:
            return msgspec.structs.replace(window(vault, now), **more)

        monkeypatch.setattr(TableVault, "window", with_more)

    until(at)
    assert traffic.quiet(at) == at
    until(at + 1)
    with pytest.raises(Refused, match="no quiet second"):
        traffic.quiet(at)


def test_tables_of_which_changes_are_lost_are_not_shown_to_be_consistent(tmp_path: Path) -> None:
    """The second may be quiet all the same: one table lacks its half of a transaction from long before."""
    traffic = Traffic(1)
    at, clock, tables = quiet_itself(traffic), ManualClock(END + 3_600), dict[str, MemoryTable]()

    def drilled() -> DrilledTogether:
        around = RestoreContext(
            lambda name: tables.setdefault(name, MemoryTable(name, clock)), clock, tmp_path, memory=Memory(64 << 20)
        )
        vaults = {name: feed.vault for name, feed in traffic.feeds.items()}
        plan = DrillPlan(at=at, patience=0.0, allow_gap=True, sample=0)
        return drill_together(GroupDrillRequest(vaults=vaults, around=around, plan=plan, covered=lambda *_: SignedCover()))

    sound = drilled()
    assert (sound.passed, sound.consistent, sound.note) == (True, True, "")
    ledger = traffic.feeds["ledger"]
    ledger.vault.gaps.record(Gap("lost by a test", BEGAN + 3, BEGAN + 4, ledger.label))
    unsure = drilled()
    assert (unsure.passed, unsure.consistent) == (True, False)
    assert f"what the vault holds of ledger at {moment.iso(at)} is not proven" in unsure.note
