"""Compactions, a tail, a function, a redrive and a restore at the same time, stepped one request at a time.

Of two compactions each is held up anywhere while the other one runs; the soak plays every order of their requests. Of all together
orders are played by chance. Each change counts exactly once, and every moment that is claimed comes back as it was.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Overtaken
from backstream.model.changes.change import Change, stream_label
from backstream.model.changes.entry import of_change
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.redrive import RedriveOptions, redrive
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.images import images_for
from backstream.vault.log import chains, segments
from backstream.vault.log.compacted import Compacted, Generation
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.lived import GENERATIONS, SMALL, all_changes, state
from kit.redriving import FailingStage
from kit.reduced import every_order
from kit.stage import Stage
from kit.stepping import Choose, Inline, Play, Step, contents, copy_of

POOLS = (
    "operations.base.compact.run",
    "operations.capture.redrive",
    "operations.restore.states.foreign_objects",
    "engine.local.local_partitions",
    "engine.local.worker_pool",
    "vault.gaps.arrivals",
    "vault.gaps.failure_destination",
    "vault.gaps.gaps",
    "vault.item_states",
    "vault.table_vault",
)
MOST_PLAYS = 6_000  # after an earlier compaction there are more: then these are the first of them
MOST_STEPS = 32  # more than a compaction of so little takes


@pytest.fixture(autouse=True)
def one_thread_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that the same choices give the same run. A folder of its own: each run looks for what is left in the temporary one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for module in POOLS:
        monkeypatch.setattr(f"backstream.{module}.ThreadPoolExecutor", Inline)


# --- what must hold --------------------------------------------------------------------------------------------------------------


def lines(vault: TableVault) -> Counter[tuple[str, str]]:
    """How often a reader meets each change of the log."""
    found = vault.inventory()
    every = [entry for each in found.segments for entry in vault.log.read(each)]
    for one in found.sets:
        for part in vault.compacted.parts(one):
            every += segments.read(*vault.compacted.claim_and_body(part.name))
    return Counter((each.stream, each.sequence) for each in every)


def each_counts_once(store: ObjectStore, changes: Sequence[Change], table: str = "flights") -> None:
    """Of these changes every one, and no other."""
    assert lines(TableVault.open(store, table, engines=LocalEngine)) == Counter((each.stream, each.sequence) for each in changes)


# --- two compactions -------------------------------------------------------------------------------------------------------------


def matters(what: str, name: str) -> bool:
    """Whether a request is about generations, or a listing of what they stand for: there compactions may meet.

    What is hidden is hidden with the request before. What is read is never changed, nor really gone.
    """
    return "/generations/" in name or (what in ("list", "versions") and name.endswith(("/log/", "/compacted/")))


class Two:
    """Two compactions that begin with the same, take different segments, and so make different sets of the same number.

    `before`: how often all was compacted before. `late`: a segment that comes at any time. `step`: see `Play`.
    """

    def __init__(self, before: int, *, late: bool = False, step: Step = matters) -> None:
        self._step = step
        self.clock = ManualClock()
        self._stage = Stage(self.clock, shards=1)
        for _ in range(before):
            self._write([0, 1])
            compact(self._stage.vault(), self.clock, memory=SMALL)
        self._write([1, 2])
        self._until = int(self.clock.now()) - 1
        self._write([2])
        self.changes = all_changes(self._stage)
        self._late: list[Change] = []
        if late:
            self._stage.put([0])
            self._late = all_changes(self._stage)[len(self.changes) :]
        self.seconds = [second for second, _, _ in self._stage.model][: len(self.changes)]

    def _write(self, items: Sequence[int]) -> None:
        self._stage.put(items)
        self._stage.follow()
        self.clock.sleep(3_600)

    def play(self) -> Play:
        """The two, from the beginning."""
        bodies: dict[str, Callable[[ObjectStore], object]] = {"some": self._compact(self._until), "all": self._compact(None)}
        if self._late:
            bodies["late"] = self._deliver
        return Play(copy_of(self._memory, self.clock), bodies, self._step)

    @property
    def store(self) -> ObjectStore:
        """Where both begin."""
        return self._stage.store

    @property
    def _memory(self) -> MemoryStore:
        assert isinstance(self._stage.store, MemoryStore)
        return self._stage.store

    def _compact(self, until: int | None) -> Callable[[ObjectStore], object]:
        return lambda store: compact(self._stage.vault(store), self.clock, until=until, memory=SMALL)

    def _deliver(self, store: ObjectStore) -> None:
        log = self._stage.vault(store).log
        log.write_batch([of_change(each, None) for each in self._late], SegmentKind.LAMBDA, writer="fn")

    def check(self, play: Play) -> None:
        """What must hold in every situation."""
        arrived = lines(self._stage.vault(play.store))
        late = {(each.stream, each.sequence) for each in self._late} & set(arrived)
        wanted = {(each.stream, each.sequence) for each in self.changes} | late
        assert arrived == Counter(wanted), play.played

    def check_end(self, play: Play) -> None:
        """What must hold at the end of a schedule, besides."""
        vault = self._stage.vault(play.store)
        for second in self.seconds[-1:]:
            assert state(vault, second) == self._stage.expected(second), play.played


def switching(*turns: tuple[str, int]) -> Choose:
    """Each of these actors moves so often, one after the other; then all to their ends, in that order."""
    planned = [name for name, steps in turns for _ in range(steps)]
    order = list(dict.fromkeys(name for name, _ in turns))

    def choose(able: Sequence[str]) -> str:
        while planned:
            wanted = planned.pop(0)
            if wanted in able:
                return wanted
        return next((name for name in order if name in able), able[0])

    return choose


@pytest.mark.parametrize("before", [0, 1])
def test_one_compaction_within_another(before: int) -> None:
    """Wherever the first is held up, and a whole other one comes between: as where its machine sleeps."""
    results = Counter[tuple[str, ...]]()
    two = Two(before)
    for first, second in (("some", "all"), ("all", "some")):
        for steps in range(MOST_STEPS):
            play = two.play()
            play.run(switching((first, steps), (second, MOST_STEPS)))
            two.check(play)
            two.check_end(play)
            results[tuple(type(each).__name__ for each in play.outcomes.values())] += 1
    assert set(results) == {("Compaction", "Compaction"), ("Overtaken", "Compaction"), ("Compaction", "Overtaken")}, results


def test_two_compactions_that_take_turns() -> None:
    chance, two = random.Random(20), Two(1, late=True)
    for _ in range(40):
        play = two.play()
        play.run(switching(*[(chance.choice(["some", "all", "late"]), chance.randint(1, 12)) for _ in range(8)]))
        two.check(play)
        two.check_end(play)


def once_each(check: Callable[[Play], None]) -> Callable[[Play], None]:
    """The same, in each state of the store once while they move, and once at an end: it looks at nothing else."""
    known = set[tuple[bytes, bool]]()

    def check_new(play: Play) -> None:
        state_of_store = contents(play.store), play.ended
        if state_of_store not in known:
            known.add(state_of_store)
            check(play)

    return check_new


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("before", [0, 1])
def test_every_order_of_two_compactions(before: int) -> None:
    """Every order that can make a difference: see `kit.reduced`. Two minutes of processor time each."""
    two = Two(before)

    def check(play: Play) -> None:
        two.check(play)
        if play.ended:
            two.check_end(play)

    plays, whole = every_order(two.play, once_each(check), MOST_PLAYS)
    assert whole or before, f"more than {plays} plays"


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_orders_of_two_compactions_and_a_batch(before: int) -> None:
    """Request by request; the first of very many."""
    two = Two(before, late=True, step=lambda _what, _name: True)
    every_order(two.play, once_each(two.check), 1_500)


def a_number_is_used_again(patch: pytest.MonkeyPatch) -> None:
    """As it was: whoever could write it takes it to be in force."""

    def commit(self: Compacted, generation: Generation) -> None:
        body = msgspec.json.encode(generation)
        try:
            self._store.put(self._generation_name(generation.number), body, {"format": "1"}, if_absent=True)
        except BackstreamError as error:
            raise Overtaken("another compaction of this table was faster") from error

    patch.setattr(Compacted, "commit", commit)


def test_a_number_that_is_used_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    a_number_is_used_again(monkeypatch)
    with pytest.raises(AssertionError):
        test_one_compaction_within_another(1)


@pytest.mark.parametrize("every", [False, True])
def test_a_generation_that_somebody_hides_stays_in_force(*, every: bool) -> None:
    """Nobody takes its number, whether it is the newest alone that is hidden, or all are."""
    two = Two(1)
    store, vault = two.store, TableVault.open(two.store, "flights", engines=LocalEngine)
    there = vault.compacted.current()
    for name in {each.name for each in store.versions(GENERATIONS)} if every else {f"{GENERATIONS}{there.number:08d}.json"}:
        store.delete(name)
    assert vault.compacted.current() == there
    each_counts_once(store, two.changes)
    with pytest.raises(Overtaken):
        vault.compacted.commit(msgspec.structs.replace(there, sets=[]))
    assert vault.compacted.current() == there, "though there is a newer version of it now"
    compact(vault, two.clock, memory=SMALL)
    assert vault.compacted.current().number == there.number + 2
    each_counts_once(store, two.changes)


# --- all together ----------------------------------------------------------------------------------------------------------------


class Together:
    """Two compactions, a tail, a function, a redrive and a restore of one vault: rounds of them, in orders by chance."""

    def __init__(self, chance: random.Random, layout: Layout) -> None:
        self._chance = chance
        self.stage = FailingStage(layout=layout)
        self.delivered: list[Change] = []
        self._after = chains.UNKNOWN
        self._tail(self.stage.write(2))
        self._restored = 0

    def _tail(self, changes: Sequence[Change], store: ObjectStore | None = None) -> None:
        """As a tail of one shard writes them: a run, and then the mark up to where all has been read."""
        vault = self.stage.vault(store)
        (shard,) = self.stage.table.stream.facts().shards
        images = images_for(vault.store, vault.catalog)
        vault.log.write_run([images.keep(each) for each in changes], shard.id, after=self._after, writer="tail")
        self._after = changes[-1].sequence
        vault.log.write_mark(changes[-1].stream, changes[-1].seconds, writer="tail")
        self.delivered += changes if store is None else []

    def round(self) -> None:
        """Some changes by each way, all at once; what holds after it."""
        stage = self.stage
        before = stage.vault().window(stage.clock.now()).until
        by_function, lost, by_tail = (stage.write(1, self._chance.sample(range(4), 2)) for _ in range(3))
        stage.give_up(stage.records(lost))
        assert isinstance(stage.store, MemoryStore)
        actors: dict[str, Callable[[ObjectStore], object]] = {
            "compaction": lambda store: compact(stage.vault(store), stage.clock, memory=SMALL),
            "another": lambda store: compact(stage.vault(store), stage.clock, until=by_function[0].seconds, memory=SMALL),
            "function": lambda store: self._function(by_function, store),
            "redrive": lambda store: redrive(stage.vault(store), RedriveOptions(), stage.clock, writer="redrive"),
            "tail": lambda store: self._tail(by_tail, store),
            "restore": lambda store: self._restore(before, store),
        }
        play = Play(stage.store, actors)
        names = list(actors)
        play.run(switching(*[(self._chance.choice(names), self._chance.randint(1, 15)) for _ in range(30)]))
        self.delivered += [*by_function, *lost, *by_tail]
        for name, outcome in play.outcomes.items():
            assert not isinstance(outcome, BaseException) or isinstance(outcome, Overtaken), (name, outcome, play.played)
        each_counts_once(stage.store, self.delivered)
        window = stage.vault().window(stage.clock.now())
        for second in {second for second, _, _ in stage.model[-12:]}:
            if any(each.since <= second <= each.until for each in window.ranges):
                assert state(stage.vault(), second) == stage.expected(second), (second, play.played)

    def _function(self, changes: Sequence[Change], store: ObjectStore) -> None:
        stage = self.stage
        report = keep_batch(
            stage.vault(store),
            stage.records(changes),
            stream_label(stage.table.stream.arn),
            Inline(),  # type: ignore[arg-type] # a pool, but for its threads
            writer="fn",
            kind=SegmentKind.PARALLEL,
            now=stage.clock.now,
        )
        assert report.captured == len(changes)

    def _restore(self, at: int | None, store: ObjectStore) -> None:
        if at is None:
            return
        self._restored += 1
        target = MemoryTable(f"restored-{self._restored}", self.stage.clock)
        around = RestoreContext(lambda _: target, self.stage.clock, Path(), memory=SMALL)
        report = restore(self.stage.vault(store), RestoreRequest(at, NewTable(target.name), allow_gap=True), around)
        assert (report.failed, report.failures) == (0, []), report
        found = sorted(image for page in target.scan() for image in page)
        assert found == sorted(self.stage.expected(at).values()), at


def play_together(seed: int, rounds: int) -> None:
    together = Together(random.Random(seed), Layout.LOG if seed % 2 else Layout.ROWS)
    for _ in range(rounds):
        together.round()
    compact(together.stage.vault(), together.stage.clock, memory=SMALL)
    each_counts_once(together.stage.store, together.delivered)


@pytest.mark.parametrize("seed", range(6))
def test_all_at_once(seed: int) -> None:
    play_together(seed, 4)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_all_at_once_for_long() -> None:
    for seed in range(100, 300):
        play_together(seed, 6)
