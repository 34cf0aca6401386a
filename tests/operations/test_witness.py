"""The witness: it proves what a function alone cannot, brings in what is missing, and never claims what it did not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Failed, Throttled, Unavailable
from backstream.model import moment
from backstream.model.changes.change import Change
from backstream.operations.base.compact import compact
from backstream.operations.inspect.history import show
from backstream.operations.inspect.status import Status, status
from backstream.ports import ListedObject, ObjectVersion, RecordsPage
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.faulty_store import FaultyStore
from kit.function import Function
from kit.spoil import spoil
from kit.stage import QUICK, QUICK_WITNESS, Stage
from kit.streams import Counting, Failing, LateListing, OneByOne, SmallPages, Wrapped

DAY = 86_400
MARK = "_mark."


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=list(Layout))
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    made = Stage(clock, layout=request.param, shards=3)
    clock.move(100)
    return made


@pytest.fixture
def plain(clock: ManualClock) -> Stage:
    made = Stage(clock, shards=3)
    clock.move(100)
    return made


def claimed(stage: Stage) -> int | None:
    """Up to where restores are exact."""
    return stage.vault().window(stage.clock.now()).until


def exact(stage: Stage, second: int) -> bool:
    """Whether that second is claimed."""
    return any(each.since <= second <= each.until for each in stage.vault().window(stage.clock.now()).ranges)


def every_claim_holds(stage: Stage) -> None:
    """Each claimed second, of those in which something changed and the last one, is as it was."""
    ranges = stage.vault().window(stage.clock.now()).ranges
    for second in {second for second, _, _ in stage.model} | {each.until for each in ranges}:
        if exact(stage, second):
            assert stage.captured(second) == stage.expected(second)


# --- what it proves ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SegmentKind.LAMBDA, SegmentKind.PARALLEL])
def test_a_function_proves_nothing_and_the_witness_all_that_it_has_brought(
    stage: Stage, clock: ManualClock, kind: SegmentKind
) -> None:
    function = Function(stage, kind)
    for _ in range(3):
        stage.put(range(30))
        clock.move(20)
        function.run()
    assert claimed(stage) is None
    before = len(stage.log())
    report = stage.witness()
    assert (report.checked, report.missing, report.oldest_missing, report.gaps, report.caught_up) == (90, 0, None, 0, True)
    assert claimed(stage) is not None
    assert exact(stage, int(clock.now()) - 10)
    assert report.proven_to == moment.iso(claimed(stage) or 0)
    assert len(stage.log()) == before + 1, "nothing but the watermark was written"
    every_claim_holds(stage)


def test_one_shard_is_no_proof_either(clock: ManualClock) -> None:
    stage = Stage(clock, shards=1)
    stage.put(range(5))
    clock.move(2 * DAY)
    Function(stage).run()
    assert claimed(stage) is None, "neither the newest change nor a day of silence says that all before it has come"


def test_what_is_missing_is_written_and_then_proven(stage: Stage, clock: ManualClock) -> None:
    function = Function(stage)
    stage.put(range(40))
    stage.delete(range(0, 40, 3))
    lost: list[Change] = []

    def loses(change: Change) -> bool:
        if len(lost) < 17 and int(change.sequence) % 3 == 0:
            lost.append(change)
            return True
        return False

    function.run(lost=loses)
    clock.move(30)
    report = stage.witness()
    assert report.missing == len(lost) > 0
    assert report.oldest_missing == moment.iso(min(change.seconds for change in lost))
    assert {
        entry.sequence
        for each in stage.vault().log.listing()
        if each.segment and each.segment.kind is SegmentKind.WITNESS
        for entry in stage.vault().log.read(each)
    } == {change.sequence for change in lost}
    assert stage.captured() == stage.expected()
    every_claim_holds(stage)
    assert stage.witness().missing == 0


def test_only_what_is_new_is_read_again(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(50))
    plain.table.stream.split(plain.table.stream.facts().shards[0].id)
    plain.put(range(50))
    clock.move(60)
    counting = Counting(plain.table.stream)
    plain.streams = lambda _: counting
    assert plain.witness().checked == 100
    clock.move(300)
    plain.put(range(7))
    clock.move(20)
    counting.delivered.clear()
    report = plain.witness()
    assert (report.checked, counting.delivered.total()) == (7, 7)
    clock.move(3 * 3600)
    assert plain.witness().checked == 0, "also from hours ago"


def test_it_goes_on_where_a_tail_stood_and_a_tail_beside_it_minds_nothing(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(20))
    plain.follow()
    plain.put(range(5))
    clock.move(20)
    assert plain.witness().checked == 5
    assert plain.follow().captured == 5, "it takes no account of what the witness has checked"
    assert plain.captured() == plain.expected()


def test_two_at_once_are_merely_wasteful(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(60))
    clock.move(60)
    reports = []
    threads = [threading.Thread(target=lambda name=name: reports.append(stage.witness(writer=name))) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.caught_up for report in reports)
    assert 60 in [report.checked for report in reports]
    assert stage.captured() == stage.expected()
    every_claim_holds(stage)
    assert stage.witness().checked == 0


def test_a_budget_ends_it_and_the_next_goes_on(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(60))
    clock.move(60)
    pages = SmallPages(plain.table.stream, 5, between=lambda: clock.move(10))
    plain.streams = lambda _: pages
    first = plain.witness(budget=30)
    assert not first.caught_up
    assert 0 < first.checked < 60
    assert not exact(plain, int(clock.now()) - 60) or plain.captured() == plain.expected()
    every_claim_holds(plain)
    total, runs = first.checked, 1
    while not (report := plain.witness(budget=30)).caught_up:
        total, runs = total + report.checked, runs + 1
        every_claim_holds(plain)
        assert runs < 30
    assert total + report.checked == 60, "each record was read once"
    assert runs > 1
    assert plain.captured() == plain.expected()


def test_what_is_compacted_is_held_and_the_position_stays(stage: Stage, clock: ManualClock) -> None:
    function = Function(stage)
    stage.put(range(30))
    clock.move(20)
    function.run()
    compact(stage.vault(), clock)
    assert stage.witness().missing == 0, "a set stands for what the function wrote"
    stage.put(range(10))
    clock.move(20)
    compact(stage.vault(), clock)
    assert (report := stage.witness()).checked == report.missing == 10
    until = claimed(stage)
    compact(stage.vault(), clock)
    assert claimed(stage) == until
    assert stage.witness().checked == 0
    for key, image in stage.expected().items():
        assert stage.vault().image(stage.vault().history(key)[-1]) == image


# --- the four that a vault claimed in silence -------------------------------------------------------------------------------------


def test_a_function_that_came_three_days_after_init(plain: Stage, clock: ManualClock) -> None:
    """`init` on day 0; the function on day 3 finds what the stream still keeps."""
    plain.put(range(10))
    began = int(clock.now())
    clock.move(3 * DAY)
    for shard in plain.table.stream.facts().shards:
        plain.table.stream.trim(shard.id)
    plain.put(range(3))
    clock.move(30)
    Function(plain).run()
    assert claimed(plain) is None
    report = plain.witness()
    assert report.gaps >= 1
    assert not any(exact(plain, second) for second in range(began - 50, int(clock.now()), 3_600)), (
        "rows of day 0 are not in the vault"
    )
    (gap, *_) = plain.vault().window(clock.now()).open_gaps
    assert gap.since <= began <= gap.until
    assert gap.until >= int(clock.now()) - DAY


def test_a_mapping_that_was_off_for_two_days(plain: Stage, clock: ManualClock) -> None:
    function = Function(plain)
    plain.put(range(10))
    clock.move(30)
    function.run()
    plain.witness()
    sure = claimed(plain)
    assert sure is not None
    plain.delete(range(10))
    lost_at = int(clock.now())
    clock.move(2 * DAY)
    for shard in plain.table.stream.facts().shards:
        plain.table.stream.trim(shard.id)
    plain.put([20])
    clock.move(30)
    function.position.clear()
    function.run()
    assert claimed(plain) == sure, "what the function brings after that proves nothing about the time between"
    plain.witness()
    assert claimed(plain) == sure - 1, "the gap begins with the last second that was proven"
    assert not any(exact(plain, second) for second in range(sure + 1, int(clock.now()), 3_600))
    assert not exact(plain, lost_at)


def test_a_mapping_that_was_off_for_an_hour_is_made_up_for(plain: Stage, clock: ManualClock) -> None:
    function = Function(plain)
    plain.put(range(10))
    clock.move(30)
    function.run()
    plain.witness()
    sure = claimed(plain)
    plain.delete(range(10))
    clock.move(3_600)
    assert claimed(plain) == sure
    report = plain.witness()
    assert (report.missing, report.gaps) == (10, 0)
    assert exact(plain, int(clock.now()) - 60)
    every_claim_holds(plain)


def test_every_invocation_dies_before_its_first_write(plain: Stage, clock: ManualClock) -> None:
    function = Function(plain)
    plain.put(range(10))
    clock.move(600)
    function.run(lost=lambda _: True)
    assert claimed(plain) is None, "an empty log proves nothing since `init`"
    assert plain.witness().missing == 10
    every_claim_holds(plain)
    assert exact(plain, int(clock.now()) - 60)


def test_one_of_three_shards_is_stuck_when_the_mapping_is_removed(plain: Stage, clock: ManualClock) -> None:
    function = Function(plain)
    stuck = [plain.table.stream.facts().shards[1].id]
    plain.put(range(40))
    clock.move(60)
    function.run(stuck=stuck)
    clock.move(DAY // 2)
    plain.put(range(40))
    clock.move(60)
    function.run(stuck=stuck)
    assert claimed(plain) is None
    report = plain.witness()
    assert report.missing > 0
    assert plain.captured() == plain.expected()
    every_claim_holds(plain)


def test_one_of_three_shards_is_stuck_for_longer_than_the_stream_keeps(plain: Stage, clock: ManualClock) -> None:
    function = Function(plain)
    stuck = [plain.table.stream.facts().shards[1].id]
    plain.put(range(40))
    clock.move(DAY + 3_600)
    function.run(stuck=stuck)
    plain.table.stream.trim(stuck[0])
    plain.put(range(40))
    clock.move(60)
    function.run(stuck=stuck)
    assert claimed(plain) is None
    assert plain.witness().gaps >= 1
    assert claimed(plain) is None or not exact(plain, int(clock.now()) - 60), "the stuck shard's changes are a recorded gap"


# --- what it must not claim -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_it_has_claimed_nothing_false(layout_stage: Callable[[], Stage], *, after: bool) -> None:
    for writes in range(1, 40):
        stage = layout_stage()
        try:
            stage.witness(store=CrashingStore(stage.store, writes, after=after))
        except Failed:
            every_claim_holds(stage)
        else:
            break
        stage.witness()
        assert stage.captured() == stage.expected()
        every_claim_holds(stage)
    else:
        pytest.fail("it never came to its end")


@pytest.fixture(params=list(Layout))
def layout_stage(request: pytest.FixtureRequest) -> Callable[[], Stage]:
    def make() -> Stage:
        clock = ManualClock()
        stage = Stage(clock, layout=request.param, shards=2)
        stage.put(range(6))
        clock.move(10)
        Function(stage).run(lost=lambda change: int(change.sequence) % 2 == 0)
        stage.put(range(3))
        clock.move(30)
        return stage

    return make


def test_no_watermark_passes_a_record_that_could_not_be_written(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(5))
    clock.move(60)
    stage.witness()
    sure = claimed(stage)
    assert sure is not None
    stage.put([1])
    clock.move(60)
    broken = FaultyStore(stage.store, lambda name: "_witness." in name or not name.startswith("_backstream"))
    with pytest.raises(Unavailable):
        stage.witness(store=broken)
    assert claimed(stage) == sure
    every_claim_holds(stage)
    assert stage.witness().missing == 1
    assert exact(stage, int(clock.now()) - 30)


def test_a_record_that_cannot_be_kept_is_a_gap_and_stops_nothing(plain: Stage, clock: ManualClock) -> None:
    class Poisoned(Wrapped):
        def read(self, shard: str, iterator: str) -> RecordsPage:
            page = super().read(shard, iterator)
            changes = [
                msgspec.structs.replace(each, keys=b'{"other":{"S":"x"}}') if number == 3 else each
                for number, each in enumerate(page.changes)
            ]
            return msgspec.structs.replace(page, changes=changes)

    plain.put(range(30))
    clock.move(60)
    inner = plain.table.stream
    plain.streams = lambda _: Poisoned(inner)
    report = plain.witness()
    assert report.gaps == 3, "one in each shard"
    assert report.missing == 27
    assert len(plain.vault().window(clock.now()).open_gaps) == 3
    every_claim_holds(plain)
    plain.streams = lambda _: inner
    Function(plain).run()
    assert plain.vault().window(clock.now()).open_gaps == [], "it has arrived since"


@pytest.mark.parametrize("patience", [0.0, 3.0])
def test_no_watermark_passes_a_closed_shard_whose_children_are_not_listed(
    plain: Stage, clock: ManualClock, patience: float
) -> None:
    """Other shards go on meanwhile, for hours, and in run after run."""
    hasty = msgspec.structs.replace(QUICK_WITNESS, children_wait=patience)
    stream = plain.table.stream
    plain.put(range(30))
    clock.move(30)
    plain.witness()
    sure = claimed(plain)
    assert sure is not None
    stream.split(stream.facts().shards[0].id)
    ended = int(clock.now())
    plain.put(range(30))
    never = LateListing(stream, looks=10**9)
    plain.streams = lambda _: never
    for _ in range(4):
        clock.move(3_600)
        plain.put(range(30))
        clock.move(30)
        report = plain.witness(settings=hasty)
        assert not report.caught_up
        assert report.waiting_for == [stream.facts().shards[0].id]
        assert (until := claimed(plain)) is not None
        assert sure <= until <= ended, "what the children hold has not been read"
        every_claim_holds(plain)
    plain.streams = lambda _: stream
    assert plain.witness().caught_up
    assert exact(plain, int(clock.now()) - 20)
    every_claim_holds(plain)


@pytest.mark.parametrize("who", ["witness", "tail"])
def test_no_watermark_passes_a_closed_shard_of_which_one_child_of_two_is_listed(plain: Stage, clock: ManualClock, who: str) -> None:
    """The list names one child, which is read, and the other one a minute later: what that holds may be older."""

    def run() -> None:
        if who == "witness":
            plain.witness(settings=msgspec.structs.replace(QUICK_WITNESS, sibling_wait=60.0), budget=20.0)
        else:
            plain.follow(settings=msgspec.structs.replace(QUICK, sibling_wait=60.0))

    stream = plain.table.stream
    plain.put(range(30))
    clock.move(30)
    run()
    first, second = stream.split(stream.facts().shards[0].id)
    ended = clock.now()
    plain.put(range(30))
    held = {shard: len(stream.read(shard, stream.iterator(shard, None)).changes) for shard in (first, second)}
    assert all(held.values()), "both children hold changes"
    listing = OneByOne(stream, lambda: clock.now() >= ended + 50)
    plain.streams = lambda _: listing
    clock.move(15)
    if who == "witness":
        run()
        assert (until := claimed(plain)) is not None
        assert until <= ended, "of a roll-over and of the first child of two the list looks the same"
        every_claim_holds(plain)
    run()
    every_claim_holds(plain)
    clock.move(60)
    run()
    assert plain.captured() == plain.expected()
    assert exact(plain, int(clock.now()) - 20)
    every_claim_holds(plain)


@pytest.mark.parametrize("busy", [True, False])
def test_a_shard_that_rolled_over_holds_nobody_back_for_long(plain: Stage, clock: ManualClock, *, busy: bool) -> None:
    """Of an only child that was there for a minute there is no sibling: a run later it is known at once."""
    settings = msgspec.structs.replace(QUICK_WITNESS, sibling_wait=60.0)
    stream = plain.table.stream
    plain.put(range(30))
    clock.move(30)
    stream.split(stream.facts().shards[0].id, into=1)
    if busy:
        plain.put(range(30))
    clock.move(10)
    began = clock.now()
    assert plain.witness(settings=settings).caught_up
    assert 50 <= clock.now() - began <= 90, "it waits until it is sure"
    clock.move(300)
    began = clock.now()
    assert plain.witness(settings=settings).caught_up
    assert clock.now() - began < 10, "it is known from then on"
    assert exact(plain, int(clock.now()) - 20)


def test_nor_does_a_tails(plain: Stage, clock: ManualClock) -> None:
    stream = plain.table.stream
    plain.put(range(30))
    stream.split(stream.facts().shards[0].id)
    ended = int(clock.now())
    never = LateListing(stream, looks=10**9)
    plain.streams = lambda _: never
    for _ in range(3):
        clock.move(3_600)
        plain.put(range(30))
        clock.move(30)
        report = plain.follow()
        assert (report.caught_up, list(report.childless)) == (False, [stream.facts().shards[0].id])
        assert (until := claimed(plain)) is not None
        assert until <= ended


def test_an_unlisted_shard_whose_children_were_never_listed_is_a_gap(plain: Stage, clock: ManualClock) -> None:
    """A tail that runs for more than a day: what the children held is trimmed with them."""
    stream = plain.table.stream
    shard = stream.facts().shards[0].id
    plain.put(range(30))
    clock.move(30)
    children = stream.split(shard)

    class Forgetful(Wrapped):
        def facts(self):  # type: ignore[no-untyped-def]
            facts = self.inner.facts()
            hidden = {*children, *((shard,) if gone.is_set() else ())}
            return msgspec.structs.replace(facts, shards=[each for each in facts.shards if each.id not in hidden])

    gone = threading.Event()
    plain.streams = lambda _: Forgetful(stream)
    with plain.running() as running:
        _until(lambda: any("no shard that follows it" in notice for notice in running.notices), clock)
        gone.set()
        clock.move(DAY + 3_600)
        _until(lambda: any("was ever listed" in notice for notice in running.notices), clock)
    (gap,) = [each for each in plain.vault().gaps.all() if "ever listed" in each.reason]
    assert gap.until >= int(clock.now()) - DAY - 3_600


def _until(condition: Callable[[], object], clock: ManualClock) -> None:
    for _ in range(2_000):
        if condition():
            return
        clock.move(0.1)
        threading.Event().wait(0.005)
    raise AssertionError("it did not come true")


def test_gaps_are_read_after_the_log(plain: Stage, clock: ManualClock) -> None:
    """Whoever records a gap and then marks the time behind it must not be caught between the two."""
    plain.put(range(5))
    clock.move(60)
    plain.witness()
    now, label = int(clock.now()), plain.vault().catalog.stream

    class Meanwhile(FaultyStore):
        """After the first listing of either, somebody records a gap and then leaves a watermark behind it."""

        done = False

        def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
            yield from super().list(prefix, after=after)
            self.somebody(prefix)

        def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
            yield from super().versions(prefix, after=after)
            self.somebody(prefix)

        def somebody(self, prefix: str) -> None:
            if not Meanwhile.done and ("/log/" in prefix or "/gaps/" in prefix):
                Meanwhile.done = True
                vault = plain.vault()
                vault.gaps.record(Gap(reason="lost", since=now + 10, until=now + 20, stream=label))
                vault.log.write_mark(label, now + 100, writer="tail")

    window = TableVault.open(Meanwhile(plain.store), "flights", engines=LocalEngine).window(now + 200)
    assert Meanwhile.done
    assert not any(each.since <= now + 15 <= each.until for each in window.ranges)


def test_a_watermark_that_could_not_be_written_is_no_success(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(5))
    clock.move(60)
    with pytest.raises(Unavailable, match="the watermark of flights was not written"):
        plain.witness(store=FaultyStore(plain.store, lambda name: MARK in name))
    assert claimed(plain) is None


@pytest.mark.parametrize(
    "body",
    [
        b"cut",
        b"",
        Codec.ZSTD.compress(b"{}"),
        Codec.ZSTD.compress(b'{"format":1,"shards":{"s":{"last":"-1"}}}'),
        Codec.ZSTD.compress(b'{"format":9,"shards":{}}'),
        Codec.ZSTD.compress(b"[" * 100_000),
        Codec.ZSTD.compress(bytes(20 << 20)),
    ],
    ids=["cut", "empty", "no fields", "no number", "of a later format", "deep", "large"],
)
def test_positions_that_cannot_be_read_are_read_again(plain: Stage, clock: ManualClock, body: bytes) -> None:
    plain.put(range(5))
    clock.move(60)
    plain.witness()
    (mark,) = [each.name for each in plain.store.list("_backstream/flights/log/") if MARK in each.name]
    spoil(plain.store, mark, body)
    clock.move(60)
    assert plain.witness().checked == 5
    assert [notice for notice in plain.notices if "positions of a watermark" in notice and "is read again" in notice]


def test_a_segment_that_cannot_be_read_holds_nothing(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(5))
    clock.move(60)
    Function(plain).run()
    for each in list(plain.store.list("_backstream/flights/log/")):
        spoil(plain.store, each.name, b"cut")
    report = plain.witness()
    assert report.missing == report.checked == 5


def test_a_third_reader_is_reported(plain: Stage, clock: ManualClock) -> None:
    turns: list[str] = []

    def trouble(operation: str) -> None:
        turns.append(operation)
        if operation == "read" and turns.count("read") in (1, 2):
            raise Throttled("GetRecords failed: ProvisionedThroughputExceededException")

    plain.put(range(5))
    clock.move(60)
    inner = plain.table.stream
    plain.streams = lambda _: Failing(inner, trouble)
    report = plain.witness()
    assert (report.throttled, report.caught_up, report.checked) == (2, True, 5)


def test_what_was_read_before_the_stream_failed_is_not_read_again(plain: Stage, clock: ManualClock) -> None:
    plain.put(range(30))
    clock.move(60)
    inner, sick = plain.table.stream, plain.table.stream.facts().shards[2].id

    class Sick(Wrapped):
        def read(self, shard: str, iterator: str) -> RecordsPage:
            if shard == sick:
                raise Unavailable("no answer")
            return super().read(shard, iterator)

    plain.streams = lambda _: Sick(inner)
    with pytest.raises(BackstreamError):
        plain.witness()
    every_claim_holds(plain)
    plain.streams = lambda _: inner
    assert plain.witness().checked < 30
    assert plain.captured() == plain.expected()


# --- what is said of it -----------------------------------------------------------------------------------------------------------


def test_status_says_who_proved_what_and_who_has_not_run(plain: Stage, clock: ManualClock) -> None:
    def now() -> Status:
        return status(plain.vault(), now=clock.now())

    assert (now().watermark, now().unproven) == (None, []), "nobody captures yet"
    plain.put(range(5))
    clock.move(60)
    Function(plain).run()
    (why,) = now().unproven
    assert "the witness has not run at all" in why
    assert "backstream witness flights" in why
    plain.witness(writer="w1")
    found = now()
    assert found.watermark is not None
    assert (found.watermark.by, found.watermark.writer, found.unproven) == ("witness", "w1", [])
    assert found.watermark.second == found.window_to
    clock.move(3_600)
    (why,) = now().unproven
    assert "has not run for 1 h" in why
    plain.follow(writer="t1")
    found = now()
    assert found.watermark is not None
    assert (found.watermark.by, found.watermark.writer) == ("tail", "t1")


def test_what_is_not_proven_yet_names_the_witness(plain: Stage, clock: ManualClock) -> None:
    plain.put([1])
    clock.move(60)
    Function(plain).run()
    key = plain.vault().key_of(images.key("z", 1))
    (word,) = show(plain.vault(), key, int(clock.now()), now=clock.now()).warnings
    assert "backstream witness" in word


def test_marks_that_older_versions_wrote_stay_valid(plain: Stage, clock: ManualClock) -> None:
    clock.move(100)
    log = ChangeLog(plain.store, "flights")
    log.write_mark(plain.vault().catalog.stream, int(clock.now()) - 7, writer="an older tail")
    assert claimed(plain) == int(clock.now()) - 7
