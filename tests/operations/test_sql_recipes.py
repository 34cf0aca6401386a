"""The recipes of docs/sql.md, run as they stand: the questions by `sql`, and the log in place by DuckDB."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import duckdb

from backstream.model import moment
from backstream.ports import Put
from backstream.stores.memory import MemoryStore
from kit import big_vault, images
from kit.clock import ManualClock
from kit.stage import Stage
from operations.test_sql import asked, reading_of

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
QUESTION, IN_PLACE, ATHENA = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
AS_JSON, AS_LINES = IN_PLACE.split("\n\n")
CHANGES = 40


def statuses(stage: Stage, number: int, *statuses: str) -> None:
    for status in statuses:
        stage.table.write([Put(images.image("z", number, tenant={"S": "t1"}, status={"S": status}))])
        stage.clock.sleep(1)


def test_the_first_question_counts_new_statuses_by_tenant() -> None:
    stage = Stage(ManualClock(int(time.time()) - 600))
    statuses(stage, 1, "new", "paid", "sent")
    statuses(stage, 2, "new", "paid")
    stage.follow()
    found = asked(reading_of(stage.vault(), stage.clock), QUESTION)
    assert sorted((each["tenant"], each["new_status"], each["orders"]) for each in found) == [("t1", "paid", 2), ("t1", "sent", 1)]


def in_place(recipe: str, folder: Path) -> list[tuple[Any, ...]]:
    """What DuckDB answers in the folder that holds the log, about the hour of the changes."""
    day, hour = moment.day_and_hour(big_vault.FIRST)
    text = recipe.replace("'2026-11-23'", f"'{day}'").replace("'04'", f"'{hour}'").replace("total.N", "version.N")
    with duckdb.connect() as database:
        return database.execute(text.replace("'log/", f"'{folder}/_backstream/big/log/")).fetchall()


def test_duckdb_reads_the_log_where_it_lies(tmp_path: Path) -> None:
    store = MemoryStore(ManualClock(big_vault.BEGAN - 60))
    big_vault.fill(big_vault.vault_in(store), 10, CHANGES)
    for info in store.list("_backstream/big/log/"):
        path = tmp_path / info.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(info.name).body)
    found = in_place(AS_JSON, tmp_path)
    assert sorted(int(each[2]) for each in found) == [*range(1, CHANGES + 1)]
    assert {each[1] for each in found} == {"MODIFY"}
    assert all(each[0].startswith("flight-") for each in found)
    lines = [each[0] for each in in_place(AS_LINES, tmp_path)]
    images_there = {json.dumps(json.loads(each)["NewImage"]) for each in lines}
    assert len(lines) == CHANGES
    assert any('caf\\u00e9 \\/ \\"quoted\\"' in each for each in lines), "every byte"
    assert len(images_there) == CHANGES
