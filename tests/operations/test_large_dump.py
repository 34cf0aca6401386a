"""A Data Pipeline dump of 100,000 items, restored whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest
from backstream.operations.restore.from_file import KeysFrom, restore_held
from backstream.stores.folder import FolderFiles
from backstream.tables.memory import MemoryTable
from backstream.vault.dumps.opening import OpenOptions, open_held
from kit.clock import ManualClock

pytestmark = pytest.mark.soak

ITEMS, FILES = 100_000, 20
SCHEMA = KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "N"))


def attributes(number: int) -> dict[str, Any]:
    """An item of every type, in DynamoDB JSON."""
    return {
        "id": {"S": f"flight \u2708 {number % 997}"},
        "at": {"N": str(number)},
        "price": {"N": f"{number}.50"},
        "seal": {"B": "AAH/"},
        "late": {"BOOL": number % 2 == 0},
        "gate": {"NULL": True},
        "stops": {"SS": ["EWR", f"F{number}"]},
        "fares": {"NS": ["1E+100", str(number)]},
        "seals": {"BS": ["AQ=="]},
        "crew": {"L": [{"M": {"name": {"S": f"n{number}"}}}, {"L": []}]},
    }


def older(value: Any) -> Any:
    """The same with the letters of emr-dynamodb-tools."""
    ((kind, inner),) = value.items()
    if kind == "M":
        inner = {name: older(each) for name, each in inner.items()}
    if kind == "L":
        inner = [older(each) for each in inner]
    return {kind.lower(): inner}


def test_a_data_pipeline_dump_of_100_000_items(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    for file in range(FILES):
        lines = (
            json.dumps({name: older(each) for name, each in attributes(number).items()}) for number in range(file, ITEMS, FILES)
        )
        (folder / f"part-{file:05d}.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    entries = [{"url": f"s3://dumps/flights/{each.name}", "mandatory": True} for each in sorted(folder.iterdir())]
    (folder / "manifest").write_text(json.dumps({"name": "DynamoDB-export", "version": 3, "entries": entries}))
    (folder / "_SUCCESS").touch()
    clock = ManualClock(2_000_000_000)
    table = MemoryTable("new", clock)
    around = RestoreContext(lambda _: table, clock, tmp_path)
    held = open_held(
        folder.as_uri(), lambda url: FolderFiles(Path(url.removeprefix("file://"))), OpenOptions("flights", clock.now())
    )
    request = RestoreRequest(at=0, target=NewTable("new"))
    report = restore_held(held, "flights", request, around, LocalEngine, KeysFrom(SCHEMA))
    assert (report.put, report.failed) == (ITEMS, 0)
    found = {wire.key_of(SCHEMA, image): image for page in table.scan() for image in page}
    assert len(found) == ITEMS
    for number in range(ITEMS):
        wanted = wire.encode(attributes(number))
        assert json.loads(found[wire.key_of(SCHEMA, wanted)]) == attributes(number)
