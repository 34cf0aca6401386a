"""Whatever Lambda keeps, gives up and repeats, in whatever order it is redriven, by whoever dies at it: in the end it is the table.

And at any time in between the window claims no second whose changes are not all in the log.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import BackstreamError
from backstream.model.changes.change import Change
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.vault.catalog import Layout
from kit import images
from kit.crashing import CrashingStore
from kit.redriving import FailingStage


class Life:
    """Changes that are delivered in the stream's order, each batch kept or given up, with redrives in between."""

    def __init__(self, seed: int, layout: Layout) -> None:
        self.source = random.Random(seed)
        self.stage = FailingStage(layout=layout)
        self._delivered = 0
        self._alive: set[int] = set()

    def write(self) -> None:
        """Some changes of a few items, some of them within the same second."""
        for _ in range(self.source.randrange(1, 5)):
            number = self.source.randrange(4)
            if number in self._alive and self.source.random() < 0.3:
                self.stage.delete([number])
                self._alive.remove(number)
            else:
                self.stage.put([number])
                self._alive.add(number)
            self.stage.manual.move(self.source.choice([0, 0, 1, 40]))

    def deliver(self) -> None:
        """What is new, as one batch: kept, given up as it is, or given up after the function had kept some of it."""
        batch = self.stage.changes()[self._delivered :]
        self._delivered += len(batch)
        fate = self.source.choice(["kept", "given up", "partly"])
        if not batch:
            return
        if fate == "kept":
            self.stage.keep(batch)
            return
        if fate == "partly":
            self._keep_some(batch)
        for _ in range(self.source.choice([1, 1, 2])):
            self.stage.give_up(self.stage.records(batch))

    def _keep_some(self, batch: Sequence[Change]) -> None:
        """The function dies at one of its writes, and is tried no more."""
        self.stage.keep(batch, CrashingStore(self.stage.store, self.source.randrange(1, 8), after=self.source.random() < 0.5))

    def redrive(self) -> None:
        """A redrive, which may die."""
        dies = self.source.random() < 0.6
        store = CrashingStore(self.stage.store, self.source.randrange(1, 12), after=self.source.random() < 0.5) if dies else None
        try:
            self.stage.redrive(store=store)
        except BackstreamError:
            assert dies

    def check(self) -> None:
        """Of every second up to the window's end each change is in the log."""
        vault = self.stage.vault()
        known = {entry.sequence for listed in vault.log.listing() for entry in vault.log.read(listed)}
        missing = [change.seconds for change in self.stage.changes() if change.sequence not in known]
        until = self.stage.window().until
        assert until is None or not missing or until < min(missing)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(st.sampled_from(["write", "write", "deliver", "deliver", "redrive"]), max_size=16),
    layout=st.sampled_from(list(Layout)),
)
def test_in_the_end_it_is_the_table(seed: int, steps: list[str], layout: Layout) -> None:
    life = Life(seed, layout)
    for step in [*steps, "write", "deliver"]:
        getattr(life, step)()
        life.check()
    stage = life.stage
    assert stage.redrive().left == []
    assert stage.waiting() == []
    assert stage.window().open_gaps == []
    for second in sorted({change.seconds for change in stage.changes()}):
        assert stage.captured(second) == stage.expected(second)
    if layout is Layout.ROWS:
        for key in {key for _, key, _ in stage.model}:
            assert on_top(stage, key) == stage.expected().get(key), "plain S3 tools see the newest"


def on_top(stage: FailingStage, key: bytes) -> bytes | None:
    """What a plain S3 client finds at an item's object."""
    key = wire.key_of(images.SCHEMA, images.key("z", json.loads(key)["number"]["N"]))
    name = naming.object_name("flights", naming.Naming.SHA256, key)
    newest = next(iter(stage.store.versions_of(name)))
    return None if newest.marker else stage.store.get(name).body
