"""The engine on Spark keeps the contract of engines, and its result is the local engine's for random histories."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.engine import SparkEngine
from backstream.errors import AccessDenied, BackstreamError
from backstream.model.changes.entry import Entry
from backstream.model.window import AFTER_ALL
from backstream.ports import Engine, TableState
from backstream.stores.directory import DirectoryStore
from backstream.vault.table_vault import TableVault
from kit import big_vault
from kit.lived import lived
from kit.more_histories import MORE_STEPS, MoreWorld
from kit.schedules import drawn
from kit.spark_cluster import FolderOpener, ImagesOf, SparkCluster, needs_spark, opener_in

pytestmark = [pytest.mark.spark, needs_spark, pytest.mark.timeout(3_600)]
CONTRACT = Path(__file__).parents[1] / "engines/test_engine_contract.py"
_spec = importlib.util.spec_from_file_location("engine_contract", CONTRACT)
assert _spec is not None
assert _spec.loader is not None
contract = importlib.util.module_from_spec(_spec)
sys.modules["engine_contract"] = contract
_spec.loader.exec_module(contract)
globals().update({name: found for name, found in vars(contract).items() if name.startswith("test_")})
HISTORIES = 10
STEPS = 40


@pytest.fixture(scope="module")
def spark(cluster: SparkCluster) -> Cluster:
    return Cluster(cluster.master, SystemClock())


@pytest.fixture
def engine(spark: Cluster, tmp_path: Path) -> Engine[TableVault]:
    """In a few buckets, however little there is, so that there is something to shuffle."""
    return SparkEngine(spark, lambda vault: opener_in(tmp_path, vault), lambda rows, _: 3 + rows // 50_000)


def all_of(state: TableState) -> Mapping[bytes, Entry]:
    return {key: entry for part in state for key, entry in part.items()}


def same_states(vault: TableVault, at: int, now: float, some: Engine[TableVault], other: Engine[TableVault]) -> int:
    """Compare all that two engines tell of a moment; the number of items."""
    with some.state(vault, at) as one, other.state(vault, at) as two:
        here, there = all_of(one), all_of(two)
        assert here == there
        assert sorted(one.unreadable) == sorted(two.unreadable)  # type: ignore[type-var]
        assert one.floor == two.floor
        window = vault.window(now)
        assert {*one.broken(window, now)} == {*two.broken(window, now)}
        return len(here)


def play(seed: int, engine: Engine[TableVault], folder: Path) -> int:
    world = MoreWorld(seed, folder)
    world.play(drawn(seed, STEPS, MORE_STEPS))
    vault, now = world.vault(), world.clock.now()
    try:
        moments = [at for each in vault.window(now).ranges for at in (each.since, each.until)][-4:]
    except BackstreamError:
        return 0
    return sum(same_states(vault, at, now, LocalEngine(), engine) for at in (*moments[::2], AFTER_ALL))


def test_random_histories_have_the_local_engines_states(engine: Engine[TableVault], tmp_path: Path) -> None:
    assert sum(play(seed, engine, tmp_path) for seed in range(HISTORIES)) > 0


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_two_hundred_histories(engine: Engine[TableVault], tmp_path: Path, block: int) -> None:
    assert sum(play(5_000 + block * 10 + each, engine, tmp_path) for each in range(10)) > 0


def test_work_is_done_once_for_each_partition_where_it_lies(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    vault = stage.vault()
    with engine.state(vault, seconds[-1]) as found, LocalEngine().state(vault, seconds[-1]) as here:
        results = found.elsewhere(ImagesOf())
        assert results is not None
        told = [images for each in results for images in msgspec.msgpack.decode(each, type=dict[str, dict[bytes, bytes]]).values()]
        assert len(told) > 1
        assert {key: image for each in told for key, image in each.items()} == stage.expected(seconds[-1])
        assert sum(map(len, told)) == len(stage.expected(seconds[-1]))
        assert here.elsewhere(ImagesOf()) is None


def test_an_error_of_work_is_raised_here(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    with engine.state(stage.vault(), seconds[-1]) as found, pytest.raises(AccessDenied, match="no permission") as raised:
        list(found.elsewhere(ImagesOf("no permission")) or ())
    assert raised.value.hint == "ask"


def test_an_executor_that_is_killed_changes_nothing(cluster: SparkCluster, spark: Cluster, tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    store = DirectoryStore(tmp_path / "vault", SystemClock())
    vault = big_vault.vault_in(store)
    big_vault.fill(vault, 2_000, 20_000)
    killed: list[int] = []

    def killing(read: int) -> None:
        if read and not killed:
            killed.append(cluster.kill_an_executor())

    at = big_vault.last_second(20_000)
    engine = SparkEngine(spark, lambda _: FolderOpener(str(tmp_path / "vault"), big_vault.TABLE), lambda *_: 8)
    with engine.state(vault, at, killing) as there, LocalEngine().state(vault, at) as here:
        cluster.kill_an_executor()  # what it had shuffled is gone, and is read again
        assert all_of(there) == all_of(here)
