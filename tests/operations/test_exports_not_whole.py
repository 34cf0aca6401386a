"""Exports whose manifests say too little or too much, made with a filter, and in Amazon Ion: `restore --from-file`, to its end."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.exports import md5, seal
from kit.scene import Ran, Scene

GOLDEN = Path(__file__).parent.parent / "golden" / "aws-export"
FULL, INCREMENTAL = "01700000000000-0a1b2c3d", "01700086400000-4e5f6a7b"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """The command line alone: neither a server nor a vault is needed."""
    found = Scene.__new__(Scene)
    found.folder, found.url = tmp_path, ""
    found.environment = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
    return found


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Both golden exports in one folder."""
    for each in ("full", "incremental"):
        shutil.copytree(GOLDEN / each, tmp_path / "bucket", dirs_exist_ok=True)
    return tmp_path / "bucket" / "AWSDynamoDB"


def restored(scene: Scene, *words: str) -> tuple[Ran, list[dict[str, Any]]]:
    """A restore to a file, and its items."""
    (scene.folder / "items").unlink(missing_ok=True)
    ran = scene.call("restore", "flights", "--key-schema", "id:S", "--to-file", "items", "--json", "--from-file", *words)
    held = (scene.folder / "items").read_text() if ran.code == 0 else ""
    return ran, [json.loads(line)["Item"] for line in held.splitlines()]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest-files.json").read_text().splitlines()]


def rewrite(folder: Path, rows: list[dict[str, Any]], **summary: Any) -> None:
    (folder / "manifest-files.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for each in folder.glob("*.checksum"):
        each.rename(each.with_suffix(".md5"))
    seal(folder, "", itemCount=sum(row["itemCount"] for row in rows), **summary)


Alter = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
DAMAGED: dict[str, tuple[Alter, str]] = {
    "a file twice": (lambda rows: [*rows, rows[0]], "4kx2mzq5u7wfr3hbn6tdyj2ce.json.gz' 2 times"),
    "a folder": (
        lambda rows: [*rows, {**rows[0], "itemCount": 0, "dataFileS3Key": "AWSDynamoDB/"}],
        "names no file: 'AWSDynamoDB/'",
    ),
    "no name": (lambda rows: [*rows, {**rows[0], "itemCount": 0, "dataFileS3Key": ""}], "names no file: ''"),
    "a file outside": (lambda rows: [*rows, {**rows[0], "dataFileS3Key": "../../../etc/passwd"}], "a name that leads out of it"),
    "counts that fit together alone": (
        lambda rows: [{**rows[0], "itemCount": 1}, {**rows[1], "itemCount": 2}, *rows[2:]],
        "it holds more than the 1 items",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_manifests(scene: Scene, exports: Path, case: str) -> None:
    alter, words = DAMAGED[case]
    rewrite(exports / FULL, alter(rows_of(exports / FULL)))
    ran, _ = restored(scene, str(exports / FULL))
    assert (ran.code, ran.out, words in json.loads(ran.err)["error"]["message"]) == (1, "", True), ran.err


def test_two_files_with_one_key_are_said(scene: Scene, exports: Path) -> None:
    """An export has each item once. A second one is counted, whatever the manifest says."""
    rows = rows_of(exports / FULL)
    again = {**rows[0], "dataFileS3Key": rows[0]["dataFileS3Key"].replace("a4kx", "b4kx")}
    data = exports / FULL / "data"
    shutil.copy(next(data.glob("a4kx*")), data / Path(again["dataFileS3Key"]).name)
    rewrite(exports / FULL, [*rows, again])
    ran, items = restored(scene, str(exports / FULL))
    assert (ran.code, len(items)) == (0, 3)
    assert "2 items have the key of a later one" in " ".join(ran.json()["warnings"])


@pytest.mark.parametrize("name", ["filterSpecification", "FilterSpecification"])
def test_an_export_with_a_filter_is_not_whole(scene: Scene, exports: Path, name: str) -> None:
    """It is refused alone, passed over where another one is, and no link of a chain."""
    filters = {name: {"FilterExpression": "carrier = :c"}}
    rewrite(exports / INCREMENTAL, rows_of(exports / INCREMENTAL), **filters)
    ran, items = restored(scene, str(exports))
    assert (ran.code, ran.json()["at"], len(items)) == (0, "2023-11-14T22:00:00Z", 3), ran.err
    shutil.copytree(exports / FULL, exports / "01700000000009-filtered")
    rewrite(exports / FULL, rows_of(exports / FULL), exportTime="2023-11-15T00:00:00.000Z", **filters)
    ran, _ = restored(scene, str(exports))
    assert (ran.code, ran.json()["at"]) == (0, "2023-11-14T22:00:00Z"), ran.err
    ran, _ = restored(scene, str(exports / FULL))
    assert (ran.code, ran.out, "made with a filter" in ran.err) == (4, "", True), ran.err
    ran, items = restored(scene, str(exports / FULL), "--allow-gap")
    assert (ran.code, len(items), "made with a filter" in " ".join(ran.json()["warnings"])) == (0, 3, True)


def to_ion(folder: Path, lines: dict[str, list[str]], view: str | None = None) -> None:
    """Turn an export into one in Amazon Ion, as AWS writes it: data files `.ion.gz` of text, and `outputFormat`."""
    rows = rows_of(folder)
    for row, (start, texts) in zip(rows, lines.items(), strict=False):
        (old,) = [each for each in folder.parent.rglob("*.json.gz") if each.name.startswith(start)]
        old.unlink()
        new = old.with_name(old.name.replace(".json.gz", ".ion.gz"))
        new.write_bytes(gzip.compress("".join(f"$ion_1_0 {each}\n" for each in texts).encode()))
        key = row["dataFileS3Key"].replace(".json.gz", ".ion.gz")
        row.update(dataFileS3Key=key, md5Checksum=md5(new.read_bytes()), itemCount=len(texts))
    rewrite(folder, rows, outputFormat="ION", **({} if view is None else {"outputView": view}))


FULL_ION = {
    "a4kx": [
        '{Item:{id:"LH400",seats:364.,fares:$dynamodb_NS::[1d100,-0.50,12345678901234567890123456789012345678.],note:"a\\nb"}}',
        '{Item:{id:"LH402",crew:[{badge:{{AAH/}}},null],delayed:false,seals:$dynamodb_BS::[{{AQ==}}],empty:{}}}',
    ],
    "z2vq": ['{Item:{id:"LH404",stops:$dynamodb_SS::["EWR","FRA"]}}'],
}
INCREMENTAL_ION = {
    "q3w6": [
        '{Record:{Metadata:{WriteTimestampMicros:1700003602999999.},Keys:{id:"LH404"},OldImage:{id:"LH404",seats:180.}}}',
        '{Record:{Metadata:{WriteTimestampMicros:1.700003600123456d15},Keys:{id:"LH400"},NewImage:{id:"LH400",seats:365.}}}',
    ],
    "c5gv": ['{Record:{Metadata:{WriteTimestampMicros:1700003601000000},Keys:{id:"LH406"},NewImage:{id:"LH406",seats:210.}}}'],
}


def test_exports_in_ion(scene: Scene, exports: Path) -> None:
    """A full one with an incremental one: every type, and every count and checksum of the manifests."""
    to_ion(exports / FULL, FULL_ION)
    to_ion(exports / INCREMENTAL, INCREMENTAL_ION)
    ran, items = restored(scene, str(exports / FULL))
    assert (ran.code, ran.json()["put"]) == (0, 3), ran.err
    by_id = {each["id"]["S"]: each for each in items}
    numbers = ["1E+100", "-0.50", "12345678901234567890123456789012345678"]
    assert by_id["LH400"] == {"id": {"S": "LH400"}, "seats": {"N": "364"}, "fares": {"NS": numbers}, "note": {"S": "a\nb"}}
    assert by_id["LH402"]["crew"] == {"L": [{"M": {"badge": {"B": "AAH/"}}}, {"NULL": True}]}
    assert (by_id["LH402"]["seals"], by_id["LH402"]["empty"], by_id["LH402"]["delayed"]) == (
        {"BS": ["AQ=="]},
        {"M": {}},
        {"BOOL": False},
    )
    assert by_id["LH404"]["stops"] == {"SS": ["EWR", "FRA"]}

    ran, items = restored(scene, str(exports))
    assert (ran.code, ran.json()["at"]) == (0, "2023-11-15T22:00:00Z"), ran.err
    seats = {each["id"]["S"]: each.get("seats", {}).get("N") for each in items}
    assert seats == {"LH400": "365", "LH402": None, "LH406": "210"}

    (data,) = (exports / FULL / "data").glob("z2vq*")
    data.write_bytes(gzip.compress(b'$ion_1_0 {Item:{id:"LH404",stops:$dynamodb_SS::["EWR"\n'))
    rewrite(exports / FULL, [{**r, **({"md5Checksum": md5(data.read_bytes())} if "z2vq" in r["dataFileS3Key"] else {})}
                             for r in rows_of(exports / FULL)])  # fmt: skip
    ran, _ = restored(scene, str(exports / FULL))
    assert (ran.code, f"{data.name}, line 1: not Amazon Ion" in ran.err) == (1, True), ran.err
