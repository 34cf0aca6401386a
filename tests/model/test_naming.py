"""Names of row objects: what they look like, that they can be read back, and that no two items share one."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import UsageError
from backstream.model.tables.naming import MAX_PLAIN_ID, Naming, check_table_name, object_name, parse_name, tenant_folder
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key

ONE = KeySchema(KeyAttribute("id", "S"))
TWO = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("at", "N"))
TEXTS = KeySchema(KeyAttribute("a", "S"), KeyAttribute("b", "S"))

# (key, plain name): by hand, as a person would expect to find them in a bucket
PLAIN = [
    (ONE, {"id": {"S": "flight-1"}}, "t/flight-1"),
    (ONE, {"id": {"S": "a/b"}}, "t/a%2Fb"),
    (ONE, {"id": {"S": "a | b"}}, "t/a %7C b"),
    (ONE, {"id": {"S": "100%"}}, "t/100%25"),
    (ONE, {"id": {"S": ".."}}, "t/%2E%2E"),
    (ONE, {"id": {"S": "..."}}, "t/..."),
    (ONE, {"id": {"S": 'say "hi"\n'}}, 't/say "hi"%0A'),
    (ONE, {"id": {"S": "🛫"}}, "t/🛫"),
    (TWO, {"at": {"N": "1.50"}, "zone": {"S": "eu"}}, "t/eu | 1.5"),
    (TWO, {"zone": {"S": "eu"}, "at": {"N": "1E+3"}}, "t/eu | 1000"),
]


@pytest.mark.parametrize(("schema", "key", "name"), PLAIN)
def test_plain_names(schema: KeySchema, key: dict[str, dict[str, str]], name: str) -> None:
    canonical = canonical_key(schema, key)
    assert object_name("t", Naming.PLAIN, canonical) == name
    parsed = parse_name("t", Naming.PLAIN, schema, tenants=False, name=name)
    assert parsed is not None
    assert parsed.key == canonical


def test_hashed_names_are_those_of_the_older_tools() -> None:
    """The hash of the key as compact JSON, attributes in key-schema order: what dynamodb-replicator and its forks write."""
    key = {"zone": {"S": "eu"}, "at": {"N": "7"}}
    text = json.dumps(key, separators=(",", ":")).encode()
    canonical = canonical_key(TWO, {"at": {"N": "7.0"}, "zone": {"S": "eu"}})
    assert object_name("flights", Naming.SHA256, canonical) == "flights/" + hashlib.sha256(text).hexdigest()
    md5 = hashlib.md5(text, usedforsecurity=False).hexdigest()
    assert object_name("flights", Naming.MD5, canonical, "acme") == f"flights/acme/{md5}"


texts = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60) | st.sampled_from(
    [".", "..", "%2F", "%", " | ", "/"]
)


@given(one=st.tuples(texts, texts), other=st.tuples(texts, texts))
def test_plain_names_read_back_and_never_collide(one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = [canonical_key(TEXTS, {"a": {"S": a}, "b": {"S": b}}) for a, b in (one, other)]
    names = [object_name("t", Naming.PLAIN, key) for key in keys]
    assert (names[0] == names[1]) is (keys[0] == keys[1])
    for key, name in zip(keys, names, strict=True):
        assert name.count("/") == 1
        assert name.isprintable() or not any(ord(each) < 32 or ord(each) == 127 for each in name)
        parsed = parse_name("t", Naming.PLAIN, TEXTS, tenants=False, name=name)
        assert parsed is not None
        assert parsed.key == key


def test_a_key_too_long_for_a_name_is_named_by_its_hash() -> None:
    key = canonical_key(ONE, {"id": {"S": "x" * 2048}})
    name = object_name("t", Naming.PLAIN, key)
    assert name == "t/%sha256-" + hashlib.sha256(key).hexdigest()
    assert len(name) < MAX_PLAIN_ID
    parsed = parse_name("t", Naming.PLAIN, ONE, tenants=False, name=name)
    assert parsed is not None
    assert parsed.key is None
    escaped = object_name("t", Naming.PLAIN, canonical_key(ONE, {"id": {"S": name.removeprefix("t/")}}))
    assert escaped != name


@pytest.mark.parametrize(
    "name",
    ["users-archive/" + "0" * 64, "users/", "users/xyz", "users/" + "0" * 63, "users/a/" + "0" * 64, "users/" + "0" * 64 + ".json"],
)
def test_foreign_names_are_not_ours(name: str) -> None:
    assert parse_name("users", Naming.SHA256, ONE, tenants=False, name=name) is None


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ({"S": "acme"}, "acme"),
        ({"N": "7"}, "7"),
        ({"S": "a/b"}, "a%2Fb"),
        ({"S": ""}, "%empty"),
        (None, "%none"),
        ({"M": {}}, "%none"),
        ({"S": "%none"}, "%25none"),
    ],
)
def test_tenant_folders(value: dict[str, object] | None, folder: str) -> None:
    assert tenant_folder(value) == folder
    name = object_name("t", Naming.SHA256, b'{"id":{"S":"a"}}', folder)
    parsed = parse_name("t", Naming.SHA256, ONE, tenants=True, name=name)
    assert parsed is not None
    assert parsed.tenant == folder


def test_a_tenant_too_long_for_a_folder_is_named_by_its_hash() -> None:
    folders = {tenant_folder({"S": "x" * 500}), tenant_folder({"S": "x" * 501})}
    assert len(folders) == 2
    assert all(folder.startswith("%sha256-") for folder in folders)


@pytest.mark.parametrize("table", ["", "ab", "a b c", "x" * 256, "a/b/c", "_backstream", "täble"])
def test_no_table_names(table: str) -> None:
    with pytest.raises(UsageError):
        check_table_name(table)


def test_table_names() -> None:
    for table in ("abc", "users-archive", "a.b_C-9", "x" * 255):
        check_table_name(table)


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**30), max_value=10**30))
def test_one_number_has_one_name(number: object) -> None:
    spellings = [str(number), f"{number}0", f"{number:E}"]
    keys = {canonical_key(TWO, {"zone": {"S": "z"}, "at": {"N": text}}) for text in spellings}
    assert len(keys) == 1
    assert "E" not in msgspec.json.decode(keys.pop())["at"]["N"]
