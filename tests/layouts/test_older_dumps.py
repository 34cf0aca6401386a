"""Dumps by older tools: golden files written from what is documented, every type there and back, and damaged files by name.

`tests/golden/older-dumps/` was made by hand: Hive's text and `DynamoDBExport`'s JSON from emr-dynamodb-connector's description, Ion
from AWS's page on exports, CSV from its page on imports. Each but CSV holds the same three items.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from amazon.ion import simpleion
from amazon.ion.core import IonType
from amazon.ion.simple_types import IonPyList
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import BackstreamError, Damaged, NotFound, UsageError
from backstream.model.values import object_limits, older_items, wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.bulk.held_items import HeldItems
from backstream.stores.folder import FolderFiles
from backstream.vault.dumps.csv_rows import CsvForm
from backstream.vault.dumps.held import TableKeys
from backstream.vault.dumps.ion_items import ION_LINES, read_change, read_item
from backstream.vault.dumps.opening import OpenOptions, open_held
from kit.strategies import ITEMS, Item

GOLDEN = Path(__file__).parent.parent / "golden" / "older-dumps"
ID = TableKeys(KeySchema(KeyAttribute("id", "S")))
FLIGHTS = TableKeys(KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N")), {"zone": "S", "number": "N", "who": "S"})
DIGITS = "12345678901234567890123456789012345678"
THREE: dict[str, Any] = {
    "LH400": {"seats": {"N": "364"}, "fares": {"NS": ["1E+100", "-0.5", DIGITS]}},
    "LH402": {"stops": {"SS": ["EWR", "FRA"]}, "seal": {"B": "AAH/"}, "seals": {"BS": ["AQ==", "Ag=="]}},
    "LH404": {
        "crew": {"L": [{"M": {"badge": {"B": "AAH/"}}}, {"NULL": True}, {"BOOL": False}]},
        "note": {"S": 'a \x02 in \x03 a value, {"s":"b"}'},
        "none": {"L": []},
        "empty": {"M": {}},
        "text": {"S": ""},
    },
}


def read(path: Path, keys: TableKeys = ID, csv: CsvForm = CsvForm()) -> dict[str, Any]:  # noqa: B008 - it is immutable
    """Every item, by its key, through the same door as the commands."""
    opening = OpenOptions("flights", 2e9, csv=csv, ion=lambda: ION_LINES)
    held = open_held(path.as_uri(), lambda url: FolderFiles(Path(url.removeprefix("file://"))), opening)
    with HeldItems(held, keys) as items:
        assert items.count == items.read
        return {key.decode(): json.loads(image) for page in items.images() for key, image in page}


def three(path: Path) -> dict[str, Any]:
    """The golden items, without their keys."""
    return {each.pop("id")["S"]: each for each in read(path).values()}


@pytest.mark.parametrize("name", ["hive-text/2015-06-01-00-00-00", "hive-text", "emr-json", "ion", "ion/flights.ion"])
def test_golden_dumps(name: str) -> None:
    assert three(GOLDEN / name) == THREE


def test_golden_csv() -> None:
    """Only keys have types, an empty key of an index is left out, and all other columns are text."""
    assert list(read(GOLDEN / "csv", FLIGHTS).values()) == [
        {"number": {"N": "1"}, "zone": {"S": "a"}, "who": {"S": "Ann"}, "note": {"S": 'a, "b"\nand c'}},
        {"number": {"N": "2.50"}, "zone": {"S": "b"}, "note": {"S": ""}},
        {"number": {"N": "-1E+5"}, "zone": {"S": "z|1"}, "who": {"S": "Zoë"}, "note": {"S": "x"}},
    ]


def test_csv_without_a_header_and_with_another_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1|a\n2|b\n"))
    assert len(read(tmp_path, FLIGHTS, CsvForm.of("pipe", "number,zone"))) == 2
    with pytest.raises(Damaged, match=r"a\.csv\.gz, line 1: no column zone, number"):
        read(tmp_path, FLIGHTS, CsvForm.of("pipe", None))
    with pytest.raises(UsageError, match="not a delimiter"):
        CsvForm.of("comma,", None)


# --- every type there and back ----------------------------------------------------------------------------------------------------

FIELDS = {"SS": "sS", "NS": "nS", "BS": "bS", "NULL": "nULLValue", "BOOL": "bOOL"}


def spelled(value: dict[str, Any], letters: Callable[[str], str]) -> dict[str, Any]:
    """A typed value with other letters."""
    ((kind, inner),) = value.items()
    if kind == "M":
        inner = {name: spelled(each, letters) for name, each in inner.items()}
    if kind == "L":
        inner = [spelled(each, letters) for each in inner]
    return {letters(kind): inner}


@given(ITEMS, st.sampled_from([str.lower, str.upper, lambda kind: FIELDS.get(kind, kind.lower())]))
def test_every_type_through_json(item: Item, letters: Callable[[str], str]) -> None:
    line = json.dumps({name: spelled(value, letters) for name, value in item.items()}).encode()
    assert json.loads(older_items.read_json(line, ("id",))) == item or set(item) == {"Item"}
    assert json.loads(older_items.read_json(b'{"Item":' + line + b"}", ("id",))) == item


@given(ITEMS.filter(bool), st.booleans())
def test_every_type_through_text(item: Item, raw: bool) -> None:  # noqa: FBT001 - a parameter of hypothesis
    """Control characters within a value are characters, escaped or not."""
    if any("\x02" in name or "\x03" in name or "\n" in name for name in item):
        return
    rows = [(name, json.dumps(spelled(value, str.lower), ensure_ascii=False)) for name, value in item.items()]
    rows = [(name, value.replace("\\u0002", "\x02").replace("\\u0003", "\x03") if raw else value) for name, value in rows]
    line = "\x02".join(f"{name}\x03{value}" for name, value in rows)
    assert json.loads(older_items.read_text(line.encode())) == item


def ion_of(value: dict[str, Any]) -> Any:
    """A typed value as Ion has it."""
    ((kind, inner),) = value.items()
    scalar: dict[str, Callable[[Any], Any]] = {"S": str, "N": Decimal, "B": base64.b64decode}
    if kind in scalar:
        return scalar[kind](inner)
    if kind in ("SS", "NS", "BS"):
        return IonPyList.from_value(IonType.LIST, list(map(scalar[kind[0]], inner)), (f"$dynamodb_{kind}",))
    if kind == "M":
        return {name: ion_of(each) for name, each in inner.items()}
    if kind == "L":
        return [ion_of(each) for each in inner]
    return None if kind == "NULL" else inner


@given(ITEMS)
def test_every_type_through_ion(item: Item) -> None:
    """By value: Ion's decimals keep all digits, and DynamoDB's numbers are the same in any notation."""
    text = simpleion.dumps({"Item": {name: ion_of(value) for name, value in item.items()}}, binary=False)
    line = (text if isinstance(text, str) else text.decode()).replace("\n", " ").encode()
    assert wire.same_image(read_item(line), wire.encode(item))


@pytest.mark.parametrize("around", [b"%s", b"{Record:%s}"])
def test_changes_in_ion(around: bytes) -> None:
    line = b'{Keys:{id:"a"},Metadata:{WriteTimestampMicros:1680109764000000.},NewImage:{id:"a",n:1.50}}'
    change = read_change(around % line)
    assert (change.micros, change.keys, change.old) == (1_680_109_764_000_000, b'{"id":{"S":"a"}}', None)
    assert change.new == b'{"id":{"S":"a"},"n":{"N":"1.50"}}'


# --- damaged ----------------------------------------------------------------------------------------------------------------------

GOOD = b'{"id":{"s":"a"}}\n'
TOO_LONG = b'{"id":{"s":"b"},"x":{"s":"' + b"x" * (object_limits.LINE + (5 << 20)) + b'"}}\n'
LARGE = b'{"id":{"s":"b"},"x":{"s":"' + b"x" * object_limits.ITEM + b'"}}\n'
BAD: dict[str, tuple[str, bytes, str]] = {
    "cut JSON": ("part-00000", GOOD + b'{"id":{"s":"b"', r"part-00000, line 2: not an item in JSON"),
    "an unknown type": ("part-00000", GOOD + b'{"id":{"x":"b"}}', r"part-00000, line 2: id has the unknown type 'x'"),
    "two types": ("part-00000", b'{"id":{"s":"b","n":"1"}}', r"part-00000, line 1: id is no attribute value"),
    "a number as a number": ("part-00000", b'{"id":{"s":"b"},"n":{"n":1}}', r"line 1: n is no value of the type N"),
    "no key": ("part-00000", GOOD + b'{"name":{"s":"b"}}', r"part-00000, line 2: .*not an item with this table's key"),
    "text without a value": ("000000_0", b'id\x03{"s":"a"}\x02n', r"000000_0, line 1: a name without a value: 'n'"),
    "text with a cut value": ("000000_0", b'id\x03{"s":"a', r"000000_0, line 1: not an item in Hive's text"),
    "an attribute twice": ("000000_0", b'id\x03{"s":"a"}\x02id\x03{"s":"b"}', r"line 1: an attribute that comes twice: 'id'"),
    "no item": ("part-00000", b"hello", r"part-00000, line 1: not an item in any format that is known"),
    "cut Ion": ("a.ion", b'$ion_1_0 {Item:{id:"a"', r"a\.ion, line 1: not Amazon Ion"),
    "bytes that are no text in Ion": ("a.ion", b'{Item:{id:"\xff"}}', r"a\.ion, line 1: not Amazon Ion: 'utf-8' codec"),
    "two items in a line of Ion": ("a.ion", b'{Item:{id:"a"},Item:{id:"b"}}', r"a\.ion, line 1: not a line of a full export"),
    "Ion nested too deep": ("a.ion", b"{Item:{a:" + b"[" * 100_000 + b"}}", r"a\.ion, line 1: not Amazon Ion"),
    "columns that come twice, too many to compare each with each": (
        "a.csv",
        b",".join(b"c%d" % (number % 40_000) for number in range(80_000)) + b"\n",
        r"a\.csv, line 1: a header names each column once: c0, c1, c10, c100, c1000, c10000, c10001, c10002, c10003, c10004$",
    ),
    "a float in Ion": ("a.ion", b'$ion_1_0 {Item:{id:"a",n:1e0}}', r"a\.ion, line 1: n is no attribute value"),
    "a list of another kind": ("a.ion", b'$ion_1_0 {Item:{id:"a",n:$other::[1.]}}', r"a\.ion, line 1: n is no attribute value"),
    "no text in CSV": ("a.csv", b"id\n\xff\n", r"a\.csv, line 2: not text in UTF-8"),
    "a field too many": ("a.csv", b"id,n\na,1,2\n", r"a\.csv, line 2: 3 fields, and 2 columns"),
    "an open quote": ("a.csv", b'id,n\na,"1\n', r"a\.csv, line 2: not CSV"),
    "a key of another type": ("a.csv", b"zone,number\na,one\n", r"a\.csv, line 2: the key attribute 'number'"),
    "cut gzip": ("part-00000.gz", gzip.compress(GOOD * 9)[:-9], r"part-00000\.gz: cut or altered"),
    "cut bzip2": ("part-00000.bz2", bz2.compress(GOOD * 9)[:-9], r"part-00000\.bz2: cut or altered"),
    "cut zlib": ("part-00000.deflate", zlib.compress(GOOD * 9)[:-9], r"part-00000\.deflate: cut or altered"),
    "cut zstd": ("part-00000.zst", zstandard.compress(GOOD * 9)[:-3], r"part-00000\.zst: cut or altered"),
    "a line beyond its limit": ("part-00000.gz", gzip.compress(GOOD + TOO_LONG), r"part-00000\.gz: a line: it is larger"),
    "an item beyond its limit": ("part-00000.gz", gzip.compress(GOOD + LARGE), r"part-00000\.gz, line 2: an item: it has"),
    "a bomb": ("part-00000.gz", gzip.compress((b" " * (8 << 20) + b"\n") * 9), r"part-00000\.gz: decompressed: it is larger"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_files_are_named(tmp_path: Path, case: str) -> None:
    name, body, words = BAD[case]
    (tmp_path / name).write_bytes(body)
    with pytest.raises(Damaged, match=words):
        read(tmp_path, FLIGHTS if b"number" in body else ID)


FOREIGN = {"a": b"SEQ\x06rest", "b.parquet": b"PAR1rest", "c": b"Obj\x01rest", "d.ion": b"\xe0\x01\x00\xea", "e.snappy": b"abc"}


@pytest.mark.parametrize("name", FOREIGN)
def test_formats_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FOREIGN[name])
    with pytest.raises(UsageError, match=f"{name} is .*cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zstandard.compress], ids=["gzip", "bzip2", "zstd"])
def test_compressed_files_whatever_they_are_called(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "part-00000").write_bytes(compress(GOOD))
    (tmp_path / "part-00001.deflate").write_bytes(zlib.compress(b'{"id":{"s":"b"}}'))
    assert [*read(tmp_path)] == ['{"id":{"S":"a"}}', '{"id":{"S":"b"}}']


# --- which files belong to a dump -------------------------------------------------------------------------------------------------


@pytest.fixture
def emr(tmp_path: Path) -> Path:
    """A copy of the dump by emr-dynamodb-tools."""
    shutil.copytree(GOLDEN / "emr-json", tmp_path / "emr")
    return tmp_path / "emr"


def spoiled() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    """Ways in which a dump is not whole."""
    yield "missing", lambda path: next(path.glob("7d1b*")).unlink(), "the manifest names 7d1be1a2-9e60-4f43-8f15-6b0d3c2a9b02"
    yield "more", lambda path: (path / "part-0").write_bytes(GOOD), "the manifest does not name part-0"
    yield "manifest", lambda path: (path / "manifest").write_text("{"), "manifest is not the manifest of a dump"
    yield "unfinished", lambda path: _written(path / "_temporary" / "0" / "part-0"), "there is a folder _temporary"


def _written(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(GOOD)


@pytest.mark.parametrize(("spoil", "words"), [each[1:] for each in spoiled()], ids=[each[0] for each in spoiled()])
def test_a_dump_that_is_not_whole(emr: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(emr)
    with pytest.raises(BackstreamError, match=words):
        read(emr)


def test_hidden_files_are_no_data(emr: Path) -> None:
    for name in ("_logs", ".part-0.crc", "emr_$folder$"):
        (emr / name).write_bytes(b"no item")
    assert three(emr) == THREE
    shutil.rmtree(emr)
    emr.mkdir()
    (emr / "_SUCCESS").write_bytes(b"")
    with pytest.raises(NotFound, match="holds no files of items"):
        read(emr)


def test_an_item_whose_only_attribute_is_called_item() -> None:
    """It is not taken for the word around an item, if the table's key is called so."""
    assert older_items.read_json(b'{"Item":{"s":"a"}}', ("Item",)) == b'{"Item":{"S":"a"}}'
    assert older_items.read_json(b'{"Item":{"Item":{"S":"a"}}}', ("Item",)) == b'{"Item":{"S":"a"}}'
