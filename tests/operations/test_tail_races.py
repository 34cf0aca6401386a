"""A tail that catches up must not miss what lies behind a shard that has just ended, however the threads fall."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from time import sleep

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.shards import Settings
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ListedObject, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

RESTLESS = Settings(poll=0.0, quiet_reads=1, topology_every=0.0, writers=2, readers=4)


class SlowStore(MemoryStore):
    """As slow as a network, and as uneven."""

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        sleep(random.random() * 0.005)
        return super().put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        sleep(random.random() * 0.01)
        return super().list(prefix, after=after)


@pytest.mark.parametrize("turn", range(12))
def test_children_of_a_shard_that_just_ended_are_read(turn: int) -> None:
    clock = ManualClock()
    store, table = SlowStore(clock), MemoryTable("items", clock, KeySchema(KeyAttribute("id", "S")), shards=2)
    table.enable_stream()
    init(store, table, InitOptions())
    for shard in table.stream.facts().shards:
        table.stream.split(shard.id)
    table.write([Put(f'{{"id":{{"S":"{turn}-{number}"}}}}'.encode()) for number in range(8)])
    following = Following(
        table=table,
        streams=lambda _arn: table.stream,
        clock=clock,
        writer="tail",
        notice=lambda _text: None,
        stop=threading.Event(),
        settings=RESTLESS,
    )
    report = follow(TableVault.open(store, "items", engines=LocalEngine), following, until_caught_up=True)
    assert (report.caught_up, report.captured) == (True, 8)
