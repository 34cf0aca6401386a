"""A vault is attacked at random, and restored. With signatures each restore is the truth, or refuses and names why.

Without them an attacker succeeds only in what docs/security.md lists, and each success is held against that list.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import zstandard

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, NotSigned
from backstream.model.columns.schema import ColumnSchema
from backstream.model.sealing import table_of
from backstream.model.values import wire
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, EraseRequest, erase
from backstream.operations.inspect import signatures
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.restore import RestoreContext, RestoreRequest, ToFile, restore
from backstream.operations.retain import RetainContext, retain
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore, ObjectVersion, StoredObject
from backstream.stores.memory import MemoryStore
from backstream.vault import groups
from backstream.vault.catalog import Layout
from backstream.vault.columns import ColumnStore
from backstream.vault.gaps.gaps import Gap, Gaps
from backstream.vault.log import inventory
from backstream.vault.table_vault import TableVault
from kit import images
from kit.attacks import REMAIN, TABLE, Attack, Attacker
from kit.clock import ManualClock
from kit.lived import SMALL, key, live
from kit.signing import signed, signing, verified
from kit.stage import Stage

ERASED = key(5)
OFTEN = ("/catalog.json", "/columns.json")  # are written again and again
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
NOT_YET = "is included only if it has arrived"
FEW, MANY = range(100), range(100, 2_100)


class Target(msgspec.Struct, frozen=True):
    """A vault to be attacked: its objects, the moments with the truth of each, and the head that was seen."""

    objects: Mapping[str, list[StoredObject | ObjectVersion]]
    truth: Mapping[int, Mapping[bytes, bytes]]
    head: int | None
    now: float


@functools.cache
def target(layout: Layout, *, compacted: bool, with_signatures: bool, furnished: bool = False) -> Target:
    """Some hours of a table's life, the last change of which nobody has captured yet.

    `furnished`: an item was erased from its history, which has a horizon; a group and typed columns lie there too.
    """
    clock = ManualClock()
    plain = MemoryStore(clock)
    store: ObjectStore = signed(plain) if with_signatures else plain
    stage = Stage(clock, layout=layout, store=store)
    if with_signatures:
        init(store, stage.table, InitOptions(signing=signing(clock.now())))
    seconds = live(stage, 2)
    if compacted:
        compact(TableVault.open(verified(store) if with_signatures else store, TABLE, engines=LocalEngine), clock)
    erased = furnish(stage, store, plain, seconds, with_signatures=with_signatures) if furnished else 0
    seconds += live(stage, 1, first=2)
    stage.follow()
    vault = stage.vault()
    head = signatures.covered(vault, clock.now()).head
    clock.sleep(600)
    stage.put([1])
    clock.sleep(600)
    moments = [*seconds, int(clock.now())]
    objects = {name: list(versions) for name, versions in plain._versions.items()}
    truth = {at: dict(stage.expected(at)) for at in moments}
    if furnished:
        del truth[moments[0]]  # it is before the horizon
    for rows in (each for at, each in truth.items() if at <= erased):
        rows.pop(ERASED, None)
    return Target(objects, truth, head, clock.now())


def furnish(stage: Stage, store: ObjectStore, plain: MemoryStore, seconds: Sequence[int], *, with_signatures: bool) -> int:
    """Ends the history of the first round, erases an item, and keeps a group and columns. Returns the erasure's second."""

    def opened() -> TableVault:
        return TableVault.open(verified(store) if with_signatures else store, TABLE, engines=LocalEngine)

    keep = int(stage.clock.now()) - seconds[0] - 100
    retain(opened(), keep, RetainContext(stage.clock, plain, SMALL))
    request = EraseRequest(reason="asked for it", by="test", keys=(ERASED,))
    report = erase(opened, request, EraseContext(stage.clock, plain, SMALL))
    assert (opened().catalog.horizon is not None, list(report.left)) == (True, [])
    groups.save(store, "shop", [TABLE], {}, stage.clock.now())
    ColumnStore(store, TABLE).keep(ColumnSchema().with_kinds([("v", "N")]))
    second = int(stage.clock.now())
    stage.clock.sleep(5)
    return second


class Outcome(msgspec.Struct, frozen=True):
    """What came of a schedule. `why`: what was named, empty where nothing was."""

    attacks: Sequence[Attack]
    true: bool
    why: str

    @property
    def harmless(self) -> bool:
        return self.true or bool(self.why)


def outcome(seed: int, *, with_signatures: bool, allowed: frozenset[Attack] = frozenset(Attack)) -> Outcome:
    """A vault, attacked, and restored to one of its moments."""
    layout = list(Layout)[seed % 2]
    found = target(layout, compacted=seed % 4 < 2, with_signatures=with_signatures, furnished=seed % 8 < 2)
    clock = ManualClock(found.now)
    store = MemoryStore(clock)
    store._versions = {name: list(versions) for name, versions in found.objects.items()}
    store._numbers = itertools.count(100_000)  # versions of an attacker have ids of their own
    attacker = Attacker(store, seed)
    attacker.attack(allowed)
    clock.sleep(10)
    at = list(found.truth)[seed % len(found.truth)]
    rows, why = restored(store, at, clock, found.head, with_signatures=with_signatures)
    return Outcome(attacker.done, rows == found.truth[at], why)


def restored(
    store: MemoryStore, at: int, clock: ManualClock, head: int | None, *, with_signatures: bool
) -> tuple[Mapping[bytes, bytes] | None, str]:
    """The rows that come back, and what was named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items"
        try:
            vault = TableVault.open(verified(store) if with_signatures else store, TABLE, engines=LocalEngine)
            signatures.check(vault, clock.now(), at, min_head=head if with_signatures else None)
            around = RestoreContext(lambda _: pytest.fail("no table is needed"), clock, Path(folder))
            report = restore(vault, RestoreRequest(at=at, target=ToFile(path)), around)
        except BackstreamError as error:
            return None, error.message
        lines = [msgspec.json.decode(line, type=dict[str, msgspec.Raw])["Item"] for line in path.read_bytes().splitlines()]
        rows = {wire.key_of(images.SCHEMA, bytes(each)): bytes(each) for each in lines}
        named = [f"{each.what}: {each.why}" for each in report.failures]
        return rows, "; ".join([*named, *(each for each in report.warnings if NOT_YET in each)])


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_nobody_attacks(seed: int) -> None:
    """The generator's vaults are sound, and a restore of each moment is the truth."""
    for with_signatures in (False, True):
        found = target(list(Layout)[seed % 2], compacted=seed < 2, with_signatures=with_signatures, furnished=seed < 2)
        store = MemoryStore(ManualClock(found.now))
        store._versions = {name: list(versions) for name, versions in found.objects.items()}
        for at, truth in list(found.truth.items())[:-1]:
            rows, why = restored(store, at, ManualClock(found.now), found.head, with_signatures=with_signatures)
            assert (rows, why) == (truth, "")


def _with_signatures(seeds: range) -> None:
    wrong = [(seed, found) for seed in seeds if not (found := outcome(seed, with_signatures=True)).harmless]
    assert wrong == []


def _without(seeds: range) -> None:
    """Each success is one that the documentation names."""
    every = [(seed, outcome(seed, with_signatures=False)) for seed in seeds]
    successes = [(seed, found) for seed, found in every if not found.harmless]
    assert [each for each in successes if not REMAIN.intersection(each[1].attacks)] == []


def _without_those_that_remain(seeds: range) -> None:
    allowed = frozenset(Attack) - REMAIN
    every = [(seed, outcome(seed, with_signatures=False, allowed=allowed)) for seed in seeds]
    assert [each for each in every if not each[1].harmless] == []


def test_with_signatures_each_restore_is_the_truth_or_refuses() -> None:
    _with_signatures(FEW)


def test_without_signatures_only_what_is_documented_succeeds() -> None:
    _without(FEW)


def test_without_signatures_what_is_not_documented_never_succeeds() -> None:
    _without_those_that_remain(FEW)


@pytest.mark.soak
def test_many_with_signatures() -> None:
    _with_signatures(MANY)


@pytest.mark.soak
def test_many_without_signatures() -> None:
    _without(MANY)
    _without_those_that_remain(MANY)


@pytest.mark.parametrize("attack", sorted(REMAIN))
def test_what_remains_possible_is_documented(attack: Attack) -> None:
    listed = SECURITY.read_text().partition("## What remains possible without signatures")[2].partition("\n## ")[0]
    assert f"**{attack[0].upper()}{attack[1:]}**" in listed


@pytest.mark.parametrize("attack", [Attack.NEW_SEGMENT, Attack.SET, Attack.WATERMARK, Attack.CATALOG])
def test_what_is_documented_does_succeed(attack: Attack) -> None:
    """The generator has teeth: these bring back what was never so, and nothing names it."""
    assert any(not outcome(seed, with_signatures=False, allowed=frozenset((attack,))).harmless for seed in range(60))


@pytest.mark.parametrize("attack", [Attack.NOTE, Attack.INDEX])
@pytest.mark.parametrize("with_signatures", [False, True])
def test_a_note_closes_a_gap_unless_it_has_to_be_signed(attack: Attack, *, with_signatures: bool) -> None:
    """Of a batch that Lambda gave up: what it carries is missing, whatever a note or an index says."""
    found = target(Layout.LOG, compacted=False, with_signatures=with_signatures)
    clock = ManualClock(found.now)
    store = MemoryStore(clock)
    store._versions = {name: list(versions) for name, versions in found.objects.items()}
    at = next(iter(found.truth))
    gap = Gap("Lambda gave up a batch", at - 5, at, "", batch="aws/lambda/x")
    TableVault.open(signed(store) if with_signatures else store, TABLE, engines=LocalEngine).gaps.record(gap)
    rows, why = restored(store, at, clock, found.head, with_signatures=with_signatures)
    assert rows is None
    assert "Lambda gave up a batch" in why
    Attacker(store, 0).attack(frozenset((attack,)))
    rows, why = restored(store, at, clock, found.head, with_signatures=with_signatures)
    assert (rows is None) is with_signatures
    assert ("it is not signed" in why) is with_signatures


def test_a_note_of_a_second_to_come_is_not_believed_nor_one_that_is_not_signed() -> None:
    """It would leave the gap that `verify` records without a beginning."""
    found = target(Layout.LOG, compacted=False, with_signatures=True)
    store = MemoryStore(ManualClock(found.now))
    store._versions = {name: list(versions) for name, versions in found.objects.items()}
    now = int(found.now)
    gaps, signing_gaps = Gaps(store, TABLE), Gaps(signed(store), TABLE)
    signing_gaps.agree(now - 50)
    gaps.agree(now + 50)
    gaps.agree(99_999_999_999)
    store.put(f"_backstream/{TABLE}/agreed/log/{now - 20:011d}", b"")  # as a role for many tables may
    readers = gaps, TableVault.open(verified(store), TABLE, engines=LocalEngine).gaps
    assert [each.last_agreed(now) for each in readers] == [now - 50, now - 50]
    gaps.agree(now - 10)
    assert gaps.last_agreed(now) == now - 10
    with pytest.raises(NotSigned, match="agreed/"):
        readers[1].last_agreed(now)


def checked(store: MemoryStore, clock: ManualClock) -> list[str]:
    vault = TableVault.open(store, TABLE, engines=LocalEngine)
    return [f"{each.object}: {each.why}" for each in check(vault, CheckContext(clock, SMALL)).findings]


@pytest.mark.parametrize("layout", Layout)
def test_check_names_a_version_over_each_object_that_is_written_once(layout: Layout) -> None:
    """All but those of generations and sets that are over, which nobody reads."""
    found = target(layout, compacted=True, with_signatures=False, furnished=True)
    clock, store = ManualClock(found.now), MemoryStore(ManualClock(found.now))
    store._versions = {name: list(versions) for name, versions in found.objects.items()}
    assert checked(store, clock) == []
    vault = TableVault.open(store, TABLE)
    generation = vault.compacted.current()
    sets = [*generation.changes, *inventory.sets_of_bases(vault.bases, generation)]
    counts = {*(each.id for each in sets), f"{generation.number:08d}.json"}
    names = [each for each in found.objects if each.startswith(f"_backstream/{TABLE}/") and not each.endswith(OFTEN)]
    wanted = [each for each in names if "/compacted/" not in each or any(one in each for one in counts)]
    assert any("/erasures/" in each for each in wanted)
    for name in wanted:
        store.put(name, b'{"x":1}')
    named = checked(store, clock)
    assert [each for each in wanted if not any(one.startswith(each) for one in named)] == []


@pytest.mark.parametrize("body", [b"", b"no index", zstandard.compress(b"[]")])
def test_an_index_of_gaps_that_is_none_ends_no_check(body: bytes) -> None:
    found = target(Layout.LOG, compacted=False, with_signatures=False)
    store = MemoryStore(ManualClock(found.now))
    store._versions = {name: list(versions) for name, versions in found.objects.items()}
    store.put(f"_backstream/{TABLE}/compacted/gaps/00000001.json.zst", body)
    assert any("00000001.json.zst cannot be read" in each for each in checked(store, ManualClock(found.now)))


def test_a_finding_of_blame_is_signed() -> None:
    """Whoever could put one would choose what `revert --actor` takes back."""
    assert table_of(f"_backstream/{TABLE}/actors/dt=2026-01-01/hour=00/x.ndjson.zst") == TABLE
