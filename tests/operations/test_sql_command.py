"""`backstream sql`: what it prints and writes, and how it ends."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from kit.images import image, key
from kit.scene import Scene, next_second


@pytest.fixture
def begun(scene: Scene) -> int:
    """Two rows; then one is changed and the other deleted. The second between."""
    scene.create()
    scene.init(layout="log")
    scene.put(image("z", 1, price={"N": "5"}), image("z", 2, price={"N": "6"}))
    begun = next_second()
    next_second()
    scene.put(image("z", 1, price={"N": "0"}, note={"S": "\x1b[31mred"}))
    scene.delete(key("z", 2))
    next_second()
    scene.tail()
    return begun


EVENTS = "SELECT event, count(*) AS n FROM changes GROUP BY ALL ORDER BY event"


def test_queries_forms_and_errors(scene: Scene, begun: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on one vault: making one takes longer than asking."""
    ran = scene.call("sql", scene.table, EVENTS)
    assert ran.code == 0, ran.err
    assert [line.split() for line in ran.out.splitlines()] == [
        ["event", "n"],
        ["------", "-"],
        ["INSERT", "2"],
        ["MODIFY", "1"],
        ["REMOVE", "1"],
    ]
    counts = [{"event": "INSERT", "n": 2}, {"event": "MODIFY", "n": 1}, {"event": "REMOVE", "n": 1}]
    assert scene.call("sql", scene.table, EVENTS, "--json").json() == counts
    assert scene.call("sql", scene.table, "--json", EVENTS).json() == counts
    assert scene.call("sql", "--json", EVENTS).json() == counts, "the only table of the vault"
    assert scene.call("sql", scene.table, "--csv", EVENTS).out == "event,n\r\nINSERT,2\r\nMODIFY,1\r\nREMOVE,1\r\n"

    folder = Path(scene.folder)
    (folder / "query.sql").write_text(EVENTS + ";\n")
    assert scene.call("sql", scene.table, "-f", "query.sql", "--parquet", "out.parquet").code == 0
    assert parquet.read_table(folder / "out.parquet").to_pylist() == counts
    again = scene.call("sql", scene.table, "-f", "query.sql", "--parquet", "out.parquet")
    assert (again.code, "out.parquet is there already" in again.err) == (4, True)

    then = scene.call("sql", scene.table, "SELECT count(*) AS n FROM items", "--at", str(begun), "--json")
    assert then.json() == [{"n": 2}]
    assert scene.call("sql", scene.table, "SELECT count(*) AS n FROM items", "--json").json() == [{"n": 1}]
    assert "\x1b" not in scene.call("sql", scene.table, "SELECT new FROM changes").out

    broken = scene.call("sql", scene.table, "SELECT nothing FROM changes", "--csv", "left.csv")
    assert (broken.code, "LINE 1: SELECT nothing" in broken.err) == (2, True)
    writing = scene.call("sql", scene.table, "DROP VIEW changes")
    assert (writing.code, "only reads" in writing.err) == (4, True)
    assert scene.call("sql", scene.table, "SELECT 1 AS a, 2 AS a", "--json").code == 2
    assert scene.call("sql", scene.table, EVENTS, "-f", "query.sql").code == 2
    assert scene.call("sql", scene.table, EVENTS, "--csv", "--json").code == 2
    assert scene.call("sql", "nobody", EVENTS).code == 1
    assert sorted(each.name for each in folder.iterdir() if each.suffix != ".sql") == ["out.parquet"], "nothing is left half-done"

    monkeypatch.setattr(sys, "stdin", io.StringIO(".schema\nSELECT 1 AS a,\n ';' AS b;\nSELECT 2 AS c"))
    shell = scene.call("sql", scene.table, "--csv")
    assert shell.code == 0, shell.err
    assert "changes  key VARCHAR, stream VARCHAR" in shell.out
    assert shell.out.endswith("a,b\r\n1,;\r\nc\r\n2\r\n")
