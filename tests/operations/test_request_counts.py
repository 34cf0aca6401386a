"""How many requests a command sends must not grow with the history that it does not look at. The counts are exact."""

from __future__ import annotations

from collections import Counter

from backstream.operations.base.compact import compact
from backstream.operations.inspect.check import records
from backstream.operations.inspect.history import show
from backstream.vault.gaps import Gap
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.images import key
from kit.lived import all_changes
from kit.stage import Stage

BAD = 3_000  # records that failed in one hour


def test_a_bad_hour_of_thousands_of_records_is_read_once() -> None:
    """Each record of a gap is read once in a command, all together, and the log's hour is listed once for all of them."""
    stage = Stage(ManualClock(), shards=1)
    stage.put([1])
    stage.follow()
    second = int(stage.clock.now())
    gaps = stage.vault().gaps
    label = stage.vault().catalog.stream
    for number in range(BAD):
        gaps.record(Gap("not kept", second, second, label, None, str(10**30 + number)))
    stage.clock.sleep(3_600)
    stage.put([2])
    stage.follow()

    before = requests_of_show(stage, second)

    assert before == Counter(GET=BAD + 2, LIST=16)
    compact(stage.vault(), stage.clock)
    assert requests_of_show(stage, second) == Counter(GET=7, LIST=20)
    assert list(records.concealed_records(stage.vault())) == [], "what an index has folded is hidden by this tool"


def requests_of_show(stage: Stage, at: int) -> Counter[str]:
    store = CountedStore(stage.store)
    with store.counting() as sent:
        vault = stage.vault(store)
        show(vault, vault.key_of(key("z", 1)), at, now=stage.clock.now(), allow_gap=True)
    return sent


def test_a_gap_that_was_open_is_closed_by_what_arrives_within_one_process() -> None:
    """What a look has not found is looked for again in what is new, and in that alone."""
    stage = Stage(ManualClock(), shards=1)
    stage.put([1])
    stage.follow()
    stage.put([2, 3])
    first, second = all_changes(stage)[1:]
    store = CountedStore(stage.store)
    vault = stage.vault(store)
    for each in (first, second):
        vault.gaps.record(Gap("not kept", each.seconds, each.seconds, each.stream, None, each.sequence))
    assert {gap.sequence for gap in vault.coverage.lost()} == {first.sequence, second.sequence}

    stage.follow()
    assert vault.coverage.lost() == []

    with store.counting() as sent:
        assert vault.coverage.lost() == []
    assert sent == Counter(LIST=2), "what has arrived stays, and is not looked for again"
