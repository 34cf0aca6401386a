"""Dumps by older tools as the source of `restore`, `diff`, `migrate` and `backfill`, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.ports import Delete
from kit.scene import Scene

GOLDEN = Path(__file__).parent.parent / "golden" / "older-dumps"
ID = KeySchema(KeyAttribute("id", "S"))


def test_a_dump_in_every_command(scene: Scene) -> None:
    """The same three items everywhere; what differs, what is missing and what cannot be read has its exit code."""
    scene.schema = ID
    scene.create()
    shutil.copytree(GOLDEN, scene.folder / "dumps")
    for name in ("hive-text", "emr-json", "ion"):
        ran = scene.call("diff", scene.table, "--from-file", f"dumps/{name}", "--patience", "0", "--json")
        assert (ran.code, ran.json()["missing"]) == (3, 3), ran.err
        restored = scene.call("restore", scene.table, "--from-file", f"dumps/{name}", "--in-place", "--yes", "--json")
        assert (restored.code, restored.json()["put"]) == (0, 3), restored.err
        ran = scene.call("diff", scene.table, "--from-file", f"dumps/{name}", "--patience", "0", "--json")
        assert (ran.code, ran.json()["same"]) == (0, 3), ran.err
        scene.write([Delete(key) for key in scene.items()])

    (scene.folder / "one.py").write_text("def migrate(item):\n    item['seen'] = 1\n    return item\n")
    assert scene.call("restore", scene.table, "--from-file", "dumps/ion", "--in-place", "--yes").code == 0
    ran = scene.call("migrate", scene.table, "one.py", "--from-snapshot", "dumps/emr-json", "--json")
    assert (ran.code, ran.json()["scanned"], ran.json()["changed"]) == (0, 3, 3), (ran.err, ran.out)

    scene.call("init", scene.table, "--enable-stream")
    words = ("backfill", scene.table, "--from-export", "dumps/emr-json")
    untold = scene.call(*words)
    assert (untold.code, "--read-between" in untold.err) == (2, True)
    between = ("--read-between", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    for written in (3, 0):
        ran = scene.call(*words, *between, "--json")
        assert (ran.code, ran.json()["rows"], ran.json()["written"]) == (0, 3, written), ran.err

    broken = scene.folder / "dumps" / "emr-json" / "7d1be1a2-9e60-4f43-8f15-6b0d3c2a9b02"
    broken.write_text(json.dumps({"id": {"s": "a"}}) + "\n" + json.dumps({"no": {"s": "a"}}))
    named = f"{broken.name}, line 2"
    for command in (
        ("restore", scene.table, "--from-file", "dumps/emr-json", "--key-schema", "id:S", "--to", f"{scene.table}-new"),
        ("diff", scene.table, "--from-file", "dumps/emr-json"),
        ("migrate", scene.table, "one.py", "--from-snapshot", "dumps/emr-json"),
        (*words, *between),
    ):
        ran = scene.call(*command)
        assert (ran.code, named in ran.err) == (1, True), ran.err
    broken.unlink()
    ran = scene.call("restore", scene.table, "--from-file", "dumps/emr-json", "--in-place", "--yes")
    assert (ran.code, "is missing" in ran.err, "--allow-gap" in ran.err) == (4, True, True)


ITEMS = [f'{{"id":{{"S":"row-{number}"}},"note":{{"S":"of {number}"}}}}'.encode() for number in range(3)]
BETWEEN = ("--read-between", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")


def written_by_others(folder: Path, table: str) -> None:
    """The same items as dynamodump and ImportTable have them."""
    rows = [json.loads(each) for each in ITEMS]
    old = folder / "dynamodump" / table
    (old / "data").mkdir(parents=True)
    described = {
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    (old / "schema.json").write_text(json.dumps({"Table": described}))
    (old / "data" / "0001.json").write_text(json.dumps({"Items": rows, "Count": 3, "ScannedCount": 3}))
    lines = ["id;note", *(f"{each['id']['S']};{each['note']['S']}" for each in rows)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")


def test_every_other_source_in_every_command(scene: Scene) -> None:
    """Dumps, lines and snapshots of Backstream, dynamodump's folders and CSV, in `diff`, `migrate` and `backfill`."""
    scene.schema = ID
    scene.create()
    scene.put(*ITEMS)
    scene.call("init", scene.table, "--enable-stream")
    assert scene.call("dump", scene.table, "--to", "./dump").code == 0
    for command in (
        ("restore", scene.table, "--from-file", "dump", "--to-file", "lines.json"),
        ("backfill", scene.table),
        ("snapshot", scene.table, "--at", "now", "--to", "./snapshot"),
    ):
        ran = scene.call(*command)
        assert ran.code == 0, ran.err
    snapshot = str(next((scene.folder / "snapshot").rglob("manifest-summary.json")).parent)
    written_by_others(scene.folder, scene.table)
    (scene.folder / "one.py").write_text("def migrate(item):\n    item['seen'] = 1\n    return item\n")
    semicolons = ("--csv-delimiter", "semicolon")
    sources: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
        ("dump", (), ()),
        ("lines.json", (), BETWEEN),
        (snapshot, (), ()),
        ("dynamodump", (), BETWEEN),
        ("rows.csv", semicolons, BETWEEN),
    ]
    for source, csv, between in sources:
        ran = scene.call("diff", scene.table, "--from-file", source, *csv, "--patience", "0", "--json")
        assert (ran.code, ran.json()["same"], source) == (0, 3, source), ran.err
        ran = scene.call("migrate", scene.table, "one.py", "--from-snapshot", source, *csv, "--json")
        assert (ran.code, ran.json()["scanned"], ran.json()["changed"], source) == (0, 3, 3, source), ran.err
        ran = scene.call("backfill", scene.table, "--from-export", source, *csv, *between, "--json")
        assert (ran.code, ran.json()["rows"], source) == (0, 3, source), ran.err

    ran = scene.call(
        "migrate", scene.table, "one.py", "--from-snapshot", "rows.csv", *semicolons, "--live", "--without-undo", "--json"
    )
    assert (ran.code, ran.json()["changed"]) == (0, 3), ran.err
    assert all(b'"seen"' in image for image in scene.items().values())
    (journal,) = scene.folder.glob(f"*{ran.json()['migration']}*")
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])  # as a kill at the beginning leaves it
    again = scene.call("migrate", scene.table, "--resume", ran.json()["migration"], "--json")
    assert (again.code, again.json()["scanned"]) == (1, 3), again.err  # it reads the CSV again; the rows differ by now
    for without in (["migrate", scene.table, "one.py"], ["diff", scene.table, scene.table], ["backfill", scene.table]):
        for words in (semicolons, ("--csv-columns", "id,note"), ("--no-checksums",)):
            ran = scene.call(*without, *words)
            assert (ran.code, f"{words[0]}: there are no files" in ran.err) == (2, True), ran.err
