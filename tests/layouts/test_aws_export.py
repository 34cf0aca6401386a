"""AWS's export format: what is documented is read and written, and nothing damaged is taken for whole.

`tests/golden/aws-export/` holds one export of each kind, made by hand from the documented fields: the full one with keys from the
export's root and `.md5` files, the incremental one with keys from the bucket's root and `.checksum` files, since AWS shows both.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged, NotFound, UsageError
from backstream.model.values import wire
from backstream.stores.folder import FolderFiles
from backstream.vault.aws_export import Export, ExportWriter, NetChange, lines, manifests
from backstream.vault.log.segments import Codec
from kit.exports import md5, plain, seal
from kit.images import hard_images
from kit.strategies import ITEMS, Item

GOLDEN = Path(__file__).parent.parent / "golden" / "aws-export"
FULL = "01700000000000-0a1b2c3d"
INCREMENTAL = "01700086400000-4e5f6a7b"
FIRST = "a4kx2mzq5u7wfr3hbn6tdyj2ce.json.gz"  # of the full export's data files: two items


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A copy of the full export, to be damaged: its own folder."""
    shutil.copytree(GOLDEN / "full", tmp_path / "full")
    return tmp_path / "full" / "AWSDynamoDB" / FULL


def read(folder: Path) -> list[bytes]:
    """All items of the export in this folder."""
    export = Export.open(FolderFiles(folder.parent.parent), folder.name)
    return [image for file in export.files for image in export.images(file)]


# --- what is documented -----------------------------------------------------------------------------------------------------------


def test_a_full_export() -> None:
    export = Export.open(FolderFiles(GOLDEN / "full"), FULL)
    summary = export.summary
    assert not summary.incremental
    assert (summary.export_time, summary.item_count) == ("2023-11-14T22:00:00.000Z", 3)
    assert summary.table_arn.endswith(":table/flights")
    assert [file.item_count for file in export.files] == [2, 1, 0], "an empty partition has an empty file"
    images = [image for file in export.files for image in export.images(file)]
    assert images[0] == (
        b'{"id":{"S":"LH400"},"seats":{"N":"364"},"fares":{"NS":["1E+100","-0.50","12345678901234567890123456789012345678"]}}'
    )
    assert [json.loads(image)["id"]["S"] for image in images] == ["LH400", "LH402", "LH404"]


def test_an_incremental_export() -> None:
    export = Export.open(FolderFiles(GOLDEN / "incremental"), INCREMENTAL)
    assert export.summary.incremental
    assert (export.summary.export_from_time, export.summary.export_to_time) == (
        "2023-11-14T22:00:00.000Z",
        "2023-11-15T22:00:00.000Z",
    )
    assert [change for file in export.files for change in export.changes(file)] == [
        NetChange(
            1_700_003_600_123_456,
            b'{"id":{"S":"LH400"}}',
            b'{"id":{"S":"LH400"},"seats":{"N":"364"}}',
            b'{"id":{"S":"LH400"},"seats":{"N":"365"}}',
        ),
        NetChange(1_700_003_601_000_000, b'{"id":{"S":"LH406"}}', None, b'{"id":{"S":"LH406"},"seats":{"N":"210"}}'),
        NetChange(1_700_003_602_999_999, b'{"id":{"S":"LH404"}}', b'{"id":{"S":"LH404"},"seats":{"N":"180"}}', None),
    ]


@pytest.mark.parametrize(("kind", "export_id"), [("full", FULL), ("incremental", INCREMENTAL)])
def test_manifests_are_written_as_they_were_read(kind: str, export_id: str) -> None:
    folder = GOLDEN / kind / "AWSDynamoDB" / export_id
    summary, files = ((folder / name).read_bytes() for name in ("manifest-summary.json", "manifest-files.json"))
    assert manifests.encode_summary(manifests.decode_summary(summary)) == summary
    assert manifests.encode_files(manifests.decode_files(files)) == files


def test_aws_own_example_of_a_checksum() -> None:
    """The documentation's MD5 and ETag are of one file: the ETag of a one-part upload is the MD5 of the bytes' MD5."""
    digest = b"\xb1\x03\x12\xa4\x42\x0b\x36\x0a\x10\x99\xaa\xef\x0c\x5a\x27\x19"
    assert msgspec.json.decode(b'"sQMSpEILNgoQmarvDFonGQ=="', type=bytes) == digest
    assert manifests.etag(digest) == "af83d6f217c19b8b0fff8023d8ca4716"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("AWSDynamoDB/1-a/data/x.json.gz", "AWSDynamoDB/1-a/data/x.json.gz"),
        ("some/prefix/AWSDynamoDB/data/x.json.gz", "AWSDynamoDB/data/x.json.gz"),
        ("AWSDynamoDB/AWSDynamoDB/data/x.json.gz", "AWSDynamoDB/data/x.json.gz"),
        ("elsewhere/x.json.gz", "elsewhere/x.json.gz"),
    ],
)
def test_keys_are_found_from_the_exports_own_root(key: str, name: str) -> None:
    assert manifests.below_root(key) == name


def test_fields_that_aws_may_add_or_leave_out_are_no_error(full: Path) -> None:
    summary = full / "manifest-summary.json"
    fields = json.loads(summary.read_text())
    for name in ("s3SseKmsKeyId", "s3Prefix", "billedSizeBytes"):
        del fields[name]
    summary.write_text(json.dumps({**fields, "exportType": "FULL_EXPORT", "somethingNew": {"a": 1}}, indent=3))
    (full / "manifest-summary.md5").write_text(md5(summary.read_bytes()) + "\n")
    assert len(read(full)) == 3


# --- lines ------------------------------------------------------------------------------------------------------------------------


@given(ITEMS)
def test_a_line_holds_any_item_byte_for_byte(item: Item) -> None:
    image = wire.encode(item)
    line = lines.item_line(image)
    assert line.count(b"\n") == 1
    assert lines.read_item(line) == image


@given(st.binary())
def test_no_bytes_make_a_reader_fail_otherwise(line: bytes) -> None:
    for reader in (lines.read_item, lines.read_change):
        with pytest.raises(Damaged):
            reader(line)


@pytest.mark.parametrize("codec", Codec)
def test_files_are_cut_where_they_are_full(tmp_path: Path, codec: Codec) -> None:
    writer = ExportWriter(FolderFiles(tmp_path), "1-a", codec, file_bytes=1_000)
    images = list(hard_images().values())
    for image in images:
        writer.add(image)
    writer.close()
    files = sorted((tmp_path / "AWSDynamoDB" / "1-a" / "data").iterdir())
    assert [file.data_file_s3_key for file in writer.files] == [f"AWSDynamoDB/1-a/data/{path.name}" for path in files]
    bodies = [plain(path.name, path.read_bytes()) for path in files]
    assert b"".join(bodies) == b"".join(map(lines.item_line, images))
    assert all(len(body) >= 1_000 for body in bodies[:-1])
    assert all(len(body) - len(body.splitlines(keepends=True)[-1]) < 1_000 for body in bodies)
    assert (writer.items, writer.bytes) == (len(images), sum(path.stat().st_size for path in files))


# --- damage -----------------------------------------------------------------------------------------------------------------------


def data(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Alter the first data file, checksums and all."""
    path = folder / "data" / FIRST
    path.write_bytes(change(path.read_bytes()))
    seal(folder, FIRST)


def one_line(body: bytes) -> bytes:
    return gzip.compress(gzip.decompress(body).split(b"\n")[0] + b"\n")


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a data file is missing": (lambda folder: (folder / "data" / FIRST).unlink(), FIRST, "missing"),
    "a data file was altered": (lambda folder: (folder / "data" / FIRST).write_bytes(b"x"), FIRST, "MD5"),
    "gzip is cut": (lambda folder: data(folder, lambda body: body[:-12]), FIRST, "cut or altered"),
    "gzip is cut within its header": (lambda folder: data(folder, lambda body: body[:5]), FIRST, "cut or altered"),
    "no gzip": (lambda folder: data(folder, lambda _: b"plain text"), FIRST, "cut or altered"),
    "gzip's own checksum is wrong": (lambda folder: data(folder, lambda body: body[:-8] + bytes(8)), FIRST, "cut or altered"),
    "gzip is altered inside": (
        lambda folder: data(folder, lambda body: body[:20] + b"\xff" * 9 + body[29:]),
        FIRST,
        "cut or altered",
    ),
    "a line is not JSON": (
        lambda folder: data(
            folder, lambda body: gzip.compress(gzip.decompress(body).replace(b'{"Item":{"id":{"S":"LH402"', b"oops"))
        ),
        f"{FIRST}, line 2",
        "not a line of a full export",
    ),
    "a line is no item": (
        lambda folder: data(folder, lambda _: gzip.compress(b'{"Item":5}\n{"Item":{}}\n')),
        f"{FIRST}, line 1",
        "no JSON object",
    ),
    "a line is missing": (lambda folder: data(folder, one_line), FIRST, "it holds 1 items, manifest-files.json says 2"),
    "an empty object": (lambda folder: data(folder, lambda _: b""), FIRST, "it holds 0 items"),
    "the counts differ": (lambda folder: seal(folder, FIRST, itemCount=4), "manifest-files.json", "says 4"),
    "the summary is no JSON": (
        lambda folder: [
            (folder / "manifest-summary.json").write_text("{"),
            (folder / "manifest-summary.md5").write_text(md5(b"{")),
        ],
        "manifest-summary.json",
        "not an export's summary",
    ),
    "the summary was altered": (
        lambda folder: (folder / "manifest-summary.json").write_text("{}"),
        "manifest-summary.json",
        "checksum file",
    ),
    "the list of files was cut": (
        lambda folder: (folder / "manifest-files.json").write_bytes((folder / "manifest-files.json").read_bytes()[:-50]),
        "manifest-files.json",
        "checksum file",
    ),
    "the list of files is missing": (lambda folder: (folder / "manifest-files.json").unlink(), "manifest-files.json", "missing"),
    "a checksum is missing": (
        lambda folder: (folder / "manifest-files.md5").unlink(),
        "manifest-files.json",
        "checksum file is missing",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_with_its_file(full: Path, case: str) -> None:
    damage, name, word = DAMAGE[case]
    assert len(read(full)) == 3
    damage(full)
    with pytest.raises(Damaged) as caught:
        read(full)
    assert name in caught.value.message
    assert word in caught.value.message


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_zstd_that_is_cut(tmp_path: Path, cut: int) -> None:
    writer = ExportWriter(FolderFiles(tmp_path), "1-a", Codec.ZSTD)
    for image in hard_images().values():
        writer.add(image)
    writer.close()
    (file,) = writer.files
    path = tmp_path / file.data_file_s3_key
    path.write_bytes(path.read_bytes()[:-cut])
    altered = msgspec.structs.replace(file, md5_checksum=md5(path.read_bytes()))
    summary = Export.open(FolderFiles(GOLDEN / "full"), FULL).summary
    with pytest.raises(Damaged, match=path.name):
        list(Export(FolderFiles(tmp_path), summary, [altered]).images(altered))


def test_an_export_without_its_summary_is_not_complete(full: Path) -> None:
    (full / "manifest-summary.json").unlink()
    with pytest.raises(NotFound, match="not complete"):
        read(full)
    with pytest.raises(NotFound):
        read(full.with_name("no-such-export"))


def test_an_export_in_another_format_is_refused(full: Path) -> None:
    seal(full, FIRST, outputFormat="ION")
    with pytest.raises(UsageError, match="ION"):
        read(full)
