"""`export`: random histories through Parquet files and back are the same; the first columns are exact, and typed ones never lie."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Damaged, Failed, PartlyDone, Refused, TargetNotEmpty, UsageError
from backstream.model.columns.schema import ColumnSchema
from backstream.model.values import wire
from backstream.operations.base.compact import compact
from backstream.operations.changes import ChangesContext, ChangeWindow
from backstream.operations.export.restored import restore_export
from backstream.operations.export.run import Exported, ExportOptions, export_changes, export_state
from backstream.operations.restore import RestoreContext, RestoreRequest, ToFile
from backstream.ports import Delete, Put
from backstream.stores.folder import FolderFiles
from backstream.vault.catalog import Layout
from backstream.vault.columns import ColumnStore
from kit import images, wide_items
from kit.clock import ManualClock
from kit.lived import SMALL
from kit.losing import lose
from kit.scene import Scene, next_second
from kit.stage import Stage

SCALES = {"status": 2}


class Life:
    """A random history of a table, in its vault. `moments`: some seconds of it."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.clock = ManualClock()
        self.stage = Stage(self.clock, layout=self.source.choice([Layout.LOG, Layout.ROWS]), shards=2)
        self.begun = int(self.clock.now())
        self.moments: list[int] = []
        self._alive: set[int] = set()
        for _ in range(self.source.randrange(1, 4)):
            self._live()
        if self.source.random() < 0.3:
            self.clock.move(7_200)
            compact(self.stage.vault(), self.clock, memory=SMALL)
        self.clock.move(10)
        self.stage.follow()

    def _live(self) -> None:
        for _ in range(self.source.randrange(12)):
            number = self.source.randrange(5)
            if number in self._alive and self.source.random() < 0.25:
                self.stage.delete([number])
                self._alive.remove(number)
            else:
                image = wide_items.item(self.source, number)
                self.stage.table.write([Put(image)])
                self.stage.model.append((int(self.clock.now()), wire.key_of(images.SCHEMA, image), image))
                self._alive.add(number)
            self.clock.move(self.source.choice([0, 1, 2_000]))
        self.moments.append(int(self.clock.now()))
        self.clock.move(5)
        self.stage.follow()

    def changes(self, since: int, until: int) -> list[tuple[int, str, str | None, str | None]]:
        """What changed, by what was written: second, key, before, after; writes that change nothing leave no record."""
        state, found = dict[bytes, bytes](), list[tuple[int, str, str | None, str | None]]()
        for second, key, new in self.stage.model:
            old = state.pop(key, None)
            if new is not None:
                state[key] = new
            if since < second <= until and old != new:
                found.append((second, key.decode(), None if old is None else old.decode(), None if new is None else new.decode()))
        return found


def around(stage: Stage, folder: Path) -> RestoreContext:
    return RestoreContext(lambda _: stage.table, stage.clock, folder, memory=SMALL)


def state_of(stage: Stage, at: int, folder: Path, options: ExportOptions | None = None) -> Exported:
    return export_state(stage.vault(), at, FolderFiles(folder), around(stage, folder), options or ExportOptions())


def changes_of(stage: Stage, since: int, until: int, folder: Path, options: ExportOptions | None = None) -> Exported:
    span = ChangeWindow(since, until)
    return export_changes(stage.vault(), span, FolderFiles(folder), ChangesContext(stage.clock, SMALL), options or ExportOptions())


def rows_of(folder: Path) -> tuple[pa.Schema, list[dict[str, Any]]]:
    """All rows of an export, read file by file: each file has the whole schema."""
    found, schemas = list[dict[str, Any]](), list[pa.Schema]()
    for file in sorted(folder.rglob("*.parquet")):
        table = pq.ParquetFile(file).read()
        schemas.append(table.schema)
        found += table.to_pylist()
    assert all(each.equals(schemas[0], check_metadata=True) for each in schemas)
    return schemas[0] if schemas else pa.schema([]), found


def typed_of(schema: pa.Schema, row: dict[str, Any]) -> dict[str, Any]:
    """The item that a row's typed columns and its list of NULLs tell, as decoded DynamoDB JSON."""
    found: dict[str, Any] = {name: {"NULL": True} for name in row["_null"]}
    for field in schema:
        if field.metadata and row[field.name] is not None and not pa.types.is_decimal(field.type):
            name, kind = (field.metadata[word].decode() for word in (b"attribute", b"type"))
            assert name not in found
            plain = row[field.name]
            found[name] = {kind: _inner(kind, plain)}
    return found


def _inner(kind: str, plain: Any) -> Any:
    if kind == "B":
        return base64.b64encode(plain).decode()
    return plain if kind in {"S", "N", "BOOL"} else json.loads(plain)


def check(seed: int, folder: Path) -> None:
    """One random history, through files and back."""
    life = Life(seed)
    stage = life.stage
    end = int(stage.clock.now()) - 1
    since, until = life.begun - 1, end
    changes_of(stage, since, until, folder / "all", ExportOptions(SCALES))
    schema, rows = rows_of(folder / "all")
    expected = life.changes(since, until)
    told = [(each["micros"] // 1_000_000, each["key"], each["old"], each["new"]) for each in rows]
    assert sorted(told, key=repr) == sorted(expected, key=repr)
    assert [each["micros"] for each in rows] == sorted(each["micros"] for each in rows)
    for each in rows:
        item = json.loads(each["new"] if each["new"] is not None else each["key"])
        numbers = {name for name, value in item.items() if name in SCALES and "N" in value}
        assert typed_of(schema, each) == {name: value for name, value in item.items() if name not in numbers}
        assert each["note"] is None
    for number, at in enumerate({*life.moments, end}):
        place = folder / f"at-{number}"
        state_of(stage, at, place)
        _, items = rows_of(place)
        state = stage.expected(at)
        assert {each["key"].encode(): each["image"].encode() for each in items} == state
        back = folder / f"back-{number}.json"
        request = RestoreRequest(at=0, target=ToFile(back))
        assert not restore_export(FolderFiles(place), "flights", request, around(stage, folder), LocalEngine).failed
        lines = back.read_bytes().splitlines() if back.exists() else []
        assert sorted(lines) == sorted(b'{"Item":%b}' % image for image in state.values())


@pytest.mark.parametrize("seed", range(8))
def test_a_random_history_through_parquet_and_back_is_the_same(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(100, 2_100, 100))
def test_many_random_histories_through_parquet_and_back_are_the_same(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 100):
        check(seed, tmp_path / str(seed))


# --- columns --------------------------------------------------------------------------------------------------------------------


def lived() -> tuple[Stage, int]:
    """Three items, changed and deleted; the second before."""
    stage = Stage(ManualClock())
    begun = int(stage.clock.now()) - 1
    stage.put([1, 2, 3])
    stage.clock.sleep(1)
    stage.delete([2])
    stage.clock.sleep(10)
    stage.follow()
    return stage, begun


def put(stage: Stage, **attributes: Any) -> None:
    stage.table.write([Put(images.image("z", 9, **attributes))])
    stage.clock.sleep(5)
    stage.follow()


def test_columns_keep_their_names_from_export_to_export_and_new_ones_are_added(tmp_path: Path) -> None:
    stage, begun = lived()
    put(stage, Total={"N": "1"})
    state_of(stage, int(stage.clock.now()) - 1, tmp_path / "one")
    one, _ = rows_of(tmp_path / "one")
    put(stage, total={"N": "2"})
    put(stage, TOTAL={"S": "3"})
    changes_of(stage, begun, int(stage.clock.now()) - 1, tmp_path / "two", ExportOptions({"total": 3}))
    two, rows = rows_of(tmp_path / "two")
    names = [field.name for field in one if field.metadata]
    assert [field.name for field in two if field.metadata][: len(names)] == names
    assert "Total_n" in names
    assert len({field.name.lower() for field in two}) == len(two)
    decimals = [each["total_d3"] for each in rows if each["total_d3"] is not None]
    assert [str(each) for each in decimals] == ["2.000"]
    kept = ColumnStore(stage.store, "flights").load()
    assert [each.name for each in kept.columns] == [field.name for field in two if field.metadata]


def test_a_column_that_others_have_added_meanwhile_keeps_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two exports at once: of twins by case each has seen another one first."""
    stage, _ = lived()
    put(stage, total={"N": "2"}, amount={"N": "1.50"})
    store, keep = ColumnStore(stage.store, "flights"), ColumnStore.keep

    def late(self: ColumnStore, wanted: ColumnSchema) -> ColumnSchema:
        keep(store, ColumnSchema().with_kinds([("TOTAL", "N"), ("total", "N")]))
        return keep(self, wanted)

    monkeypatch.setattr(ColumnStore, "keep", late)
    state_of(stage, int(stage.clock.now()) - 1, tmp_path)
    schema, rows = rows_of(tmp_path)
    (name,) = [field.name for field in schema if field.metadata and field.metadata[b"attribute"] == b"total"]
    assert name not in {"total_n", "TOTAL_n"}
    assert [each[name] for each in rows if each[name] is not None] == ["2"]
    assert [each["amount_n"] for each in rows if each["amount_n"] is not None] == ["1.50"]


def test_what_does_not_fit_a_decimal_is_counted(tmp_path: Path) -> None:
    stage, begun = lived()
    put(stage, total={"N": "1.005"})
    put(stage, total={"N": "1.5"})
    done = changes_of(stage, begun, int(stage.clock.now()) - 1, tmp_path, ExportOptions({"total": 2}))
    _, rows = rows_of(tmp_path)
    assert done.unfit == 1
    assert [(str(each["total_d2"]), each["_unfit"]) for each in rows[-2:]] == [("None", 1), ("1.50", 0)]


def test_a_damaged_schema_of_columns_is_named(tmp_path: Path) -> None:
    stage, _ = lived()
    stage.store.put("_backstream/flights/columns.json", b"{}")
    with pytest.raises(Damaged, match=r"_backstream/flights/columns\.json"):
        state_of(stage, int(stage.clock.now()) - 1, tmp_path)
    assert not list(tmp_path.iterdir())


# --- bad input ------------------------------------------------------------------------------------------------------------------


def spoiled() -> tuple[Stage, int]:
    """A table in the rows layout, one of whose images is gone from the bucket."""
    stage = Stage(ManualClock(), layout=Layout.ROWS)
    begun = int(stage.clock.now()) - 1
    stage.put([1, 2, 3])
    stage.clock.sleep(10)
    stage.follow()
    row = next(each for each in stage.store.versions("flights/"))
    lose(stage.store, row.name, row.version)
    return stage, begun


@pytest.mark.parametrize("kind", ["changes", "state"])
def test_an_image_that_cannot_be_read_is_named_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    stage, begun = spoiled()
    end = int(stage.clock.now()) - 1

    def run(options: ExportOptions) -> Exported:
        if kind == "state":
            return state_of(stage, end, tmp_path / "there", options)
        return changes_of(stage, begun, end, tmp_path / "there", options)

    with pytest.raises(PartlyDone, match=r"images that cannot be read: .*is gone from the bucket") as raised:
        run(ExportOptions())
    assert "--skip-damaged" in raised.value.hint
    assert not (tmp_path / "there").exists()
    done = run(ExportOptions(skip_damaged=True))
    assert len(done.damaged) == 1
    _, rows = rows_of(tmp_path / "there")
    if kind == "changes":
        assert [(each["new"] is None, each["note"] is None) for each in rows].count((True, False)) == 1
        assert len(rows) == 3
    else:
        assert len(rows) == 2
        request = RestoreRequest(at=0, target=ToFile(tmp_path / "back"))
        with pytest.raises(Refused, match="items were left out"):
            restore_export(FolderFiles(tmp_path / "there"), "flights", request, around(stage, tmp_path), LocalEngine)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, begun = lived()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pa.ipc, "new_stream", full)
    with pytest.raises(Failed, match="No space left on device") as raised:
        changes_of(stage, begun, int(stage.clock.now()) - 1, tmp_path / "there")
    assert "TMPDIR" in raised.value.hint
    assert not (tmp_path / "there").exists()


def test_a_place_that_holds_an_export_is_refused(tmp_path: Path) -> None:
    stage, begun = lived()
    end = int(stage.clock.now()) - 1
    changes_of(stage, begun, end, tmp_path)
    with pytest.raises(TargetNotEmpty, match="holds an export already"):
        state_of(stage, end, tmp_path)
    (tmp_path / "_export.json").unlink()
    with pytest.raises(TargetNotEmpty, match="an export that was not finished"):
        state_of(stage, end, tmp_path)


def _cut(folder: Path) -> None:
    file = next(folder.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])


def _lose(folder: Path) -> None:
    next(folder.rglob("*.parquet")).unlink()


def _forget(folder: Path) -> None:
    (folder / "_export.json").unlink()


def _garble(folder: Path) -> None:
    (folder / "_export.json").write_text('{"format":1}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut, "is not the file that was written"),
        (_lose, r"part-00000\.parquet is gone"),
        (_forget, "there is no export, or it is not whole"),
        (_garble, "is not an export's manifest"),
    ],
)
def test_a_spoiled_export_is_not_restored(spoil: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    stage, _ = lived()
    state_of(stage, int(stage.clock.now()) - 1, tmp_path / "there")
    spoil(tmp_path / "there")
    request = RestoreRequest(at=0, target=ToFile(tmp_path / "back"))
    with pytest.raises(BackstreamError, match=words):
        restore_export(FolderFiles(tmp_path / "there"), "flights", request, around(stage, tmp_path), LocalEngine)
    assert not (tmp_path / "back").exists()


def test_changes_are_no_state_and_a_table_is_itself(tmp_path: Path) -> None:
    stage, begun = lived()
    end = int(stage.clock.now()) - 1
    changes_of(stage, begun, end, tmp_path / "changes")
    state_of(stage, end, tmp_path / "state")
    request = RestoreRequest(at=0, target=ToFile(tmp_path / "back"))
    with pytest.raises(UsageError, match="no state can be restored from it"):
        restore_export(FolderFiles(tmp_path / "changes"), "flights", request, around(stage, tmp_path), LocalEngine)
    with pytest.raises(UsageError, match="holds the table flights, not trains"):
        restore_export(FolderFiles(tmp_path / "state"), "trains", request, around(stage, tmp_path), LocalEngine)


# --- the command ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(scene: Scene) -> int:
    """Some rows in a vault; the second before."""
    scene.create()
    scene.init(layout="log")
    begun = next_second() - 1
    scene.put(images.image("z", 1, total={"N": "1.50"}, Total={"S": "x"}), images.image("z", 2, tags={"SS": ["b", "a"]}))
    next_second()
    scene.write([Delete(images.key("z", 2)), Put(images.image("z", 3, total={"NULL": True}))])
    next_second()
    scene.tail()
    return begun


def test_the_command_exports_and_a_restore_brings_it_back(scene: Scene, begun: int, tmp_path: Path) -> None:
    lake = f"file://{tmp_path}/lake"
    ran = scene.call(
        "export", scene.table, "--to", f"{lake}/changes", "--changes", "--from", str(begun), "--to", "1s ago",
        "--scale", "total=2", "--json",
    )  # fmt: skip
    assert (ran.code, ran.json()["rows"], ran.json()["kind"]) == (0, 4, "changes"), ran.err
    files = f"{tmp_path}/lake/changes/**/*.parquet"
    with duckdb.connect() as database:
        found = database.execute("SELECT event, total_d2, len(_null) FROM read_parquet(?)", [files]).fetchall()
    assert sorted((event, str(total), nulls) for event, total, nulls in found) == [
        ("INSERT", "1.50", 0),
        ("INSERT", "None", 0),
        ("INSERT", "None", 1),
        ("REMOVE", "None", 0),
    ]
    ran = scene.call("export", scene.table, "--to", f"{lake}/state", "--at", "1s ago")
    assert ran.code == 0, ran.err
    assert "rows" in ran.out
    ran = scene.call("restore", scene.table, "--from-parquet", f"{lake}/state", "--to", f"{scene.table}-back", "--json")
    assert (ran.code, ran.json()["put"]) == (0, 2), ran.err
    assert scene.items(f"{scene.table}-back") == scene.items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "now"], "choose one place to export to"),
        (["--to", "file:///x"], "choose exactly one of --changes and --at"),
        (["--to", "file:///x", "--changes", "--at", "now"], "choose exactly one of --changes and --at"),
        (["--to", "file:///x", "--changes"], "the beginning of the changes is missing"),
        (["--to", "file:///x", "--at", "now", "--from", "1h ago"], "--at goes without --from"),
        (["--to", "file:///x", "--to", "now", "--at", "now"], "not a URL: 'now'"),
        (["--to", "file:///x", "--at", "now", "--scale", "total"], "not a scale"),
        (["--to", "file:///x", "--at", "now", "--format", "csv"], "csv"),
    ],
)
def test_words_that_make_no_sense_are_refused(scene: Scene, words: list[str], said: str) -> None:
    ran = scene.call("export", "flights", *words)
    assert (ran.code, said in ran.err) == (2, True), ran.err


def test_an_export_of_the_whole_life_needs_no_gap(scene: Scene, begun: int) -> None:
    ran = scene.call("export", scene.table, "--to", "file:///nowhere", "--changes", "--from", str(begun - 86_400))
    assert ran.code == 4
    assert "before the vault's first change" in ran.err
