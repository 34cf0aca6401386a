"""How large things may be: what is larger, nested or without end is Damaged and named, whichever reader comes upon it."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backstream.errors import Damaged, UsageError
from backstream.model.changes import invocation_record
from backstream.model.changes.entry import from_line, states
from backstream.model.values import object_limits, wire
from backstream.stores import dumps
from backstream.stores.directory import DirectoryStore
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog
from backstream.vault.aws_export import DataFile, DataFiles
from backstream.vault.aws_export.manifests import checksum, decode_files, decode_summary
from backstream.vault.bases import Bases
from backstream.vault.dumps.dump_pages import Pages, description_of
from backstream.vault.dumps.dumps import Dump
from backstream.vault.log import segments
from backstream.vault.log.segments import Codec, SegmentHeader
from kit.bombs import DEEP, DIGITS, GIGABYTE, gzip_of, line, zstd_of
from kit.clock import ManualClock

GOOD = b'{"Item":{"id":{"S":"a"}}}\n'


def images(name: str, body: bytes, count: int) -> list[bytes]:
    store = MemoryStore(ManualClock())
    store.put(name, body)
    file = DataFile(item_count=count, md5_checksum=checksum(body), data_file_s3_key=name)
    return list(DataFiles(store).images(file))


@pytest.mark.parametrize(
    ("name", "made"),  # made when the test runs: each worker collects each test
    [
        ("data/a.json.gz", lambda: gzip_of(b"a", GIGABYTE)),
        ("data/a.json.zst", lambda: zstd_of(b"a", GIGABYTE)),
        ("data/a.json.gz", lambda: gzip.compress(b'{"x":%s}\n' % DEEP)),
        ("data/a.json.gz", lambda: gzip_of(GOOD, GIGABYTE)),
        ("data/a.json", lambda: b'{"Item":{"id":{"S":"%s"}}}' % (b"a" * object_limits.LINE)),
    ],
    ids=["gzip, a line", "zstd, a line", "deep", "gzip, true lines", "plain"],
)
def test_a_data_file_that_never_ends_is_named(name: str, made: Callable[[], bytes]) -> None:
    with pytest.raises(Damaged, match="data/a"):
        images(name, made(), 5)


def test_a_data_file_is_read_as_before() -> None:
    for name, body in (("a.json", GOOD * 3), ("a.json.gz", gzip.compress(GOOD * 3)), ("a.zst", Codec.ZSTD.compress(GOOD * 3))):
        assert images(name, body, 3) == [b'{"id":{"S":"a"}}'] * 3
    assert images("a.json", b"", 0) == []


@pytest.mark.parametrize("inner", [DEEP, DIGITS, b'"' + b"a" * 10])
def test_documents_that_are_none(inner: bytes) -> None:
    """Each names what it is, and none ends in an error of Python's."""
    body = b'{"format":%s,"x":%s}' % (inner, inner)
    store = MemoryStore(ManualClock())
    for name in ("manifest.json", "_backstream/flights/base/x/plan.json", "_backstream/flights/catalog.json"):
        store.put(name, body)
    readers = (
        lambda: decode_summary(body),
        lambda: decode_files(body),
        lambda: Dump.open(store),
        lambda: catalog.load(store, "flights"),
        lambda: Bases(store, "flights").plans(),
        lambda: description_of(body, "schema.json"),
        lambda: Pages().read(1, body, "page"),
        lambda: invocation_record.read(body),
        lambda: from_line(body),
        lambda: states(body),
        lambda: wire.well_formed_item(body),
    )
    for read in readers:
        with pytest.raises(Damaged):
            read()


def test_an_item_is_nested_as_deep_as_dynamodb_lets_it() -> None:
    assert wire.well_formed_item(b'{"a":%s{"N":"1"}%s}' % (b'{"L":[' * 32, b"]}" * 32))
    with pytest.raises(Damaged):
        wire.well_formed_item(b'{"a":%s{"N":"1"}%s}' % (b'{"L":[' * 400, b"]}" * 400))
    with pytest.raises(Damaged):
        wire.same_image(b'{"a":%s{"N":"1"}%s}' % (b'{"L":[' * 400, b"]}" * 400), b'{"a":{"N":"1"}}')


def test_the_largest_item_that_there_can_be_is_read() -> None:
    """400 KB of empty strings, as old and new image, in one line."""
    image = b'{"id":{"S":"a"},"l":{"L":[%s]}}' % b",".join([b'{"S":""}'] * (400 << 10))
    text = line(image=image).rstrip(b"\n")[:-1] + b',"OldImage":%s}\n' % image
    assert len(image) < object_limits.ITEM
    (entry,) = segments.read(SegmentHeader(Codec.ZSTD, 1), Codec.ZSTD.compress(text))
    assert entry.image == image


def test_a_long_line_takes_the_time_of_its_length() -> None:
    """Many pieces without a line break: what was held of a line is not copied with each."""
    sizes, body = [], b""
    for _ in range(40_000):
        frame = Codec.ZSTD.compress(b"a" * 200)
        sizes.append(len(frame))
        body += frame
    assert [len(each) for each in segments.blocks(SegmentHeader(Codec.ZSTD, 1, frames=tuple(sizes)), body)] == [8_000_000]


def test_a_zip_of_a_month_that_there_is_not(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("flights/schema.json", "flights/data/0001.json"):
            info = zipfile.ZipInfo(name)
            info.date_time = (1980, 0, 0, 0, 0, 0)
            archive.writestr(info, b"{}")
    with pytest.raises(Damaged, match=r"a\.zip"):
        list(dumps.DynamodumpDump(tmp_path / "a.zip", "flights").pages())


def test_a_zip_that_is_large_inside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flights/schema.json", b"{}")
        archive.writestr("flights/data/0001.json", io.BytesIO(b" " * (object_limits.PAGE + 1)).getvalue())
    with pytest.raises(Damaged, match=r"data/0001\.json"):
        list(dumps.DynamodumpDump(tmp_path / "a.zip", "flights").pages())


def test_a_manifest_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(GOOD)
    (tmp_path / "export").mkdir()
    files = FolderFiles(tmp_path / "export")
    for name in ("../secret", f"{tmp_path}/secret", "a/../../secret"):
        with pytest.raises(Damaged, match="leads out of it"):
            files.get(name)
        with pytest.raises(Damaged, match="leads out of it"):
            files.put(name, b"")


def test_each_object_has_a_limit_by_its_kind(tmp_path: Path) -> None:
    kinds = {
        "_backstream/flights/catalog.json": object_limits.CATALOG,
        "prefix/_backstream/flights/catalog.json": object_limits.CATALOG,
        "_backstream/flights/log/dt=x/y.ndjson.zst": object_limits.LINES,
        "_backstream/flights/compacted/generations/00000001.json": object_limits.GENERATION,
        "_backstream/flights/base/complete/x.json": object_limits.SMALL,
        "_backstream/flights/drills/x.json": object_limits.RECORD,
        "_backstream/flights/erasures/20261130T085437Z-452049/begun.json": object_limits.LINES,
        "_backstream/flights/erasures/forgotten-0123.json": object_limits.LINES,
        "_backstream/flights/columns.json": object_limits.COLUMNS,
        "_backstream/flights/agreed/01764000000": object_limits.SMALL,
        "_backstream/flights/redriven/0123": object_limits.SMALL,
        "_backstream/flights/compacted/gaps/00000001.json.zst": object_limits.GENERATION,
        "_backstream/flights/compacted/00000004-0319c13cacdc/erased.json": object_limits.SMALL,
        "_backstream/~groups/shop.json": object_limits.GROUP,
        "_backstream/~lock/tried": object_limits.SMALL,
        "_backstream/~server/proven.json": object_limits.SMALL,
        "flights/0123": object_limits.ROW,
        "flights/_backstream/0123": object_limits.ROW,
    }
    assert {name: object_limits.in_vault(name) for name in kinds} == kinds
    assert object_limits.in_vault("_backstream/flights/log/x", 1 << 30) == 1 << 30
    for store in (DirectoryStore(tmp_path, ManualClock(), lambda _: 3), MemoryStore(ManualClock(), limit=lambda _: 3)):
        store.put("a", b"1234")
        store.put("b", b"123")
        assert store.get("b").body == b"123"
        with pytest.raises(Damaged, match=object_limits.VARIABLE):
            store.get("a")


def test_an_operator_may_allow_more() -> None:
    assert (object_limits.allowed(""), object_limits.allowed("100")) == (0, 100 << 20)
    with pytest.raises(UsageError):
        object_limits.allowed("much")


def test_a_catalog_of_another_table_is_damaged() -> None:
    store = MemoryStore(ManualClock())
    fields = {"format": 1, "table": "other", "table_arn": "", "table_id": "", "layout": "log", "naming": "sha256"}
    more = {"key_schema": {"hash": {"name": "id", "type": "S"}}, "tenant_attribute": None, "compress": "zstd", "settings": {}}
    rest = {"stream": "", "stream_arn": "", "initialised": "2026-11-23T00:00:00Z", "complete_from": None}
    store.put("_backstream/flights/catalog.json", msgspec.json.encode({**fields, **more, **rest}))
    with pytest.raises(Damaged, match="of the table 'other'"):
        catalog.load(store, "flights")
    for wrong in ({"initialised": "yesterday"}, {"complete_from": 10**14}):
        store.put("_backstream/flights/catalog.json", msgspec.json.encode({**fields, **more, **rest, **wrong, "table": "flights"}))
        with pytest.raises(Damaged, match="catalog"):
            catalog.load(store, "flights")
