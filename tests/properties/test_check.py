"""`check` beside the time machine: on whatever a vault has lived through it finds nothing; and whatever is taken away, it finds.

What is hidden or removed is put back after each look, so that a life goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from backstream.engine.local.memory import Memory
from backstream.operations.inspect.check import CheckContext, Checked, FindingKind, check
from backstream.ports import Markers, StoredObject
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from properties.test_time_machine import KEYS, TimeMachine

SYSTEM = "_backstream/items/"
SMALL = Memory(64 << 20)
LOST = 5  # objects, at the end of a life
WITHOUT = (  # the time machine's own questions, which have their own tests
    "every_second_comes_back",
    "one_item_comes_back",
    "restored_in_place",
    "history_holds_each_change_once",
    "plain_tools_see_the_table",
    "the_window_never_claims_too_much",
    "nobody_follows_for_a_day",
)


class CheckedMachine(TimeMachine):
    """See `WITHOUT` for what is left out of the time machine."""

    make_store = MemoryStore

    def checked(self, *, markers: Markers | None = None, percent: float = 100.0) -> Checked:
        return check(self.vault(), CheckContext(self.clock, SMALL, markers=markers), percent=percent)

    @property
    def memory(self) -> MemoryStore:
        assert isinstance(self.store, MemoryStore)
        return self.store

    @rule()
    def nothing_is_wrong(self) -> None:
        assert self.checked().findings == []

    # How many objects there are is a matter of threads that share a scan: what is drawn must not hang on it.

    @rule(some=st.integers(0, 2**30 - 1))
    def objects_are_hidden(self, some: int) -> None:
        self.follow(self.store)
        names = [each.name for each in self.store.list("")]
        chosen = {name for number, name in enumerate(names) if some >> (number % 30) & 1}
        self.hide_and_find(names, chosen or set(names))

    def teardown(self) -> None:
        """In the end of every life all is hidden, and several objects are lost one after the other."""
        if not hasattr(self, "table"):
            return
        self.follow(self.store)
        self.nothing_is_wrong()
        names = [each.name for each in self.store.list("")]
        self.hide_and_find(names, set(names))
        claimed = sorted({*self.rows_in_the_log(), *self.parts()})
        for name, version in claimed[:: max(1, len(claimed) // LOST)]:
            self.lose_and_find(name, version)

    def hide_and_find(self, names: list[str], hidden: set[str]) -> None:
        needed = {name for name in hidden if self.is_needed(name)}
        before = {key: self.known(key) for key in KEYS}
        for name in sorted(hidden):
            self.store.delete(name)
        assert {key: self.known(key) for key in KEYS} == before, "whoever reads sees through it"
        found = self.checked()
        assert {each.kind for each in found.findings} <= {FindingKind.HIDDEN}
        assert needed <= {each.object for each in found.findings} <= hidden
        repaired = self.checked(markers=self.memory)
        assert repaired.repaired == repaired.found == found.found
        assert needed <= {each.name for each in self.store.list("")} <= set(names)
        assert self.checked().findings == []

    def known(self, key: bytes) -> list[object]:
        vault = self.vault()
        return list(vault.history(vault.key_of(key)))

    def is_needed(self, name: str) -> bool:
        """Whether its absence would be a loss, as far as is easily said."""
        vault = self.vault()
        generation = vault.compacted.current()
        if name.startswith(f"{SYSTEM}log/"):
            return name not in vault.compacted.replaced(generation) or name in generation.kept
        if name.startswith(f"{SYSTEM}compacted/"):
            return name.endswith(f"/{generation.number:08d}.json") or name.split("/")[3] in {one.id for one in generation.sets}
        return name.startswith(SYSTEM) or (not self.moving and bool(self.live()))

    @rule(number=st.integers(0, 10_000))
    def an_object_is_lost(self, number: int) -> None:
        claimed = sorted({*self.rows_in_the_log(), *self.parts()})
        if claimed:
            self.lose_and_find(*claimed[number % len(claimed)])

    def lose_and_find(self, name: str, version: str) -> None:
        if self.is_there_twice(name, version):
            return
        with self.without(name, version):
            found = self.checked().findings
            assert any(_names(each.object, each.why, name) and each.kind is FindingKind.MISSING for each in found), (
                name,
                version,
                found,
            )
        assert self.checked().findings == []

    def is_there_twice(self, name: str, version: str) -> bool:
        """Whether one of the vault's own objects is there again, byte for byte.

        Over a delete marker, a compaction writes it a second time.
        """
        if not name.startswith(SYSTEM):
            return False
        bodies = {each.version: self.store.get(name, each.version).body for each in self.store.versions_of(name) if not each.marker}
        return list(bodies.values()).count(bodies[version]) > 1

    def rows_in_the_log(self) -> Iterator[tuple[str, str]]:
        vault = self.vault()
        for key in KEYS:
            for entry in vault.history(vault.key_of(key)):
                if entry.place is not None and not self.moving:
                    yield entry.place.name, entry.place.version

    def parts(self) -> Iterator[tuple[str, str]]:
        vault = self.vault()
        for base in vault.bases.complete():
            for part in vault.bases.parts(base.id):
                yield part.name, next(row.version for row in self.store.versions_of(part.name) if not row.marker)
        for one in vault.compacted.current().sets:
            for each in vault.compacted.parts(one):
                yield each.name, each.version

    @contextmanager
    def without(self, name: str, version: str) -> Iterator[None]:
        there = self.memory._versions[name]
        whole = list(there)
        there[:] = [each for each in there if not isinstance(each, StoredObject) or each.info.version != version]
        try:
            yield
        finally:
            there[:] = whole


def _names(found: str, why: str, name: str) -> bool:
    """Whether a finding is about an object, or about the set or base backup that it is of."""
    return found == name or name in why or (f"/base/{name.split('/')[3]}/" in why and "parts" in why)


def run(*, examples: int, steps: int, **traits: Any) -> None:
    run_state_machine_as_test(
        type("Machine", (CheckedMachine,), {**dict.fromkeys(WITHOUT), **traits}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.operations.base.backfill.segment.PART_ROWS", 2)


@pytest.mark.parametrize("layout", Layout)
def test_whatever_is_missing_is_found_and_nothing_else(layout: Layout) -> None:
    run(examples=5, steps=15, layout=layout)


@pytest.mark.soak
@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize(("stocked", "moving"), [(False, False), (True, False), (True, True)])
def test_for_long(layout: Layout, *, stocked: bool, moving: bool) -> None:
    run(examples=300, steps=40, layout=layout, stocked=stocked, moving=moving)
