"""How many requests a command sends must not grow with the history that it does not look at. The counts are exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from backstream.operations.base.compact import compact
from backstream.operations.inspect.check import records
from backstream.operations.inspect.history import show, tell
from backstream.operations.inspect.status import status
from backstream.stores.memory import MemoryStore
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit import long_vault
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


@pytest.mark.parametrize(
    ("hours", "closed", "of_sets"),
    [(400, 300, (1, 1)), (2_600, 1_000, (1, 2)), pytest.param(long_vault.HOURS, 10_000, (2, 2), marks=pytest.mark.soak)],
)
def test_no_command_pays_for_the_length_of_history(hours: int, closed: int, of_sets: tuple[int, int]) -> None:
    """Of three years a command asks as much as of two weeks, once they are compacted: a few listings, and what it looks at.

    `of_sets`: the ranges that are read of the one set, which are two where its last bytes do not hold the item's lines.
    """
    clock = ManualClock()
    long = long_vault.lived(MemoryStore(clock), clock, hours)
    long_vault.record_gaps(long, standing=100, closed=closed)
    long_vault.compacted(long)
    now, last = clock.now(), hours - 1

    def sent(work: Callable[[TableVault], object]) -> Counter[str]:
        store = CountedStore(long.store)
        work(long.vault(store))
        return store.requests

    def shown(hour: int) -> Counter[str]:
        wanted = key("z", hour % long_vault.ITEMS)
        return sent(lambda vault: show(vault, vault.key_of(wanted), long.second(hour), now=now, allow_gap=True))

    assert sent(lambda vault: status(vault, now=now)) == Counter(GET=6, LIST=10, HEAD=3)
    assert sent(lambda vault: vault.window(now)) == Counter(GET=5, LIST=11)
    told = sent(lambda vault: tell(vault, vault.key_of(key("z", 7)), now=now, allow_gap=True))
    assert told in (Counter(GET=31, LIST=20), Counter(GET=32, LIST=20))
    assert shown(last) == Counter(GET=8 + of_sets[0], LIST=21)
    assert shown(100) == Counter(GET=5 + of_sets[1], LIST=20)


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
