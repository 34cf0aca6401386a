"""Two writers that keep one item's changes at the same time, stepped one request at a time: whatever the order, the end is right.

A tail keeps all of them. Another tail that stops before the last one, or a function whose batch is delivered late, keeps some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from backstream.model.changes.change import Change
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.rows import rows
from backstream.vault.rows.rows import RowStore
from kit.clock import ManualClock
from kit.lived import all_changes
from kit.stage import Stage
from kit.stepping import Play, copy_of, every_schedule

MOST = 60_000  # situations


class Item:
    """The changes of one item, as its life says: `p` puts it, `d` deletes it."""

    def __init__(self, life: str, *, before: int = 0) -> None:
        self.stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
        for letter in life:
            if letter == "p":
                self.stage.put([1])
            else:
                self.stage.delete([1])
            self.stage.clock.sleep(1)
        self.changes = all_changes(self.stage)
        self.catalog: Catalog = catalogs.load(self.stage.store, "flights")
        self.before = before

    def store(self) -> MemoryStore:
        """A vault in which the first changes lie already."""
        assert isinstance(self.stage.store, MemoryStore)
        store = copy_of(self.stage.store, self.stage.clock)
        self.keeping(self.changes[: self.before])(store)
        return store

    def keeping(self, changes: Sequence[Change]) -> Callable[[ObjectStore], None]:
        """What a writer does: one process, so it remembers what it has put."""

        def keep(store: ObjectStore) -> None:
            writer = RowStore(store, self.catalog)
            for each in changes:
                writer.keep(each)

        return keep

    def is_right(self, store: ObjectStore) -> bool:
        """Whether plain S3 tools see what the table holds."""
        held = [each.name for each in store.list("flights/")]
        (image,) = self.stage.expected().values() or [None]
        return [store.get(name).body for name in held] == ([] if image is None else [image])


def is_step(what: str, name: str) -> bool:
    """What it matters when it is asked for."""
    return name.startswith("flights/") and not what.endswith("version")


def play(item: Item, *others: Sequence[Change]) -> int:
    """Every order of the requests of a tail that keeps all changes, and of the others."""
    ended = 0

    def make() -> Play:
        writers = {"tail": item.keeping(item.changes[item.before :])}
        writers |= {f"other {number}": item.keeping(each) for number, each in enumerate(others)}
        return Play(item.store(), writers, step=is_step)

    def check(played: Play) -> None:
        nonlocal ended
        if played.ended:
            ended += 1
            assert [each for each in played.outcomes.values() if each is not None] == []
            assert item.is_right(played.store), f"plain tools see another state after {played.played}"

    situations, whole = every_schedule(make, check, MOST)
    assert whole, f"more than {situations} situations"
    return ended


CASES = [("pdp", 1, (1, 2)), ("pdpd", 3, (0, 3))]
LONG = [("pdp", 1, (0, 3)), ("pdp", 0, (0, 2)), ("pdp", 0, (1, 2)), ("pdpd", 2, (2, 3)), ("pdpd", 2, (1, 3))]
SOAK = (pytest.mark.soak, pytest.mark.timeout(1_800))


@pytest.mark.parametrize(("life", "before", "some"), [*CASES, *(pytest.param(*each, marks=SOAK) for each in LONG)])
def test_no_marker_stays_above_a_newer_version(life: str, before: int, some: tuple[int, int]) -> None:
    """The tail goes on after the first `before` changes; the other keeps those from the one number to before the other."""
    item = Item(life, before=before)
    assert play(item, item.changes[slice(*some)]) > 1


def test_a_writer_that_does_not_look_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "settle", lambda *_args, **_how: [])
    item = Item("pdp", before=1)
    with pytest.raises(AssertionError, match="plain tools see"):
        play(item, item.changes[1:2])


class GappyItem(Item):
    """The vault holds its second change alone: the first one was never kept."""

    def store(self) -> MemoryStore:
        assert isinstance(self.stage.store, MemoryStore)
        store = copy_of(self.stage.store, self.stage.clock)
        self.keeping(self.changes[1:2])(store)
        return store


@pytest.mark.parametrize("life", ["ppp", "pdp", "ppd"])
def test_a_late_change_hides_nothing_that_comes_meanwhile(life: str) -> None:
    """One keeps the first change, late, and brings the second one on top again; another keeps the third at the same time."""
    item = GappyItem(life, before=2)
    assert play(item, item.changes[:1]) > 1
