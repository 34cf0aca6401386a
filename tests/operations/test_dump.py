"""`dump`: every item, byte for byte, in files that others read; half a dump never looks done."""

from __future__ import annotations

import gzip
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Damaged, Failed, NotFound, Refused, TargetNotEmpty, Unavailable
from backstream.model.values import wire
from backstream.operations.base.dump import Dumped, ScanOptions, dump
from backstream.ports import Delete, Files, Put, ScanPage, TableFacts
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.dumps.dumps import Compression, Dump, DumpWriter
from kit.clock import ManualClock
from kit.exports import files_below, import_table, objects_below
from kit.faulty_store import FaultyStore
from kit.images import SCHEMA, hard_images, image, key
from kit.proxy import FaultProxy, Hold, after, answer, every, pass_on
from kit.scene import Scene

BEGAN = 1_700_000_000
THROTTLED = '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}'
TOOLS: dict[Compression, Sequence[str]] = {
    Compression.GZIP: ("gzip", "-dc"),
    Compression.ZSTD: ("zstd", "-dcq"),
    Compression.NONE: ("cat",),
}


def filled(*images: bytes, **words: Any) -> MemoryTable:
    table = MemoryTable("flights", ManualClock(BEGAN), SCHEMA, **words)
    for each in images:
        table.write([Put(each)])
    return table


def dumped(table: Any, to: Files, clock: Any = None, *, compress: Compression = Compression.GZIP, **reading: Any) -> Dumped:
    return dump(table, to, ScanOptions(**reading), clock or ManualClock(BEGAN), compress=compress)


def read_back(store: Files) -> dict[bytes, bytes]:
    """A dump's items, by canonical key, through this tool's reader; each must be there once."""
    whole = Dump.open(store)
    images = [each for file in whole.manifest.files for each in whole.images(file)]
    assert len(images) == whole.manifest.items
    found = {wire.key_of(SCHEMA, each): each for each in images}
    assert len(found) == len(images)
    return found


def by_key(images: Sequence[bytes]) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, each): each for each in images}


# --- what it holds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", Compression)
def test_every_hard_item_once_byte_for_byte_and_for_the_standard_tools(tmp_path: Path, compress: Compression) -> None:
    images = [*hard_images().values(), *(image("row", number) for number in range(500))]
    report = dumped(filled(*images), FolderFiles(tmp_path / "out"), compress=compress, segments=3)
    assert (report.items, report.files, report.segments, report.consistent) == (len(images), 3, 3, True)
    assert read_back(FolderFiles(tmp_path / "out")) == by_key(images)
    files = sorted((tmp_path / "out" / "data").iterdir())
    ends = {Compression.GZIP: ".json.gz", Compression.ZSTD: ".json.zst", Compression.NONE: ".json"}[compress]
    assert [file.name for file in files] == [f"{segment:04d}-00000001{ends}" for segment in range(3)]
    plain = [subprocess.run([*TOOLS[compress], file], check=True, capture_output=True).stdout for file in files]
    assert sorted(b"".join(plain).split(b"\n")[:-1]) == sorted(b'{"Item":' + each + b"}" for each in images)
    assert report.bytes == sum(file.stat().st_size for file in files)
    how = "format='newline_delimited', columns={Item: 'JSON'}, maximum_object_size=4194304"
    query = f"SELECT count(*) FROM read_json(?, {how})"
    assert duckdb.execute(query, [str(tmp_path / "out" / "data" / f"*{ends}")]).fetchone() == (len(images),)


def test_the_manifest_says_what_it_is(tmp_path: Path) -> None:
    table = filled(image("a", 1), image("b", 1))
    report = dumped(table, FolderFiles(tmp_path))
    manifest = msgspec.json.decode((tmp_path / "manifest.json").read_bytes())
    assert "not the table's state at any one moment" in manifest.pop("what")
    assert any("one moment" in warning for warning in report.warnings)
    files = manifest.pop("files")
    assert sum(each["itemCount"] for each in files) == 2
    assert all((tmp_path / each["dataFileS3Key"]).exists() for each in files)
    assert msgspec.json.decode(msgspec.json.encode(manifest.pop("description")))["TableName"] == "flights"
    assert manifest == {
        "format": 1,
        "id": report.id,
        "table": "flights",
        "table_arn": table.facts().arn,
        "table_id": table.facts().table_id,
        "key_schema": {"hash": {"name": "zone", "type": "S"}, "range": {"name": "number", "type": "N"}},
        "began": "2023-11-14T22:13:20Z",
        "ended": "2023-11-14T22:13:21Z",
        "consistent": True,
        "compression": "gzip",
        "items": 2,
        "bytes": report.bytes,
    }


def test_parts_are_of_bounded_size_and_the_manifest_comes_last() -> None:
    store = FaultyStore(MemoryStore(ManualClock(BEGAN)))
    writer = DumpWriter(store, "one", Compression.NONE, 2, part_bytes=2_000)
    writer.start()
    images = [image("row", number) for number in range(300)]
    for number in range(2):
        segment = writer.segment(number)
        for each in images[number::2]:
            segment.add(each)
        segment.flush()
    writer.finish()
    assert store.puts[0] == "_started"
    assert len(writer.files) > 6
    assert all(len(store.get(each.name).body) <= 2_100 for each in writer.files)
    assert sum(each.item_count for each in writer.files) == writer.items == 300
    report = dumped(filled(*images), fresh := FaultyStore(MemoryStore(ManualClock(BEGAN))))
    assert fresh.puts[-1] == "manifest.json"
    assert report.items == 300


def test_a_table_that_is_empty_is_one_empty_file(tmp_path: Path) -> None:
    report = dumped(filled(), FolderFiles(tmp_path))
    assert (report.items, report.files) == (0, 1)
    (file,) = (tmp_path / "data").iterdir()
    assert gzip.decompress(file.read_bytes()) == b""
    assert read_back(FolderFiles(tmp_path)) == {}


def test_what_is_damaged_later_is_seen(tmp_path: Path) -> None:
    dumped(filled(image("a", 1)), FolderFiles(tmp_path), compress=Compression.NONE)
    (file,) = (tmp_path / "data").iterdir()
    file.write_bytes(file.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(Damaged, match=file.name):
        read_back(FolderFiles(tmp_path))


# --- the budget -------------------------------------------------------------------------------------------------------------------


def test_the_read_budget_holds_and_eventual_reads_are_half_the_price(tmp_path: Path) -> None:
    images = [image("row", number, text={"S": "x" * 7_000}) for number in range(200)]  # two units each
    took = {}
    for consistent in (True, False):
        clock = ManualClock(BEGAN)
        report = dumped(
            filled(*images), FolderFiles(tmp_path / str(consistent)), clock, segments=2, max_units=40.0, consistent=consistent
        )
        took[consistent] = report.read_units
        assert report.read_units / (clock.now() - BEGAN) < 40 * 1.15
        assert read_back(FolderFiles(tmp_path / str(consistent))) == by_key(images)
    assert took[True] == pytest.approx(400, rel=0.02)
    assert took[False] == pytest.approx(200, rel=0.02)


# --- half a dump ------------------------------------------------------------------------------------------------------------------


def test_a_place_that_holds_a_dump_or_half_of_one_is_refused(tmp_path: Path) -> None:
    dumped(filled(image("a", 1)), FolderFiles(tmp_path))
    before = files_below(tmp_path)
    with pytest.raises(TargetNotEmpty, match="holds a dump already"):
        dumped(filled(image("b", 1)), FolderFiles(tmp_path))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(TargetNotEmpty, match="interrupted"):
        dumped(filled(image("b", 1)), FolderFiles(tmp_path))
    del before["manifest.json"]
    assert files_below(tmp_path) == before


def test_a_part_that_cannot_be_written_ends_it_without_a_manifest() -> None:
    store = FaultyStore(MemoryStore(ManualClock(BEGAN)), lambda name: name.startswith("data/0001"))
    with pytest.raises(Unavailable):
        dumped(filled(*(image("row", number) for number in range(300))), store)
    with pytest.raises(NotFound, match="not whole"):
        Dump.open(store)


def test_two_dumps_into_one_place_are_neither_of_them_whole() -> None:
    store = MemoryStore(ManualClock(BEGAN))
    table = Meanwhile(filled(image("a", 1)), lambda: store.put("_started", b"another's"))
    with pytest.raises(Failed, match="another dump was begun"):
        dumped(table, store, segments=1)
    with pytest.raises(NotFound):
        Dump.open(store)


class Meanwhile:
    """A table to which something happens while its first page is read."""

    def __init__(self, table: MemoryTable, deed: Any, **facts: Any) -> None:
        self._table = table
        self._deed = deed
        self._facts = facts
        self._began = False

    def page(self, *words: Any, **more: Any) -> ScanPage:
        if not self._began:
            self._began = True
            self._deed()
        return self._table.page(*words, **more)

    def facts(self) -> TableFacts:
        return msgspec.structs.replace(self._table.facts(), **(self._facts if self._began else {}))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_a_table_that_was_made_anew_meanwhile_is_no_dump() -> None:
    store = MemoryStore(ManualClock(BEGAN))
    with pytest.raises(Failed, match="deleted and created again"):
        dumped(Meanwhile(filled(image("a", 1)), lambda: None, table_id="another"), store)
    with pytest.raises(NotFound):
        Dump.open(store)


def test_a_table_that_is_not_active_is_refused(tmp_path: Path) -> None:
    table = Meanwhile(filled(), lambda: None, status="CREATING")
    table.page(0, 1, None)
    with pytest.raises(Refused, match="CREATING"):
        dumped(table, FolderFiles(tmp_path))
    assert files_below(tmp_path) == {}


# --- the command ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", ["gzip", "none"])
def test_import_table_makes_the_same_table_of_it(scene: Scene, compress: str, dynamodb: FaultProxy) -> None:
    scene.create()
    # The embedded server's own import breaks lines at U+2028; see test_every_hard_item_once_byte_for_byte.
    hard = [each for each in hard_images().values() if "\u2028".encode() not in each]
    scene.put(*hard)
    dynamodb.on(answer(400, THROTTLED), operation="Scan", when=every(2))
    to = f"s3://{scene.bucket}/copies/flights"
    ran = scene.call("dump", scene.table, "--to", to, "--compress", compress, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["table"], report["url"], report["items"]) == (scene.table, to, len(hard))
    assert report["read_units"] > 0
    assert "one moment" in ran.err
    kind: Any = "GZIP" if compress == "gzip" else "NONE"
    done = import_table(scene.aws, scene.bucket, "copies/flights/data/", f"{scene.table}-2", SCHEMA, kind)
    assert done["ImportStatus"] == "COMPLETED", done
    assert scene.items(f"{scene.table}-2") == scene.items()
    assert scene.call("diff", scene.table, f"{scene.table}-2").code == 0
    before = objects_below(scene.aws, scene.bucket, "copies/")
    assert scene.call("dump", scene.table, "--to", to).code == 4
    assert objects_below(scene.aws, scene.bucket, "copies/") == before


def test_words_paths_and_eventual_reads(scene: Scene, dynamodb: FaultProxy) -> None:
    scene.create()
    scene.put(image("a", 1), image("b", 1))
    strong = dynamodb.on(pass_on, operation="Scan", body=rb'"ConsistentRead":\s*true')
    weak = dynamodb.on(pass_on, operation="Scan", body=rb'"ConsistentRead":\s*false')
    ran = scene.call("dump", scene.table, "--to", "here/it is", "--eventual", "--segments", "2", "--compress", "zstd")
    assert (ran.code, strong.matched, weak.matched) == (0, 0, 2), ran.err
    assert "eventually consistent" in ran.out
    assert read_back(FolderFiles(scene.folder / "here/it is")) == scene.items()
    assert scene.call("dump", scene.table, "--to", "here/it is").code == 4
    assert scene.call("dump", scene.table, "--to", "ftp://x/y").code == 2
    assert scene.call("dump", scene.table, "--to", "x", "--segments", "0").code == 2
    assert scene.call("dump", scene.table, "--to", "x", "--max-read-units", "-1").code == 2
    assert scene.call("dump", scene.table, "--to", "x", "--compress", "lzma").code == 2
    assert scene.call("dump", f"{scene.table}-not", "--to", "x").code == 1
    assert not (scene.folder / "x").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_no_manifest(scene: Scene, dynamodb: FaultProxy, number: signal.Signals) -> None:
    scene.create()
    scene.put(*(image("row", each, text={"S": "x" * 3_000}) for each in range(40)))
    hold = Hold()
    dynamodb.on(hold, operation="Scan", when=after(2))
    command = scene.start("dump", scene.table, "--to", "out")
    with hold.caught():
        command.send_signal(number)
    _, err = command.communicate(timeout=240)
    assert command.returncode == 130, err
    assert "not a dump" in err
    assert not (scene.folder / "out" / "manifest.json").exists()
    assert (scene.folder / "out" / "_started").exists()


def test_a_writer_beside_it_loses_no_item_that_stands_still(tmp_path: Path) -> None:
    table = filled(*(image("still", number) for number in range(300)), page_items=10)

    def write() -> None:
        for number in range(50):
            table.write([Put(image("new", number))])
        table.write([Delete(key("still", 0))])

    dump(Meanwhile(table, write), FolderFiles(tmp_path), ScanOptions(segments=2), SystemClock())
    found = read_back(FolderFiles(tmp_path))
    assert by_key([image("still", number) for number in range(1, 300)]).items() <= found.items()
