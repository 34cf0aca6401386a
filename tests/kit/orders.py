"""A shop's orders and a bad release, as a person would look at them: for the browser's test and for the docs' pictures."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec

from backstream.apps.library import Vault
from backstream.model import moment
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.drill import Difference, Drill, DrillDifference, Side
from backstream.operations.inspect.check import Finding, FindingKind
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Delete, Put
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.drills import FAILED, PASSED
from kit.served import StageConfig
from kit.stage import Stage

SCHEMA = KeySchema(KeyAttribute("order", "S"))
BEGAN = 1_795_402_800.0  # 2026-11-23T03:00:00Z
SHOPS = ("Kyoto", "Lisbon", "Oslo", "Quito")
GOODS = ("lamp", "kettle", "notebook", "umbrella", "bicycle bell")


class Orders(Stage):
    """`begun`, `ended`: the bad release's window; `good`: the rows just before it; `kept`: orders that customers changed since."""

    def __init__(self, folder: Path | None = None) -> None:
        self.clock = self.machine = self.time = clock = ManualClock(BEGAN)
        self.table = MemoryTable("orders", clock, SCHEMA, shards=2)
        self.table.enable_stream()
        self.store = MemoryStore(clock) if folder is None else DirectoryStore(folder, clock)
        self.streams = self.stream
        self.model = []
        self.notices = []
        self._versions = 0
        self._random = random.Random(7)
        self._rows: dict[str, dict[str, object]] = {}
        init(self.store, self.table, InitOptions(layout=Layout.LOG))
        self._night()

    def config(self) -> StageConfig:
        """Its parts."""
        return StageConfig(self.store, self.clock, {"orders": self.table})

    def scanned(self) -> dict[str, dict[str, object]]:
        """All rows of the table: an independent look."""
        rows = [wire.decode(image) for page in self.table.scan(0, 1) for image in page]
        return {str(each["order"]["S"]): dict(each) for each in rows}

    def _night(self) -> None:
        for number in range(60):
            self._write(f"2026-{number:04d}", status="placed", shop=SHOPS[number % 4], item=GOODS[number % 5], total=9 + number)
            self.time.move(3)
        for _ in range(60):
            name = self._random.choice(list(self._rows))
            self._write(name, status=self._random.choice(("paid", "packed", "shipped")), by=self._random.choice(("ana", "ben")))
            self.time.move(self._random.choice((2, 5, 11)))
        self.follow()
        self.time.move(120)
        self.good, self.begun = self.scanned(), int(self.time.now())
        self.time.move(1)
        for number in range(5, 29):
            self._write(f"2026-{number:04d}", status="null", total=0, by="release-481")
            self.time.move(number % 2)
        for number in range(30, 34):
            self.table.write([Delete(json.dumps({"order": {"S": f"2026-{number:04d}"}}).encode())])
        self._write("trial-1", status="test", shop="Oslo", item="lamp", total=1)
        self.ended = int(self.time.now())
        self.time.move(60)
        self.follow()
        self._write("2026-0040", status="delivered", by="ana")
        self._write("2026-0006", note="please ring twice", by_customer=1)
        self.kept = self.scanned()
        self.time.move(60)
        self.follow()
        self._drills()
        Vault(self.config()).define_group("shop", ["orders"])
        self.time.move(30)

    def _write(self, name: str, **fields: object) -> None:
        row = self._rows.setdefault(name, {"order": name}) | fields
        self._rows[name] = row
        typed = {each: {"N": str(value)} if isinstance(value, int) else {"S": str(value)} for each, value in row.items()}
        self.table.write([Put(msgspec.json.encode(typed))])

    def _drills(self) -> None:
        drills = self.vault().drills
        for number, (rpo, rto) in enumerate(((8.0, 41.0), (11.0, 44.0), (7.5, 39.0), (240.0, None), (9.0, 46.0))):
            began = BEGAN + 60 * (number + 1)
            passed = rto is not None
            held = msgspec.structs.replace(
                PASSED if passed else _failed(),
                table="orders",
                id=f"d{number}",
                began=moment.iso(began),
                at=moment.iso(began - 30),
                rows=60,
                differences=0 if passed else 3,
                matched=60 if passed else 57,
                rpo_seconds=rpo,
                rto_seconds=rto,
            )
            drills.keep(held.id, began, msgspec.json.encode(held))


def _failed() -> Drill:
    """A drill that found three orders wrong, as it tells them."""
    wrong = [("2026-0012", "paid"), ("2026-0031", "placed"), ("2026-0044", "packed")]
    differing = [
        Difference(
            msgspec.Raw(_typed(order=name)), DrillDifference.MISSING, Side.SCRATCH, msgspec.Raw(_typed(order=name, status=status))
        )
        for name, status in wrong
    ]
    return msgspec.structs.replace(
        FAILED,
        reasons=["3 rows are not in the restored table"],
        differing=differing,
        failures=[],
        failed=0,
        warnings=["the live table was not compared: the moment is more than 15 minutes old"],
        live=None,
        hint="backstream check orders --read-data",
        findings=[Finding(FindingKind.MISSING, "_backstream/orders/log/dt=2026-11-23/hour=03/", "a segment is missing")],
    )


def _typed(**fields: str) -> bytes:
    """An item of strings in DynamoDB JSON."""
    return msgspec.json.encode({name: {"S": value} for name, value in fields.items()})
