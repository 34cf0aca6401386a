"""Records beside the log that somebody hides, or that are gone: `check` names each, and nothing is written over one unseen."""

from __future__ import annotations

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, EraseRequest, erase
from backstream.operations.inspect.check import CheckContext, Checked, FindingKind, check
from backstream.operations.inspect.status import status
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.gaps import gaps as gap_records
from backstream.vault.gaps.gaps import Gap, Gaps
from kit.clock import ManualClock
from kit.lived import SMALL, names
from kit.losing import lose
from kit.stage import Stage
from operations.test_erase import REQUEST, run, with_subject
from operations.test_retain import DAY, Kept, key_of

ERASURES = "_backstream/flights/erasures/"


def checked(stage: Stage, *, repair: bool = False) -> Checked:
    markers = stage.store if repair and isinstance(stage.store, MemoryStore) else None
    return check(stage.vault(), CheckContext(stage.clock, markers=markers))


@pytest.fixture
def erased() -> Stage:
    stage, _ = with_subject(Layout.LOG)
    run(stage, request=msgspec.structs.replace(REQUEST, forget_future=True))
    assert checked(stage).findings == []
    return stage


def test_the_hidden_record_of_an_erasure_is_named_and_brought_back(erased: Stage) -> None:
    hidden = names(erased.store, ERASURES)
    assert len(hidden) > 2
    for name in hidden:
        erased.store.delete(name)
    found = checked(erased, repair=True)
    assert {each.object: (each.kind, each.repaired) for each in found.findings} == dict.fromkeys(hidden, (FindingKind.HIDDEN, True))
    assert names(erased.store, ERASURES) == hidden
    assert checked(erased).findings == []


def test_a_hidden_record_of_an_erasure_makes_status_fail(erased: Stage) -> None:
    (name, *_) = names(erased.store, ERASURES)
    erased.store.delete(name)
    assert [each.object for each in status(erased.vault(), now=erased.clock.now()).hidden] == [name]


def test_a_record_of_an_erasure_that_is_gone_is_a_finding_and_nobody_guesses(erased: Stage) -> None:
    for name in names(erased.store, ERASURES):
        lose(erased.store, name)
    (erasure,), digest = erased.vault().catalog.erasures, erased.vault().catalog.forgotten
    gone = {f"{ERASURES}{erasure}/begun.json", f"{ERASURES}forgotten-{digest}.json"}
    assert {each.object for each in checked(erased).findings} == gone
    with pytest.raises(Damaged, match="the record of an erasure is gone"):
        erased.vault().erasures.of(b"{}")


def test_a_gap_grows_though_its_record_is_hidden() -> None:
    """A create-only write succeeds over a delete marker, and what it wrote would not count: the first version does."""
    clock = ManualClock()
    store = MemoryStore(clock)
    short = Gap(reason="lost", since=10, until=20, stream="one")
    longer = msgspec.structs.replace(short, until=50)
    gaps = Gaps(store, "flights")
    gaps.record(short)
    for name in names(store, "_backstream/flights/gaps/"):
        store.delete(name)
    gaps.record(longer)
    assert [(each.since, each.until) for each in Gaps(store, "flights").all()] == [(10, 50)]
    gaps.record(short)
    gaps.record(longer)
    assert [(each.since, each.until) for each in Gaps(store, "flights").all()] == [(10, 50)]


@pytest.mark.parametrize("layout", list(Layout))
def test_a_repair_never_takes_away_a_marker_that_this_tool_has_put(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """After all that hides or removes: compactions, folded gaps, an erasure, one that forgets, and two retentions."""
    monkeypatch.setattr(gap_records, "FOLDED_TOGETHER", 2)
    clock = ManualClock(1_764_000_000.0)
    stage = Kept(clock, layout=layout, store=MemoryStore(clock))
    stage.live(3, compacting=True)
    for step in range(4):
        now = int(clock.now())
        for number in range(3):
            stage.vault().gaps.record(Gap(reason=f"{number}", since=now - 100, until=now - 90, stream="s"))
        request = EraseRequest(reason="asked for", by="test", keys=(key_of(step),), forget_future=bool(step % 2))
        erase(stage.vault, request, EraseContext(clock, stage.store, SMALL))
        backfill(stage.vault(), scan_of(stage.vault(), stage.table, clock, segments=2, max_units=None), BackfillContext(clock))
        stage.live(1, compacting=True)
        if step % 2:
            stage.retain(DAY)
        compact(stage.vault(), clock, memory=SMALL)
        found = checked(stage, repair=True)
        assert (found.findings, found.repaired) == ([], 0), step
        assert status(stage.vault(), now=clock.now()).hidden == []
