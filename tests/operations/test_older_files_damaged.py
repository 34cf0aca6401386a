"""Files of older tools in the shapes that public reports show: joined, cut, edited by hand, with names that come twice."""

from __future__ import annotations

import bz2
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard

from backstream.apps.verbs.arguments import key_schema_of
from backstream.errors import BackstreamError, Damaged, UsageError
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.folder import FolderFiles
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.held import TableKeys, checked
from backstream.vault.dumps.opening import OpenOptions, open_held

KEYS = TableKeys(KeySchema(KeyAttribute("id", "S")), {"id": "S"})
ONE, TWO = b'{"id":{"s":"1"}}\n', b'{"id":{"s":"2"}}\n'


def read(folder: Path, files: dict[str, bytes], columns: str | None = None) -> tuple[list[str], list[str]]:
    """The ids of the items in these files, and what is missing."""
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    options = OpenOptions("flights", 2e9, csv=CsvForm.of(None, columns))
    held = open_held(folder.as_uri(), lambda url: FolderFiles(Path(url.removeprefix("file://"))), options)
    images = [image for page in held.pages(KEYS) for _, image in checked(page, KEYS.schema)]
    return sorted(json.loads(image)["id"]["S"] for image in images), held.missing()


def manifest(*urls: str) -> bytes:
    return json.dumps(
        {"name": "DynamoDB-export", "version": 3, "entries": [{"url": each, "mandatory": True} for each in urls]}
    ).encode()


LARGE = b'{"id":{"S":"1"},"v":{"S":"%s"}}\n' % (b"v" * 3_000_000)
NOTE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00note"
WHOLE: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "two streams of bzip2": ({"a.bz2": bz2.compress(ONE) + bz2.compress(TWO)}, ["1", "2"]),
    "two streams of zlib": ({"a.deflate": zlib.compress(ONE) + zlib.compress(TWO)}, ["1", "2"]),
    "a skippable frame first": ({"a.zst": NOTE + zstandard.compress(ONE) + zstandard.compress(TWO)}, ["1", "2"]),
    "much in one stream": ({"a.bz2": bz2.compress(LARGE * 3)}, ["1"] * 3),
    "much in one stream of zlib": ({"a.deflate": zlib.compress(LARGE * 3)}, ["1"] * 3),
    "a byte order mark": ({"a.json": b"\xef\xbb\xbf" + ONE}, ["1"]),
    "Hive's text from Windows": ({"a": b'id\x03{"s":"1"}\r\nid\x03{"s":"2"}\r\n'}, ["1", "2"]),
    "an empty table": ({"manifest": manifest(), "_SUCCESS": b""}, []),
    "one name in two folders": ({"manifest": manifest("s3://x/t/p=1/a", "s3://x/t/p=2/a"), "p=1/a": ONE, "p=2/a": TWO}, ["1", "2"]),
    "a file that is named twice": ({"manifest": manifest("s3://x/t/a", "s3://x/t/a"), "a": ONE}, ["1"]),
}


@pytest.mark.parametrize("case", WHOLE)
def test_whole(tmp_path: Path, case: str) -> None:
    files, ids = WHOLE[case]
    assert read(tmp_path, files) == (ids, [])


MISSING: dict[str, tuple[dict[str, bytes], str]] = {
    "none of its files": ({"manifest": manifest("s3://x/a"), "b": ONE}, "the manifest names a, which is missing"),
    "nothing but a manifest": ({"manifest": manifest("s3://x/a")}, "the manifest names a, which is missing"),
    "an empty manifest, and a file": ({"manifest": manifest(), "b": ONE}, "the manifest does not name b"),
    "two addresses, one file": (
        {"manifest": manifest("s3://x/p=1/a", "s3://x/p=2/a"), "a": ONE},
        "names s3://x/p=2/a, which is missing",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing(tmp_path: Path, case: str) -> None:
    files, words = MISSING[case]
    assert words in " ".join(read(tmp_path, files)[1])


def item(**more: Any) -> bytes:
    return json.dumps({"id": {"s": "1"}, **more}).encode()


DAMAGED: dict[str, tuple[dict[str, bytes], str]] = {
    "characters after bzip2": ({"a.bz2": bz2.compress(ONE) + b"more"}, "a.bz2: cut or altered"),
    "bzip2 that is cut": ({"a.bz2": bz2.compress(ONE)[:-3]}, "a.bz2: cut or altered"),
    "a second stream of bzip2 that is cut": ({"a.bz2": bz2.compress(ONE) + bz2.compress(TWO)[:-3]}, "a.bz2: cut or altered"),
    "characters after zlib": ({"a.deflate": zlib.compress(ONE) + b"more"}, "a.deflate: cut or altered"),
    "zlib that is cut": ({"a.deflate": zlib.compress(ONE)[:-3]}, "a.deflate: cut or altered"),
    "no bytes of gzip": ({"a.gz": b""}, "a.gz: it is empty"),
    "an attribute twice": ({"a": b'{"id":{"s":"1"},"id":{"s":"2"}}'}, "a, line 1: a name comes twice: id"),
    "an attribute twice, in DynamoDB JSON": ({"a": b'{"id":{"S":"1"},"id":{"S":"2"}}'}, "a, line 1: a name comes twice: id"),
    "a nested name twice": ({"a": b'{"id":{"S":"1"},"m":{"M":{"x":{"S":""},"x":{"S":""}}}}'}, "line 1: a name comes twice: x"),
    "in a line of an export": ({"a": b'{"Item":{"id":{"S":"1"},"v":{"S":"1","S":"2"}}}'}, "line 1: a name comes twice: S"),
    "no number": ({"a": item(v={"n": "12,5"})}, "line 1: not a DynamoDB number: '12,5'"),
    "no number in a list": ({"a": item(v={"l": [{"ns": ["1", "x"]}]})}, "not a DynamoDB number: 'x'"),
    "no number, in DynamoDB JSON": ({"a": b'{"id":{"S":"1"},"v":{"N":""}}'}, "line 1: not a DynamoDB number"),
    "no base64": ({"a": item(v={"b": "???"})}, "line 1: not base64"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(tmp_path: Path, case: str) -> None:
    files, words = DAMAGED[case]
    with pytest.raises(Damaged) as told:
        read(tmp_path, files)
    assert words in told.value.message


@pytest.mark.parametrize(("columns", "words"), [("id,x,x", "once: x"), ("id,", "one has no name"), ("x,y", "no column id")])
def test_columns_that_are_given_are_checked(tmp_path: Path, columns: str, words: str) -> None:
    with pytest.raises(BackstreamError, match=words):
        read(tmp_path, {"a.csv": b"1,2,3\n"}, columns)


def test_a_key_of_one_attribute_twice_is_none() -> None:
    with pytest.raises(UsageError, match="not a key schema"):
        key_schema_of("id:S,id:S")
