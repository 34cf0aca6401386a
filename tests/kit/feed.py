"""Changes whose times a test controls, brought into a vault as a Lambda function would, and the state they make at every second."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.memory import Memory
from backstream.model.changes.change import MICROS, Change
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.operations.capture.batch import keep_batch
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore, Put
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.dictmodel import DictModel
from kit.images import SCHEMA
from kit.records import lambda_record

BATCH = 1_000


def small_engine() -> LocalEngine:
    """An engine of little memory, without processes."""
    return LocalEngine(Memory(64 << 20))


class Feed:
    """Makes changes of one table, remembers them in `model`, and delivers them. `began`: since when the vault knows all."""

    def __init__(
        self,
        store: ObjectStore,
        table: str,
        *,
        began: int,
        schema: KeySchema = SCHEMA,
        layout: Layout = Layout.ROWS,
        naming: Naming = Naming.SHA256,
        tenant_attribute: str | None = None,
        empty: bool = True,
        owner: tuple[str, str, str] | None = None,
    ) -> None:
        """`owner`: the table's account, region and id, where they matter."""
        self.store = store
        self.model = DictModel()
        self._now: dict[bytes, bytes] = {}
        self._waiting: list[Change] = []
        self._numbers = itertools.count(10**24)
        self._clock = ManualClock(began)
        self._table = MemoryTable(table, self._clock, schema)
        if owner is not None:
            self._table.account, self._table.region, self._table.id = owner
        self._table.enable_stream()
        if not empty:
            self._table.write([Put(_any_item(schema))])
        self.catalog = self._init(InitOptions(layout=layout, naming=naming, tenant_attribute=tenant_attribute))
        self.arn = self.catalog.stream_arn
        self.label = self.catalog.stream

    def _init(self, words: InitOptions) -> Catalog:
        return init(self.store, self._table, words).catalog

    @property
    def vault(self) -> TableVault:
        """What it fills."""
        return TableVault(self.store, self.catalog, engines=small_engine)

    def keep_as(
        self,
        *,
        layout: Layout | None = None,
        naming: Naming | None = None,
        tenant_attribute: str | None = None,
        actor_attribute: str | None = None,
    ) -> None:
        """From now on changes are kept in another way, as `init` with other words says."""
        words = InitOptions(layout=layout, naming=naming, tenant_attribute=tenant_attribute, actor_attribute=actor_attribute)
        self.catalog = self._init(words)

    def put(self, second: int, *images: bytes) -> None:
        """These items were written in that second."""
        for image in images:
            self._change(second, wire.key_of(self.catalog.key_schema, image), image)

    def delete(self, second: int, *keys: bytes) -> None:
        """The items of these keys were deleted in that second."""
        for key in keys:
            self._change(second, wire.key_of(self.catalog.key_schema, key), None)

    def _change(self, second: int, key: bytes, image: bytes | None) -> None:
        old = self._now.pop(key, None)
        if image is not None:
            self._now[key] = image
        number = next(self._numbers)
        self._waiting.append(
            Change(
                stream=self.label,
                sequence=str(number),
                micros=second * MICROS,
                event="REMOVE" if image is None else "INSERT" if old is None else "MODIFY",
                event_id=f"{number:x}",
                actor=None,
                keys=key,
                old=old,
                new=image,
            )
        )
        self.model.set(second, key, image)

    def take(self) -> list[Change]:
        """What has not been delivered, for the test to deliver or to lose."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def deliver(self, changes: Sequence[Change] | None = None, *, now: float | None = None) -> None:
        """Bring changes into the vault, those that wait by default."""
        wanted = self.take() if changes is None else changes
        with ThreadPoolExecutor(8) as pool:
            for start in range(0, len(wanted), BATCH):
                records = [lambda_record(change, self.arn) for change in wanted[start : start + BATCH]]
                report = keep_batch(
                    self.vault, records, self.label, pool, writer="test", kind=SegmentKind.LAMBDA, now=lambda: now or time.time()
                )
                assert not report.failures

    def reached(self, second: int) -> None:
        """All changes up to that second have been delivered."""
        self.vault.log.write_mark(self.label, second, writer="test")


def _any_item(schema: KeySchema) -> bytes:
    texts = {"S": "there before", "N": "0", "B": "AA=="}
    return wire.encode({each.name: {each.type: texts[each.type]} for each in schema.attributes})
