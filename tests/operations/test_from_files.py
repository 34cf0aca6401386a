"""`restore --from-file`: this tool's own dumps, lines of items, snapshots, and exports by AWS, full and with incremental ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Damaged, NotFound, Refused, UsageError
from backstream.model import moment
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.base.dump import ScanOptions, dump
from backstream.operations.restore import InPlace, NewTable, RestoreContext, Restored, RestoreRequest, ToFile
from backstream.operations.restore.from_file import KeysFrom, restore_held
from backstream.ports import Put
from backstream.stores.folder import FolderFiles
from backstream.tables.memory import MemoryTable
from backstream.vault.dumps.opening import OpenOptions, open_held
from kit import images
from kit.clock import ManualClock
from kit.exports import md5, seal
from kit.scene import Scene, file_items, same

GOLDEN = Path(__file__).parent.parent / "golden" / "aws-export"
FULL, INCREMENTAL = "01700000000000-0a1b2c3d", "01700086400000-4e5f6a7b"
ID = KeySchema(KeyAttribute("id", "S"))
HARD = {wire.key_of(images.SCHEMA, image): image for image in images.hard_images().values()}
BOTH_ENDS = {"full": "2023-11-14T22:00:00Z", "incremental": "2023-11-15T22:00:00Z"}
WITHIN = "2023-11-15T03:00:00Z"


class Bench:
    """Live tables, and what a restore from files stands in."""

    def __init__(self, folder: Path, schema: KeySchema = ID) -> None:
        self.clock = ManualClock(1_701_000_000)
        self.folder = folder
        self.schema = schema
        self.tables = {"flights": MemoryTable("flights", self.clock, schema), "new": MemoryTable("new", self.clock)}

    def restore(
        self, path: Path, target: Any, at: str | None = None, keys: KeysFrom | None = None, *, checksums: bool = True, **words: Any
    ) -> Restored:
        """`restore flights --from-file`."""
        around = RestoreContext(lambda name: self.tables[name], self.clock, self.folder)
        second = None if at is None else moment.parse_iso_micros(at) // 10**6
        opening = OpenOptions("flights", self.clock.now(), second, checksums=checksums)
        held = open_held(path.as_uri(), lambda url: FolderFiles(Path(url.removeprefix("file://"))), opening)
        return restore_held(held, "flights", RestoreRequest(at=0, target=target, **words), around, LocalEngine, keys)

    def items(self, name: str = "new") -> dict[bytes, bytes]:
        """Every item of a table."""
        return {wire.key_of(self.schema, image): image for page in self.tables[name].scan() for image in page}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Tables of the golden exports."""
    return Bench(tmp_path)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Both golden exports in one folder, as they lie in a bucket."""
    for each in ("full", "incremental"):
        shutil.copytree(GOLDEN / each, tmp_path / "bucket", dirs_exist_ok=True)
    return tmp_path / "bucket" / "AWSDynamoDB"


def seats(items: Mapping[bytes, bytes]) -> dict[str, str | None]:
    """The seats of each flight."""
    decoded = [json.loads(image) for image in items.values()]
    return {each["id"]["S"]: each.get("seats", {}).get("N") for each in decoded}


AT_FULL = {"LH400": "364", "LH402": None, "LH404": None}
AT_END = {"LH400": "365", "LH402": None, "LH406": "210"}


# --- own dumps and lines ----------------------------------------------------------------------------------------------------------


def test_own_dump_and_its_lines_into_every_target(tmp_path: Path) -> None:
    """A dump tells its keys and settings. A file of lines needs them, and holds the same items, byte for byte."""
    bench = Bench(tmp_path, images.SCHEMA)
    for image in HARD.values():
        bench.tables["flights"].write([Put(image)])
    dump(bench.tables["flights"], FolderFiles(tmp_path / "dump"), ScanOptions(segments=3), bench.clock)
    report = bench.restore(tmp_path / "dump", NewTable("new"))
    assert (report.put, report.failed) == (len(HARD), 0)
    assert bench.items() == HARD

    lines = tmp_path / "lines.json"
    assert bench.restore(tmp_path / "dump", ToFile(lines)).put == len(HARD)
    assert file_items(lines) == HARD
    with pytest.raises(UsageError, match="does not tell the keys") as told:
        bench.restore(lines, ToFile(tmp_path / "again.json"))
    assert "--key-schema" in told.value.hint
    assert "--like" in told.value.hint
    assert bench.restore(lines, ToFile(tmp_path / "again.json"), keys=KeysFrom(images.SCHEMA)).put == len(HARD)
    assert file_items(tmp_path / "again.json") == HARD
    assert bench.restore(lines, InPlace()).unchanged == len(HARD), "the table itself tells its keys"


def test_like_gives_keys_and_settings(tmp_path: Path) -> None:
    bench = Bench(tmp_path, images.SCHEMA)
    bench.tables["live"] = MemoryTable("live", bench.clock, images.SCHEMA)
    (tmp_path / "a.json").write_bytes(b"".join(b'{"Item":' + image + b"}\n" for image in HARD.values()))
    assert bench.restore(tmp_path / "a.json", NewTable("new"), keys=KeysFrom(like="live")).put == len(HARD)
    assert bench.items() == HARD
    with pytest.raises(UsageError, match="is not the key"):
        bench.restore(tmp_path / "a.json", ToFile(tmp_path / "b"), keys=KeysFrom(ID, "live"))


def test_the_last_of_two_lines_with_one_key_counts(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"Item":{"id":{"S":"a"},"v":{"N":"1"}}}\n' * 5_000 + b'{"Item":{"id":{"S":"a"},"v":{"N":"2"}}}\n')
    report = bench.restore(path, NewTable("new"), keys=KeysFrom(ID))
    assert list(bench.items().values()) == [b'{"id":{"S":"a"},"v":{"N":"2"}}']
    assert "5,000 items have the key of a later one" in " ".join(report.warnings)


def test_a_dump_that_is_not_whole(bench: Bench, tmp_path: Path) -> None:
    dump(bench.tables["flights"], FolderFiles(tmp_path / "dump"), ScanOptions(segments=1), bench.clock)
    manifest = tmp_path / "dump" / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "items": 7}))
    with pytest.raises(Damaged, match=r"manifest\.json: its files hold 0 items, and it says 7"):
        bench.restore(tmp_path / "dump", NewTable("new"))
    manifest.unlink()
    with pytest.raises(NotFound, match="it is not whole"):
        bench.restore(tmp_path / "dump", NewTable("new"))
    with pytest.raises(NotFound, match="there is nothing at"):
        bench.restore(tmp_path / "nowhere", NewTable("new"))


# --- exports by AWS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["its URL", "the folder AWSDynamoDB", "the folder above", "copied alone"])
def test_a_full_export(bench: Bench, exports: Path, tmp_path: Path, form: str) -> None:
    """Named in any way, into a new table."""
    alone = tmp_path / "copied"
    shutil.copytree(exports / FULL, alone)
    at = BOTH_ENDS["full"]
    path, moment_ = {
        "its URL": (exports / FULL, None),
        "the folder AWSDynamoDB": (exports, at),
        "the folder above": (exports.parent, at),
        "copied alone": (alone, None),
    }[form]
    report = bench.restore(path, NewTable("new"), moment_, KeysFrom(ID))
    assert (report.put, report.failed, report.at) == (3, 0, "2023-11-14T22:00:00Z")
    assert seats(bench.items()) == AT_FULL


@pytest.mark.parametrize("at", [None, BOTH_ENDS["incremental"], "2023-11-15T21:59:59Z"])
def test_a_full_export_with_an_incremental_one(bench: Bench, exports: Path, at: str | None) -> None:
    """Up to its end, which is exclusive: a deleted item is deleted from the table, a row that no export knows is left alone."""
    for flight in ("LH404", "LH999"):
        bench.tables["flights"].write([Put(b'{"id":{"S":"%s"}}' % flight.encode())])
    report = bench.restore(exports, InPlace(), at)
    assert (report.put, report.deleted, report.failed) == (3, 1, 0)
    assert seats(bench.items("flights")) == {**AT_END, "LH999": None}
    assert report.at == "2023-11-15T22:00:00Z"


def test_a_moment_within_a_window_is_not_known(bench: Bench, exports: Path) -> None:
    with pytest.raises(Refused, match=r"lead to 2023-11-14T22:00:00Z, not to 2023-11-15T03:00:00Z; .* 2023-11-15T22:00:00Z"):
        bench.restore(exports, NewTable("new"), WITHIN, KeysFrom(ID))
    report = bench.restore(exports, NewTable("new"), WITHIN, KeysFrom(ID), allow_gap=True)
    assert seats(bench.items()) == AT_FULL
    assert any("not to 2023-11-15T03:00:00Z" in each for each in report.warnings)


def altered(folder: Path, **fields: Any) -> None:
    """Another summary, with the right checksum."""
    summary = folder / "manifest-summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), **fields}))
    for each in folder.glob("manifest-summary.*5"):
        each.write_text(md5(summary.read_bytes()))
    for each in folder.glob("manifest-summary.checksum"):
        each.write_text(md5(summary.read_bytes()))


REFUSED: list[tuple[str, dict[str, Any], type[BackstreamError], str]] = [
    (INCREMENTAL, {"exportFromTime": "2023-11-14T23:00:00.000Z"}, Refused, "lead to 2023-11-14T22:00:00Z, not to"),
    (INCREMENTAL, {"tableId": "another"}, Refused, "lead to 2023-11-14T22:00:00Z, not to"),
    (FULL, {"exportTime": "2023-11-16T22:00:00.000Z"}, Refused, "the earliest full export of flights"),
    (FULL, {"tableArn": "arn:aws:dynamodb:eu-central-1:111122223333:table/other"}, NotFound, "are all incremental"),
    (INCREMENTAL, {"exportToTime": None}, Damaged, "no usable exportToTime"),
    (FULL, {"itemCount": 4}, Damaged, "its files hold 3 items, manifest-summary.json says 4"),
]


@pytest.mark.parametrize(("which", "fields", "error", "words"), REFUSED, ids=[str(each[1]) for each in REFUSED])
def test_exports_that_do_not_lead_there(
    bench: Bench, exports: Path, which: str, fields: dict[str, Any], error: type[BackstreamError], words: str
) -> None:
    altered(exports / which, **fields)
    with pytest.raises(error, match=words):
        bench.restore(exports, NewTable("new"), BOTH_ENDS["incremental"], KeysFrom(ID))


def test_an_incremental_export_alone(bench: Bench, exports: Path) -> None:
    with pytest.raises(UsageError, match="holds changes, not items"):
        bench.restore(exports / INCREMENTAL, NewTable("new"), None, KeysFrom(ID))


def test_an_unfinished_export_is_passed_over(bench: Bench, exports: Path) -> None:
    (exports / INCREMENTAL / "manifest-summary.json").unlink()
    bench.restore(exports, NewTable("new"), None, KeysFrom(ID))
    assert seats(bench.items()) == AT_FULL
    (exports / FULL / "manifest-summary.json").unlink()
    with pytest.raises(Refused, match=r"no export in .* is complete"):
        bench.restore(exports, NewTable("new"), None, KeysFrom(ID))


def test_without_checksum_files(bench: Bench, exports: Path) -> None:
    """Refused as a rule. With --no-checksums the counts are still checked, and so is every checksum that is there."""
    for each in [*exports.rglob("*.md5"), *exports.rglob("*.checksum")]:
        each.unlink()
    with pytest.raises(Damaged, match="checksum file is missing") as told:
        bench.restore(exports / FULL, NewTable("new"), None, KeysFrom(ID))
    assert "--no-checksums" in told.value.hint
    bench.restore(exports, NewTable("new"), None, KeysFrom(ID), checksums=False)
    assert seats(bench.items()) == AT_END
    files = exports / FULL / "manifest-files.json"
    rows = [json.loads(line) for line in files.read_text().splitlines()]
    files.write_text("".join(json.dumps({**row, "md5Checksum": None, "etag": None}) + "\n" for row in rows))
    assert bench.restore(exports / FULL, InPlace(), None, checksums=False).put == 3
    files.write_text("".join(json.dumps({**row, "md5Checksum": None, "itemCount": 1}) + "\n" for row in rows))
    altered(exports / FULL, itemCount=3)
    with pytest.raises(Damaged, match=r"a4kx2mzq5u7wfr3hbn6tdyj2ce\.json\.gz: it holds more than the 1 items"):
        bench.restore(exports / FULL, InPlace(), None, checksums=False)


NULLS = ("exportType", "exportFromTime", "exportToTime", "outputView", "billedSizeBytes", "tableId", "s3Bucket", "s3SseAlgorithm")


def test_a_null_in_a_summary_counts_as_absent(bench: Bench, exports: Path) -> None:
    """Each alone, and a field that is needed is named."""
    seal(exports / FULL, "", **dict.fromkeys(NULLS))
    assert bench.restore(exports / FULL, NewTable("new"), None, KeysFrom(ID)).put == 3
    seal(exports / FULL, "", itemCount=None)
    with pytest.raises(Damaged, match="not an export's summary"):
        bench.restore(exports / FULL, NewTable("new"), None, KeysFrom(ID))


def test_another_table(bench: Bench, exports: Path) -> None:
    altered(exports / FULL, tableArn="arn:aws:dynamodb:eu-central-1:111122223333:table/other")
    with pytest.raises(Refused, match="holds the table other, not flights"):
        bench.restore(exports / FULL, InPlace())
    assert bench.restore(exports / FULL, InPlace(), into_another=True).put == 3


def test_the_command(scene: Scene, exports: Path) -> None:
    """From exports in a bucket or folder that no vault knows: exit codes and messages."""
    none = {"BACKSTREAM_VAULT": ""}
    new = f"{scene.table}-new"
    words = ("restore", "flights", "--from-file", str(exports))
    ran = scene.call(*words, "--to", new, environment=none)
    assert (ran.code, "--key-schema id:S" in ran.err) == (2, True)
    ran = scene.call(*words, "--at", WITHIN, "--key-schema", "id:S", "--to", new, environment=none)
    assert (ran.code, "not to 2023-11-15T03:00:00Z" in ran.err) == (4, True)
    ran = scene.call(*words, "--key-schema", "id:S", "--to", new, "--json", environment=none)
    assert ran.code == 0, ran.err
    assert ran.json()["put"] == 3
    found = [image for page in scene.live(new).scan() for image in page]
    assert seats({image: image for image in found}) == AT_END
    lines = exports.parent / "lines.json"
    assert scene.call(*words, "--like", new, "--to-file", str(lines), environment=none).code == 0
    again = scene.call("restore", new, "--from-file", str(lines), "--in-place", "--yes", "--json", environment=none)
    assert (again.code, again.json()["unchanged"]) == (0, 3)
    assert scene.call("restore", new, "--from-file", str(lines), "--at", "now", "--in-place", "--yes", environment=none).code == 2
    assert scene.call("restore", new, "--at", "now", "--like", "x", "--to", "y").code == 2
    assert same(file_items(lines, ID), {wire.key_of(ID, image): image for image in found})
