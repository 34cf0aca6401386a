"""A vault holds one table: input of another account or region is refused; a table that was made again is another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Never, cast

import msgspec
import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import AccessDenied, Refused
from backstream.model.changes.change import Change, stream_label
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.operations.capture.batch import keep_batch
from backstream.operations.setup.identity import RECREATED, REPLACED, Lookup, recognise, turn
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore, Put, Table, TableFacts
from backstream.tables.memory_stream import MemoryStream
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest_each
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.lived import state
from kit.records import lambda_record
from kit.stage import Stage

EVERY_KEY = [wire.key_of(images.SCHEMA, images.key("z", number)) for number in range(10)]
NOON = 1_795_406_400.0


@pytest.fixture(params=list(Layout))
def stage(request: pytest.FixtureRequest) -> Stage:
    """Three rows that a tail has brought into the vault, and its last mark."""
    stage = Stage(ManualClock(NOON), shards=1, layout=request.param)
    stage.clock.sleep(10)
    stage.put(range(3))
    stage.clock.sleep(10)
    stage.follow()
    return stage


def recreate(stage: Stage, *, streaming: bool = True) -> None:
    """The table is deleted, and ten minutes later there is one of the same name."""
    stage.table.delete()
    stage.model.clear()
    stage.clock.sleep(600)
    stage.table.create(on_demand(images.SCHEMA))
    if not streaming:
        stage.clock.sleep(60)
    stage.table.enable_stream()


def records(stream: MemoryStream) -> list[Mapping[str, object]]:
    found: list[Change] = []
    for shard in stream.facts().shards:
        found += stream.read(shard.id, stream.iterator(shard.id, None)).changes
    return [lambda_record(change, stream.arn) for change in found]


def lookup(stage: Stage) -> Lookup:
    return Lookup(lambda: stage.table, stage.stream)


def deliver(stage: Stage, stream: MemoryStream, found: Sequence[Mapping[str, object]] | None = None) -> str:
    """One batch of a stream, as the handler keeps it; the label."""
    done, label = recognise(stage.vault(), stream.arn, lookup(stage), stage.clock.now(), save=False)
    with ThreadPoolExecutor(2) as pool:
        batch = records(stream) if found is None else found
        report = keep_batch(done.vault, batch, label, pool, writer="fn", kind=SegmentKind.LAMBDA, now=stage.clock.now)
    assert not report.failures
    return label


def held(stage: Stage, at: int) -> Mapping[bytes, bytes]:
    """The table at the end of that second, by the engine that restores it, and by `show` of each of its rows."""
    vault = stage.vault()
    folded = state(vault, at)
    shown = newest_each(vault, EVERY_KEY, at, vault.basis(at))
    by_key = {key: entry for key, entry in shown.items() if entry is not None and not entry.removed}
    assert folded.keys() == by_key.keys()
    return {key: vault.image(entry) for key, entry in by_key.items()}


def names(store: ObjectStore) -> list[str]:
    return [f"{each.name} {each.version}" for each in store.versions("")]


# --- whose ---


class Elsewhere:
    """The same table, in another place."""

    def __init__(self, table: Table, account: str, region: str) -> None:
        self._table = table
        self._at = f"{region}:{account}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def facts(self) -> TableFacts:
        facts = self._table.facts()
        arn, stream = (str(each).replace("us-east-1:000000000000", self._at) for each in (facts.arn, facts.stream_arn))
        return msgspec.structs.replace(facts, arn=arn, stream_arn=stream)


@pytest.mark.parametrize(("account", "region"), [("111122223333", "us-east-1"), ("000000000000", "eu-west-1")])
def test_another_accounts_or_regions_table_is_refused_and_nothing_is_written(stage: Stage, account: str, region: str) -> None:
    other, before = cast("Table", Elsewhere(stage.table, account, region)), names(stage.store)
    arn = other.facts().stream_arn or ""
    with pytest.raises(Refused, match="not the table flights of account"):
        stage.follow(table=other)
    with pytest.raises(Refused, match="nothing of this was written"):
        init(stage.store, other, InitOptions())
    with pytest.raises(Refused, match=region):
        recognise(stage.vault(), arn, lookup(stage), stage.clock.now())
    with pytest.raises(Refused, match=account):
        turn(stage.vault(), other.facts(), stage.clock.now())
    assert names(stage.store) == before


# --- the stream was off ---


def off_for_an_hour(stage: Stage) -> tuple[int, int]:
    """The stream is off for an hour, in which a row changes; the last proven second, and when it is on again."""
    proven = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    stage.table.disable_stream()
    stage.put([1])
    stage.clock.sleep(3600)
    stage.table.enable_stream()
    return proven, int(stage.clock.now())


def test_init_records_the_hour_in_which_the_stream_was_off(stage: Stage) -> None:
    proven, on_again = off_for_an_hour(stage)
    report = init(stage.store, stage.table, InitOptions(), enable_stream=True)
    assert any(REPLACED in change for change in report.changes)
    (gap,) = stage.vault().gaps.all()
    assert (gap.reason, gap.since, gap.until) == (REPLACED, proven, on_again)
    assert stage.vault().catalog.stream_arn == stage.table.stream.arn
    assert init(stage.store, stage.table, InitOptions()).changes == []


def test_the_function_records_it_before_it_logs_anything(stage: Stage) -> None:
    proven, on_again = off_for_an_hour(stage)
    stage.clock.sleep(5)
    stage.put([2])
    done, label = recognise(stage.vault(), stage.table.stream.arn, lookup(stage), stage.clock.now())
    assert (done.saved, label) == (True, stage.vault().catalog.stream)
    (gap,) = stage.vault().gaps.all()
    assert (gap.since, gap.until) == (proven, on_again)
    deliver(stage, stage.table.stream)
    assert len(list(stage.vault().gaps.all())) == 1
    stage.clock.sleep(2 * 86_400)
    window = stage.vault().window(stage.clock.now())
    assert all(each.until < proven or each.since > on_again for each in window.ranges)


def test_the_function_adds_to_log_and_gaps_alone_and_the_next_reader_changes_the_catalog(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    off_for_an_hour(stage)
    stage.put([2])
    put = stage.store.put

    def guarded(name: str, *parts: object, **words: object) -> str:
        if not name.startswith(("_backstream/flights/log/", "_backstream/flights/gaps/", "flights/")):
            raise AccessDenied(f"s3:PutObject of {name} is denied")
        return put(name, *parts, **words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(stage.store, "put", guarded)
        deliver(stage, stage.table.stream)
        deliver(stage, stage.table.stream)
    old = stage.vault().catalog.stream
    assert old != stream_label(stage.table.stream.arn)
    assert any(each.stream == stream_label(stage.table.stream.arn) for each in stage.segments(SegmentKind.LAMBDA))
    (gap,) = stage.vault().gaps.all()
    assert gap.reason == REPLACED
    stage.follow()
    assert stage.vault().catalog.stream == stream_label(stage.table.stream.arn)
    assert list(stage.vault().gaps.all()) == [gap], "it is the same gap"


# --- labels that nobody can vouch for ---


def denied(*_: object) -> Never:
    raise AccessDenied("not allowed")


@pytest.mark.parametrize("permitted", [True, False])
def test_an_event_of_the_year_2099_never_wins(stage: Stage, *, permitted: bool) -> None:
    arn = f"{stage.table.facts().arn}/stream/2099-01-01T00:00:00.000"
    before = names(stage.store)
    ask = lookup(stage) if permitted else Lookup(denied, denied)
    with pytest.raises(Refused, match="does not know the stream 2099-01-01"):
        recognise(stage.vault(), arn, ask, stage.clock.now())
    assert names(stage.store) == before


def test_a_stream_that_only_the_streams_api_vouches_for_is_kept_behind_a_gap(stage: Stage) -> None:
    off_for_an_hour(stage)
    stage.put([2])
    ask = Lookup(denied, stage.stream)
    for _ in range(2):
        done, label = recognise(stage.vault(), stage.table.stream.arn, ask, stage.clock.now())
    assert (done.saved, label) == (False, stream_label(stage.table.stream.arn))
    assert len(list(stage.vault().gaps.all())) == 1


# --- deleted and created again ---


@pytest.mark.parametrize("who", ["tail", "function", "init"])
def test_rows_of_the_old_table_are_no_rows_of_the_new_one(stage: Stage, who: str) -> None:
    before = dict(stage.expected())
    told, proven = int(stage.clock.now()), stage.vault().window(stage.clock.now()).durable
    recreate(stage)
    created = int(stage.clock.now())
    stage.clock.sleep(5)
    stage.put([7])
    stage.clock.sleep(5)
    if who == "tail":
        stage.follow()
    elif who == "function":
        deliver(stage, stage.table.stream)
    else:
        init(stage.store, stage.table, InitOptions())
    gaps = list(stage.vault().gaps.all())
    assert [(gap.reason, gap.since, gap.until) for gap in gaps] == [(RECREATED, proven, created - 1)]
    stage.follow()
    assert len(list(stage.vault().gaps.all())) == 1
    now = int(stage.clock.now())
    assert held(stage, now) == stage.expected()
    assert held(stage, created) == {}, "the new table began empty"
    assert held(stage, told - 1) == before, "and the old one's history is still there"
    window = stage.vault().window(now)
    assert window.start(now) is not None
    assert window.ranges[-1].since == created
    assert stage.vault().catalog.table_id == stage.table.facts().table_id


def test_late_records_of_the_old_stream_stay_in_the_past(stage: Stage) -> None:
    """The function comes to the old stream's last records after the new table's first: they are of another table."""
    stage.put([4])
    old = stage.table.stream
    recreate(stage)
    stage.clock.sleep(5)
    stage.put([7])
    deliver(stage, stage.table.stream)
    assert deliver(stage, old) == stream_label(old.arn)
    stage.clock.sleep(5)
    stage.follow()
    assert stage.vault().catalog.stream == stream_label(stage.table.stream.arn)
    assert deliver(stage, old) == stream_label(old.arn)
    assert held(stage, int(stage.clock.now())) == stage.expected()


def test_a_late_record_of_a_stream_that_was_replaced_is_history_of_the_same_table(stage: Stage) -> None:
    stage.put([4])
    old = stage.table.stream
    stage.table.disable_stream()
    stage.clock.sleep(60)
    stage.table.enable_stream()
    stage.clock.sleep(1)
    stage.put([5])
    deliver(stage, stage.table.stream)
    deliver(stage, old)
    assert stage.captured() == stage.expected()


def test_a_table_whose_stream_came_later_than_itself_needs_a_base_backup(stage: Stage) -> None:
    """Rows may have been put before the stream was on: nobody has heard of them."""
    recreate(stage, streaming=False)
    stage.follow()
    (gap,) = stage.vault().gaps.all()
    assert gap.until == int(stage.clock.now())
    window = stage.vault().window(stage.clock.now() + 60)
    assert all(each.until < gap.since for each in window.ranges)


def test_a_stream_that_init_enables_itself_was_not_on_from_the_start(stage: Stage) -> None:
    stage.table.delete()
    stage.clock.sleep(600)
    stage.table.create(on_demand(images.SCHEMA))
    stage.put([9])
    init(stage.store, stage.table, InitOptions(), enable_stream=True)
    assert [life.complete for life in stage.vault().catalog.lives] == [False]


def test_what_init_turned_away_from_is_still_read_by_the_next_tail(stage: Stage) -> None:
    stage.put([4])  # nobody has read this yet
    stage.table.disable_stream()
    stage.clock.sleep(60)
    stage.table.enable_stream()
    init(stage.store, stage.table, InitOptions())
    stage.clock.sleep(1)
    stage.put([5])
    stage.follow()
    assert stage.captured() == stage.expected()


def test_a_catalog_with_lives_has_a_format_that_older_tools_refuse(stage: Stage) -> None:
    assert b'"format": 1' in stage.store.get("_backstream/flights/catalog.json").body
    recreate(stage)
    stage.follow()
    assert b'"format": 2' in stage.store.get("_backstream/flights/catalog.json").body
    assert catalogs.load(stage.store, "flights").lives[0].complete
    assert TableVault.open(stage.store, "flights", engines=LocalEngine).catalog.format == 2


@pytest.mark.parametrize("recreated", [False, True])
@pytest.mark.parametrize("who", ["tail", "witness"])
def test_a_stream_that_is_off_proves_nothing_by_its_silence(stage: Stage, who: str, *, recreated: bool) -> None:
    """Its shards are not closed yet when it is read again, twenty minutes later: nobody's changes were made meanwhile."""
    proven = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    old = stage.table.streams[-1]
    old.close = lambda: setattr(old, "enabled", False)  # type: ignore[method-assign]
    if recreated:
        stage.table.delete()
    else:
        stage.table.disable_stream()
    stage.clock.sleep(600)
    if recreated:
        stage.table.create(on_demand(images.SCHEMA))
    stage.table.write([Put(images.image("z", 1, v={"N": "99"}))])
    stage.clock.sleep(600)
    stage.table.enable_stream()
    stage.clock.sleep(60)
    (stage.follow if who == "tail" else stage.witness)()
    window = stage.vault().window(stage.clock.now())
    assert [(each.reason, each.since <= proven) for each in window.gaps] == [(RECREATED if recreated else REPLACED, True)]
    assert all(each.until <= proven for each in window.ranges)
