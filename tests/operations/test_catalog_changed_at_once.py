"""Whoever changes a catalog at the same time as others loses nothing: one request after the other, in every order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import msgspec
import pytest

from backstream.errors import ConditionNotMet, Failed, Unavailable
from backstream.model.tables.naming import Naming
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.setup.settings import refresh
from backstream.ports import ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault.log.segments import Codec
from kit.clock import ManualClock
from kit.stage import Stage
from kit.watched import WatchedStore

Step = Callable[[ObjectStore], object]


class Stepped:
    """Runs jobs on one store so that their puts of a catalog come in a chosen order, each held until it is its turn.

    `order`: whose turn it is, by number; once it is used up, everybody goes on.
    """

    def __init__(self, store: ObjectStore, order: Sequence[int]) -> None:
        self._store = store
        self._order = list(order)
        self._turn = threading.Condition()
        self._over: set[int] = set()
        self.failures: list[BaseException] = []

    def run(self, jobs: Sequence[Step]) -> None:
        threads = [threading.Thread(target=self._run, args=(number, job)) for number, job in enumerate(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
            assert not thread.is_alive()
        assert not self.failures, self.failures

    def _run(self, number: int, job: Step) -> None:
        try:
            job(WatchedStore(self._store, before_write=lambda name: self._wait(number, name)))
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.failures.append(error)
        with self._turn:
            self._over.add(number)
            self._turn.notify_all()

    def _wait(self, number: int, name: str) -> None:
        if not name.endswith("catalog.json"):
            return
        with self._turn:
            assert self._turn.wait_for(lambda: self._is_next(number), 10)
            if self._order:
                self._order.pop(0)
            self._turn.notify_all()

    def _is_next(self, number: int) -> bool:
        while self._order and self._order[0] in self._over:
            self._order.pop(0)
        return not self._order or self._order[0] == number


JOBS: dict[str, Callable[[Stage], Step]] = {
    "naming": lambda stage: lambda store: init(store, stage.table, InitOptions(naming=Naming.PLAIN)),
    "compression": lambda stage: lambda store: init(store, stage.table, InitOptions(compress=Codec.GZIP)),
    "tags": lambda stage: lambda store: refresh(store, stage.table),
}


@pytest.mark.parametrize("order", [*itertools.permutations((0, 1, 2)), (0, 0, 1, 2), (2, 1, 1, 0)])
def test_two_inits_and_a_tail_lose_nothing(order: Sequence[int]) -> None:
    stage = Stage(ManualClock(1_795_406_400.0))
    stage.table.tags["team"] = "tower"
    Stepped(stage.store, order).run([job(stage) for job in JOBS.values()])
    found = stage.vault().catalog
    assert (found.naming, found.compress) == (Naming.PLAIN, Codec.GZIP)
    assert catalogs.settings_of(found).tags == {"team": "tower"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_first_inits_of_a_table_become_one_after_the_other(order: Sequence[int]) -> None:
    stage = Stage(ManualClock(1_795_406_400.0))
    from_memory = stage.table
    store = type(stage.store)(stage.clock)  # type: ignore[call-arg]
    reports = []
    Stepped(store, order).run(
        [
            lambda store: reports.append(init(store, from_memory, InitOptions(naming=Naming.PLAIN))),
            lambda store: reports.append(init(store, from_memory, InitOptions(compress=Codec.GZIP))),
        ]
    )
    found = catalogs.load(store, "flights")
    assert (found.naming, found.compress) == (Naming.PLAIN, Codec.GZIP)
    assert [report.created for report in reports].count(True) == 1


def test_a_change_that_is_made_already_writes_nothing() -> None:
    stage = Stage(ManualClock(1_795_406_400.0))
    before = len(list(stage.store.versions("_backstream/flights/catalog.json")))
    catalogs.change(stage.store, "flights", msgspec.structs.replace)
    assert len(list(stage.store.versions("_backstream/flights/catalog.json"))) == before


class Restless(WatchedStore):
    """Somebody always comes in between."""

    def put(self, *_: object, **__: object) -> str:
        raise ConditionNotMet("as told")


def test_a_catalog_that_is_changed_all_the_time_is_told() -> None:
    stage = Stage(ManualClock(1_795_406_400.0))
    for change in (
        lambda: init(Restless(stage.store), stage.table, InitOptions(naming=Naming.PLAIN)),
        lambda: catalogs.change(Restless(stage.store), "flights", lambda each: msgspec.structs.replace(each, tenant_attribute="t")),
    ):
        with pytest.raises(Unavailable, match="changed by others all the time"):
            change()
    assert stage.vault().catalog.naming is Naming.SHA256


def test_what_the_server_cannot_promise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(ManualClock(1_795_406_400.0))

    def put(*_: object, **words: object) -> str:
        raise Failed("the server ignores If-Match" if words.get("if_match") else "not conditional")

    monkeypatch.setattr(stage.store, "put", put)
    with pytest.raises(Failed, match="ignores If-Match"):
        init(stage.store, stage.table, InitOptions(naming=Naming.PLAIN))
