"""Names an item's object in the rows layout: `TABLE/ID` or `TABLE/TENANT/ID`. One pair of functions makes and parses names.

ID is the sha256 or md5, in hex, of the canonical key, or the key itself in plain text (`HASH | RANGE`). Plain text that would be
ambiguous or illegal is escaped with percent signs, so that it can be read back. That is `%`, `/`, `|`, control characters, and
the names `.` and `..`. A name that would be too long is replaced by its hash, and marked so.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import UsageError
from backstream.model.values.schema import KeySchema

SEPARATOR = " | "
MAX_PLAIN_ID = 512  # bytes; with the longest table name and tenant, an object's name still leaves 120 bytes for the vault's prefix
MAX_TENANT = 128
NO_TENANT, EMPTY_TENANT = "%none", "%empty"  # a percent sign before such letters cannot come out of the escaping
SYSTEM_FOLDER = "_backstream"

_ESCAPED = re.compile(r"[%/|\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")
_HASHED = "%sha256-"


class Naming(enum.StrEnum):
    """The way in which the rows layout names the objects of a table."""

    SHA256 = "sha256"
    MD5 = "md5"
    PLAIN = "plain"


class KeyOrder(enum.StrEnum):
    """The order of the key's attributes in a name: the key schema's, sorted by name, or the range key first.

    The older tools disagree; a bucket that one of them has written continues in the order that is found there.
    """

    SCHEMA = "schema"
    SORTED = "sorted"
    REVERSED = "reversed"


def object_name(table: str, naming: Naming, key: bytes, tenant: str | None = None, order: KeyOrder = KeyOrder.SCHEMA) -> str:
    """Returns the name of an item's object. `key`: the canonical key; `tenant`: its folder, if the table is split by tenant."""
    folder = f"{table}/" if tenant is None else f"{table}/{tenant}/"
    return folder + _item_id(naming, key if order is KeyOrder.SCHEMA else _in_order(key, order))


def _in_order(key: bytes, order: KeyOrder) -> bytes:
    values: dict[str, dict[str, str]] = msgspec.json.decode(key)
    names = sorted(values) if order is KeyOrder.SORTED else reversed(values)
    return msgspec.json.encode({name: values[name] for name in names})


def _item_id(naming: Naming, key: bytes) -> str:
    if naming is Naming.SHA256:
        return hashlib.sha256(key).hexdigest()
    if naming is Naming.MD5:
        return hashlib.md5(key, usedforsecurity=False).hexdigest()
    values: dict[str, dict[str, str]] = msgspec.json.decode(key)
    plain = SEPARATOR.join(_escape(text) for value in values.values() for text in value.values())
    return plain if len(plain.encode()) <= MAX_PLAIN_ID else _HASHED + hashlib.sha256(key).hexdigest()


class ParsedName(msgspec.Struct, frozen=True):
    """The parts of a row object's name. `key` is the canonical key if the name holds it (plain names), else None."""

    tenant: str | None
    id: str
    key: bytes | None


def parse_name(table: str, naming: Naming, schema: KeySchema, *, tenants: bool, name: str) -> ParsedName | None:
    """The inverse of `object_name`. Returns None for a name that `object_name` does not make for this table: a foreign object."""
    folder, found, rest = name.partition(f"{table}/")
    if folder or not found:
        return None
    tenant, slash, item_id = rest.rpartition("/")
    if bool(slash) is not tenants or "/" in tenant:
        return None
    if naming is not Naming.PLAIN:
        length = 64 if naming is Naming.SHA256 else 32
        return ParsedName(tenant or None, item_id, None) if re.fullmatch(f"[0-9a-f]{{{length}}}", item_id) else None
    return _parse_plain(schema, tenant or None, item_id)


def _parse_plain(schema: KeySchema, tenant: str | None, item_id: str) -> ParsedName | None:
    if re.fullmatch(_HASHED + "[0-9a-f]{64}", item_id):
        return ParsedName(tenant, item_id, None)
    texts = item_id.split(SEPARATOR)
    if len(texts) != len(schema.attributes):
        return None
    values = {a.name: {a.type: _unescape(text)} for a, text in zip(schema.attributes, texts, strict=True)}
    return ParsedName(tenant, item_id, msgspec.json.encode(values))


def tenant_folder(value: Mapping[str, Any] | None) -> str:
    """Returns the folder of a tenant, from its typed value (`{"S": "acme"}`).

    Items without a scalar value share a folder of their own.
    """
    if value is not None and len(value) == 1:
        ((kind, text),) = value.items()
        if kind in ("S", "N", "B") and isinstance(text, str):
            escaped = _escape(text) or EMPTY_TENANT
            return escaped if len(escaped.encode()) <= MAX_TENANT else _HASHED + hashlib.sha256(text.encode()).hexdigest()
    return NO_TENANT


def tenant_of(folder: str) -> str | None:
    """Returns the tenant of a folder; None if the folder does not tell: no tenant, or a name that is too long."""
    if folder == NO_TENANT or folder.startswith(_HASHED):
        return None
    return "" if folder == EMPTY_TENANT else _unescape(folder)


def _escape(text: str) -> str:
    if text in (".", ".."):
        return text.replace(".", "%2E")
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def is_table_name(text: str) -> bool:
    """True if DynamoDB accepts it as a table's name."""
    return re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", text) is not None


def check_table_name(table: str) -> None:
    """Raises UsageError for text that cannot be a table's name, or that would clash with the vault's own folder.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html (naming rules)
    """
    if not is_table_name(table):
        raise UsageError(f"not a table's name: {table!r}", hint="3 to 255 of the characters a-z, A-Z, 0-9, '_', '-' and '.'.")
    if table == SYSTEM_FOLDER:
        raise UsageError(f"a table named {SYSTEM_FOLDER!r} cannot be kept: the vault's own folder has that name")
