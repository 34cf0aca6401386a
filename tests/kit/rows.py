"""A table and its vault of rows, and a life of thirty changes, delivered as a test likes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import Change, stream_label
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.batch import keep_batch
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Delete, ObjectStore, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N"))
TENANTS = ("acme", "globex", None)


def item(number: int, text: str, tenant: str | None = None) -> bytes:
    fields = {"number": {"N": str(number)}, "zone": {"S": "a/b"}, "text": {"S": text}}
    return json.dumps(fields | ({} if tenant is None else {"tenant": {"S": tenant}})).encode()


def key(number: int) -> bytes:
    return json.dumps({"zone": {"S": "a/b"}, "number": {"N": str(number)}}).encode()


class Rows:
    """A table and its vault of rows; changes are delivered in batches, each by a writer that remembers nothing."""

    def __init__(self, name: str = "users", store: ObjectStore | None = None, **words: Any) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryStore(self.clock)
        self.table = MemoryTable(name, self.clock, SCHEMA, shards=1)
        self.table.enable_stream()
        init(self.store, self.table, InitOptions(layout=Layout.ROWS, **words))
        self.model: list[tuple[int, bytes, bytes | None]] = []

    @property
    def vault(self) -> TableVault:
        return TableVault.open(self.store, self.table.name, engines=LocalEngine)

    def put(self, number: int, text: str, tenant: str | None = None) -> None:
        image = item(number, text, tenant)
        self.table.write([Put(image)])
        self.model.append((int(self.clock.now()), wire.key_of(SCHEMA, image), image))

    def delete(self, number: int) -> None:
        self.table.write([Delete(key(number))])
        self.model.append((int(self.clock.now()), wire.key_of(SCHEMA, key(number)), None))

    def changes(self) -> Sequence[Change]:
        stream = self.table.stream
        return stream.read("", stream.iterator(stream.facts().shards[0].id, None)).changes

    def deliver(self, changes: Sequence[Change] | None = None) -> None:
        from_stream = [botocore_record(change) for change in (self.changes() if changes is None else changes)]
        with ThreadPoolExecutor(2) as pool:
            report = keep_batch(
                self.vault,
                from_stream,
                stream_label(self.table.stream.arn),
                pool,
                writer="f",
                kind=SegmentKind.PARALLEL,
                now=self.clock.now,
            )
        assert report.failures == {}

    def expected(self, at: int) -> Mapping[bytes, bytes]:
        state = {key: image for second, key, image in self.model if second <= at}
        return {key: image for key, image in state.items() if image is not None}

    def listed(self) -> dict[str, bytes]:
        """What plain S3 tools see: current objects."""
        names = [each.name for each in self.store.list(f"{self.table.name}/")]
        return {name: self.store.get(name).body for name in names}


def botocore_record(change: Change) -> dict[str, object]:
    """The change as a record whose images keep the order of their attributes."""
    images = {"Keys": change.keys, "OldImage": change.old, "NewImage": change.new}
    return {
        "eventName": change.event,
        "eventID": change.event_id,
        "dynamodb": {
            "ApproximateCreationDateTime": change.seconds,
            "SequenceNumber": change.sequence,
            **{name: json.loads(image) for name, image in images.items() if image is not None},
        },
    }


def same(found: Mapping[bytes, bytes], expected: Mapping[bytes, bytes]) -> bool:
    return found.keys() == expected.keys() and all(wire.same_image(found[each], expected[each]) for each in expected)


def state(vault: TableVault, at: int) -> Mapping[bytes, bytes]:
    """Folded from the log, the slow way; images from their objects."""
    found = sorted((entry for listed in vault.log.listing() for entry in vault.log.read(listed)), key=lambda entry: entry.order)
    newest = {vault.key(entry): entry for entry in found if entry.seconds <= at}
    return {each: vault.image(entry) for each, entry in newest.items() if not entry.removed}


def scripted(seed: int, words: Mapping[str, Any]) -> tuple[Rows, random.Random]:
    """A table of four items with a life of thirty changes."""
    source, rows = random.Random(seed), Rows(**words)
    alive: set[int] = set()
    for turn in range(30):
        number = source.randrange(4)
        if number in alive and source.random() < 0.35:
            rows.delete(number)
            alive.remove(number)
        else:
            rows.put(number, f"turn {turn}", source.choice(TENANTS) if "tenant_attribute" in words else None)
            alive.add(number)
        rows.clock.move(source.choice([0, 1, 1800]))
    return rows, source
