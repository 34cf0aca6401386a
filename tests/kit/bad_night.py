"""A table whose rows a bad minute has ruined, for tests of what looks back at it."""

from __future__ import annotations

from backstream.model import moment
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.served import StageConfig
from kit.stage import Stage

BEGAN = 1_790_000_000.0


class Night:
    """Twelve items; then a bad minute changes five of them, deletes one and creates one; then one of the five changes again."""

    def __init__(self, layout: Layout) -> None:
        self.clock = ManualClock(BEGAN)
        self.stage = stage = Stage(self.clock, layout=layout)
        stage.put(range(12))
        self.clock.move(10)
        stage.follow()  # a segment of its own for each of the three times
        self.clock.move(600)
        self.before = int(self.clock.now())
        self.clock.move(1)
        stage.put([0, 1, 2, 3, 4])
        stage.delete([5])
        stage.put([50])
        self.after = int(self.clock.now())
        self.clock.move(30)
        stage.follow()
        stage.put([4])
        self.clock.move(10)
        stage.follow()
        self.clock.move(5)

    @property
    def window(self) -> dict[str, str]:
        """The bad minute."""
        return {"from": moment.iso(self.before), "to": moment.iso(self.after)}

    def config(self) -> StageConfig:
        """Its parts."""
        return StageConfig(self.stage.store, self.clock, {"flights": self.stage.table})
