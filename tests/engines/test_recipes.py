"""The recipes of docs/vault.md, run as they stand over a table whose keys look like something else, or differ in case alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import zstandard

from backstream.operations.base.backfill import BackfillContext, backfill
from backstream.operations.base.backfill.scan import TableScan
from backstream.ports import Put
from kit import images
from kit.clock import ManualClock
from kit.stage import Stage

PAGE = (Path(__file__).parents[2] / "docs" / "vault.md").read_text()
NEWEST, MISSING, WITH_BASE = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TIMES = ("2026-11-23T04:15:05Z", "2026-11-23T04:15:05.000Z", "2026-11-23T04:15:05.0000001Z", "2026-11-23T06:15:05+02:00")
UUIDS = ("6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff")
ZONES = (*TIMES, *UUIDS, "1e3", "1000", "true", "null")
ROUNDS = 3


class Written:
    """A vault's files in a folder: each key was written `ROUNDS` times; `begin` and `base`: of the base backup in between."""

    def __init__(self, folder: Path) -> None:
        stage = Stage(ManualClock())
        for number in range(ROUNDS):
            for zone in ZONES:
                stage.table.write([Put(images.image(zone, 1, Name={"S": "a"}, name={"N": str(number)}))])
            stage.follow(until_caught_up=True)
            if number == 1:
                scan = TableScan(stage.table, images.SCHEMA, stage.clock, segments=2)
                self.base = backfill(stage.vault(), scan, BackfillContext(stage.clock)).id
            stage.clock.sleep(60)
        self.begin = stage.vault().bases.complete()[0].begin
        root = "_backstream/flights/"
        for each in stage.store.list(root):
            path = folder / each.name.removeprefix(root)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stage.store.get(each.name).body)
        self.folder = folder

    def ask(self, recipe: str) -> list[tuple[Any, ...]]:
        """The answer of DuckDB, asked in the folder."""
        with contextlib.chdir(self.folder), duckdb.connect() as database:
            return database.sql(recipe.replace("ID/", f"{self.base}/").replace("BEGIN", str(self.begin * 10**6))).fetchall()

    def segments(self) -> Sequence[Path]:
        """The log's segments that hold changes."""
        return [path for path in sorted(self.folder.glob("log/**/*.zst")) if self.lines(path)]

    def lines(self, path: Path) -> list[Any]:
        """The lines of a segment."""
        return [msgspec.json.decode(line) for line in zstandard.decompress(path.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A vault."""
    return Written(tmp_path_factory.mktemp("vault"))


def zones(answer: Sequence[tuple[Any, ...]]) -> list[str]:
    """The hash keys in an answer, each as often as it stands there."""
    return sorted(msgspec.json.decode(row[0])["zone"]["S"] for row in answer)


@pytest.mark.parametrize("recipe", [NEWEST, WITH_BASE], ids=["the log", "with a base backup"])
def test_the_newest_change_of_each_key(written: Written, recipe: str) -> None:
    found = written.ask(recipe)
    assert zones(found) == sorted(ZONES)
    newest: dict[str, int] = {}
    for line in (line for path in written.segments() for line in written.lines(path)):
        zone = line["Keys"]["zone"]["S"]
        newest[zone] = max(newest.get(zone, 0), int(line["Metadata"]["SequenceNumber"]["S"]))
    told = {msgspec.json.decode(keys)["zone"]["S"]: int(msgspec.json.decode(line)["SequenceNumber"]["S"]) for keys, line in found}
    assert told == newest


def test_a_missing_change_of_each_key(written: Written) -> None:
    assert written.ask(MISSING) == []
    middle = [path for path in written.segments() if written.lines(path)[0].get("OldImage", {}).get("name") == {"N": "0"}]
    kept = {path: path.read_bytes() for path in middle}
    for path in middle:
        path.unlink()
    assert zones(written.ask(MISSING)) == sorted(ZONES)
    for path, body in kept.items():
        path.write_bytes(body)
