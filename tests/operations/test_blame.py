"""Many writers, many changes, and CloudTrail on all of them: each actor is right, and what cannot be told is said to be so."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import batches
from backstream.model import moment_arguments
from backstream.model.calls.attribution import TOLERANCE
from backstream.model.changes.entry import of_change
from backstream.operations.blame import BlameContext, Blamed, BlameFinding, BlameRequest, Outcome, blame
from backstream.operations.blame.run import target_of
from backstream.operations.blame.unkeyed import Unkeyed
from backstream.operations.bulk.progress import Silent
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.inspect.actors import Actors
from backstream.stores.memory import MemoryStore
from backstream.vault.attribution.cloudtrail import Trail
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.clock import ManualClock
from kit.cloudtrail import (
    ACCOUNT,
    REGION,
    Event,
    Table,
    deliver,
    file_body,
    file_name,
    region_folder,
    service,
    session,
    user,
    where,
)
from kit.feed import Feed
from kit.images import image, key

T = 1_700_000_000
HOURS = 3
MB = 1 << 20
WRITERS = [
    *(user(f"user{number}") for number in range(5)),
    *(session("app", f"i-{number}") for number in range(5)),
    session("worker", "job", invoked_by="glue.amazonaws.com"),
    service("dms.amazonaws.com"),
]


class Night:
    """Changes of a table, each by a known writer, and their events. `truth`: the writer by sequence number."""

    def __init__(self, changes: int, *, keys: int, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.feed = Feed(MemoryStore(ManualClock(T)), "flights", began=T - 600, layout=Layout.LOG, owner=(ACCOUNT, REGION, "t"))
        self.table = Table(self.feed.catalog.table_arn)
        self.truth: dict[str, Any] = {}
        self.events: list[Event] = []
        self._alive: set[int] = set()
        self._write(changes, keys)
        entries = [of_change(change, None) for change in self.feed.take()]
        for batch in batches(entries, 5_000):
            self.feed.vault.log.write_batch(batch, SegmentKind.LAMBDA, writer="test")
        self.feed.reached(T + HOURS * 3_600)

    def _write(self, changes: int, keys: int) -> None:
        seconds = sorted(self.random.randrange(HOURS * 3_600) for _ in range(changes))
        for number, second in enumerate(seconds):
            chosen = self.random.randrange(keys)
            who = self.random.choice(WRITERS)
            removed = chosen in self._alive and self.random.random() < 0.2
            if removed:
                self._alive.discard(chosen)
                self.feed.delete(T + second, key("z", chosen))
            else:
                self.feed.put(T + second, image("z", chosen, v={"N": str(number)}))
            change = self.feed._waiting[-1]
            self.truth[change.sequence] = who
            self._event(change.event, T + second, chosen, who)
            if not removed:
                self._alive.add(chosen)

    def _event(self, became: str, second: int, number: int, who: Any) -> None:
        """The call, two seconds away at most; sometimes twice, and beside it sometimes calls that failed, or changed nothing."""
        plain, near = {"zone": "z", "number": number}, second + self.random.randint(-TOLERANCE, TOLERANCE)
        call = self._call(became, near, plain, who)
        self.events.append(call)
        luck = self.random.random()
        if luck < 0.05:
            self.events.append(call)
        elif luck < 0.1:
            self.events.append(self.table.update(near, self.random.choice(WRITERS), plain, error="ConditionalCheckFailedException"))
        elif luck < 0.15:
            self.events.append(self.table.put(near + 1, self.random.choice(WRITERS), plain))

    def _call(self, became: str, second: int, plain: Mapping[str, Any], who: Any) -> Event:
        table, way = self.table, self.random.randrange(4)
        name = f'"{table.name}"'
        if became == "REMOVE":
            return [
                table.delete(second, who, plain),
                table.batch(second, who, [], [plain]),
                table.transaction(second, who, [("Delete", plain)]),
                table.statements("BatchExecuteStatement", second, who, "DELETE FROM " + name + " WHERE " + where(plain)),
            ][way]
        if way == 3:
            text = "UPDATE " + name + " SET v = ***(Redacted) WHERE " + where(plain)
            if became == "INSERT":
                text = "INSERT INTO " + name + f" VALUE {{'zone': 'z', 'number': {plain['number']}, 'v': ***(Redacted)}}"
            return table.statement(second, who, text)
        return [
            table.put(second, who, plain),
            table.batch(second, who, [plain]),
            table.transaction(second, who, [("Update", plain)]),
        ][way]

    def trail(self) -> Trail:
        """Hourly deliveries in no order, and a later one that ends them."""
        store = MemoryStore(ManualClock(T))
        self.random.shuffle(self.events)
        for name, body in deliver(self.events, hours=True).items():
            store.put(name, body)
        store.put(region_folder() + file_name(T + (HOURS + 2) * 3_600), file_body([]))
        return Trail(store, "", target_of(self.feed.vault))

    def blame(self, *, annotate: bool = False, memory: Memory | None = None) -> tuple[Blamed, list[BlameFinding]]:
        found: list[BlameFinding] = []
        around = BlameContext(ManualClock(T + 86_400), memory or Memory(), Silent())
        asked = BlameRequest(ChangeWindow(T - 601, T + HOURS * 3_600), annotate=annotate, whole=True)
        return blame(self.feed.vault, self.trail(), asked, around, found.append), found


def name_of(who: Any) -> str:
    return str(who.get("arn") or who["invokedBy"])


def judge(night: Night, report: Blamed, found: list[BlameFinding]) -> Counter[Outcome]:
    """Whatever is said is true; and what one call alone can have made is said."""
    assert [each.sequence for each in found] == sorted(night.truth, key=int), "each change once, the oldest first"
    for each in found:
        right = name_of(night.truth[each.sequence])
        assert each.actor in (None, right), each
        assert each.status in (Outcome.MATCHED, Outcome.AMBIGUOUS), each
        assert any((call.arn or call.invoked_by) == right for call in each.calls), "the call is among those that fit"
        assert each.actor == right if each.status is Outcome.MATCHED else each.fitting > 1, each
    assert not report.unreadable
    return Counter(each.status for each in found)


@pytest.mark.parametrize("seed", range(2))
def test_random_writers(seed: int) -> None:
    """A few keys, written again and again, so that much cannot be told."""
    night = Night(800, keys=60, seed=seed)
    report, found = night.blame()
    counts = judge(night, report, found)
    assert counts[Outcome.AMBIGUOUS] > 20
    assert counts[Outcome.MATCHED] > 400


def test_annotations_name_the_same_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.operations.blame.run.MOST", 300)
    night = Night(1_000, keys=300)
    report, found = night.blame(annotate=True)
    judge(night, report, found)
    assert report.annotated == 1_000
    vault = night.feed.vault
    actors, by_sequence = Actors.of_vault(vault), {each.sequence: each for each in found}
    for entry in _entries(vault):
        claims = actors.claims(entry)
        assert [each.actor for each in claims] == [each for each in [by_sequence[entry.sequence].actor] if each]
    again, _ = night.blame(annotate=True)
    assert (again.annotated, again.known) == (0, 1_000)


def _entries(vault: Any) -> Iterator[Any]:
    """Every change as `Actors` looks at it."""
    for listed in vault.log.listing():
        for entry in vault.log.read(listed):
            yield _Told(entry)


class _Told:
    def __init__(self, entry: Any) -> None:
        self.stream, self.sequence, self.micros, self.actor, self.new = entry.stream, entry.sequence, entry.micros, None, None


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_a_hundred_thousand_changes_and_events() -> None:
    """Bounded memory: besides what the store in memory holds, a few dozen MB."""
    night = Night(100_000, keys=20_000)
    trail = night.trail()
    night.events.clear()
    tally: Counter[Outcome] = Counter()

    def each(finding: BlameFinding) -> None:
        right = name_of(night.truth[finding.sequence])
        assert finding.actor in (None, right)
        assert any((call.arn or call.invoked_by) == right for call in finding.calls)
        tally[finding.status] += 1

    around = BlameContext(ManualClock(T + 86_400), Memory(64 * MB), Silent())
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    report = blame(night.feed.vault, trail, BlameRequest(ChangeWindow(T - 601, T + HOURS * 3_600), whole=True), around, each)
    assert report.changes == sum(tally.values()) == 100_000
    assert set(tally) == {Outcome.MATCHED, Outcome.AMBIGUOUS}
    assert tally[Outcome.MATCHED] > 80_000
    assert _status("VmHWM") - before < 150 * MB


def _status(name: str) -> int:
    """Bytes of this process's memory."""
    return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0]) * 1_024


def test_calls_without_keys_are_found_by_their_seconds() -> None:
    unkeyed = Unkeyed()
    assert not unkeyed.fits(T, 1)
    unkeyed.note(T, 3)
    unkeyed.note(T + 7_200, 4)
    assert [second - T for second in range(T - 5, T + 6) if unkeyed.fits(second, 1)] == [-2, -1, 0, 1, 2]
    assert not unkeyed.fits(T, 4)
    assert unkeyed.fits(T + 7_202, 4)


def test_a_statement_without_its_key_leaves_nothing_certain_near_it() -> None:
    night = Night(200, keys=100)
    _, known = night.blame()
    chosen = next(each for each in known if each.event == "INSERT" and each.status is Outcome.MATCHED)
    table, second = night.table, moment_arguments.parse(chosen.time, 0)
    night.events.append(
        table.statement(second, WRITERS[0], "INSERT INTO flights VALUE {'zone': ***(Redacted), 'number': ***(Redacted)}")
    )
    _, found = night.blame()
    (again,) = [each for each in found if each.sequence == chosen.sequence]
    assert (again.status, again.actor, again.fitting) == (Outcome.AMBIGUOUS, None, 1)
    assert "do not tell which items" in again.why
    assert sum(each.status is Outcome.MATCHED for each in found) > 150
