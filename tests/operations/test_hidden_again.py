"""A segment that a compaction has hidden, that is written again under its name, and that somebody then hides: it is seen.

A create-only write succeeds over a delete marker. So a batch that is delivered once more, and a watermark of the same second, come
to stand where a compacted segment lies, and whoever hides the new one leaves what looks like the compaction's own marker.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backstream.errors import Failed
from backstream.operations.base.compact import compact
from backstream.operations.inspect import check as checks
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.function import Function
from kit.lived import all_changes
from kit.stage import Stage


class Lived:
    """A function kept five changes, and a witness proved it: `batch` is the segment, `mark` the watermark."""

    def __init__(self, layout: Layout) -> None:
        self.clock = ManualClock()
        self.stage = Stage(self.clock, layout=layout, shards=1)
        self.function = Function(self.stage)
        self.stage.put(range(5))
        self.clock.move(10)
        self.function.run()
        (self.batch,) = self.log()
        self.first = all_changes(self.stage)
        self.stage.witness()
        (self.mark,) = set(self.log()) - {self.batch}

    @property
    def store(self) -> MemoryStore:
        assert isinstance(self.stage.store, MemoryStore)
        return self.stage.store

    def log(self) -> list[str]:
        return [each.name for each in self.store.list("_backstream/flights/log/")]

    def found(self, *, repair: bool = False) -> checks.Checked:
        around = checks.CheckContext(self.clock, markers=self.store if repair else None)
        return checks.check(self.stage.vault(), around)

    def compact(self, store: ObjectStore | None = None) -> None:
        compact(self.stage.vault(store), self.clock)

    def again(self) -> None:
        """The batch is delivered once more: it was not known that it had been kept."""
        self.function.deliver(self.first)


@pytest.fixture(params=Layout)
def lived(request: pytest.FixtureRequest) -> Lived:
    return Lived(request.param)


def farther(lived: Lived) -> None:
    """A watermark that reaches farther, so that the earlier one is not kept as a sign."""
    lived.stage.put([9])
    lived.clock.move(7_200)
    lived.function.run()
    lived.stage.witness()


def mark_again(lived: Lived) -> None:
    """As a witness that was held up writes its watermark."""
    lived.store.put(lived.mark, lived.store.get(lived.mark, _body_of(lived, lived.mark)).body, if_absent=True)


def _body_of(lived: Lived, name: str) -> str:
    return next(each.version for each in lived.store.versions_of(name) if not each.marker)


@pytest.mark.parametrize(("what", "write"), [("batch", Lived.again), ("mark", mark_again)])
def test_what_was_written_anew_and_hidden_is_found_and_repaired(lived: Lived, what: str, write: Callable[[Lived], None]) -> None:
    farther(lived)
    lived.compact()
    farther(lived)
    lived.compact()
    name = getattr(lived, what)
    assert name not in lived.log()
    write(lived)
    assert name in lived.log()
    assert lived.found().findings == []
    lived.store.delete(name)
    found = lived.found(repair=True)
    assert [(each.kind, each.object) for each in found.findings] == [(checks.FindingKind.HIDDEN, name)]
    assert found.repaired == 1
    assert name in lived.log()
    assert lived.found().findings == []
    assert lived.stage.captured() == lived.stage.expected()


def test_what_was_taken_over_again_is_hidden_by_right(lived: Lived) -> None:
    farther(lived)
    lived.compact()
    lived.again()
    assert lived.batch in lived.log()
    farther(lived)
    lived.compact()
    assert lived.batch not in lived.log()
    assert lived.found().findings == []


def interrupted(layout: Layout) -> Lived:
    """A compaction that was stopped between hiding the batch and saying that all is hidden."""
    for writes in range(1, 40):
        lived = Lived(layout)
        farther(lived)
        with pytest.raises(Failed):
            lived.compact(CrashingStore(lived.store, writes, after=True))
        if lived.batch not in lived.log():
            return lived
    raise AssertionError("it was never hidden")


@pytest.mark.parametrize("layout", Layout)
def test_what_comes_back_before_an_interrupted_compaction_is_gone_on_with(layout: Layout) -> None:
    """What was written anew is none of what the first run took over, so the next one leaves it, or takes it over itself."""
    lived = interrupted(layout)
    assert lived.stage.vault().compacted.current().unsettled
    lived.again()
    assert lived.batch in lived.log()
    lived.compact()
    assert lived.found().findings == []
    assert lived.stage.captured() == lived.stage.expected()
