"""The proof: the whole table, read by a plain botocore client, compared value by value with what was read before.

It uses none of Backstream's own code for reading, restoring or comparing, so a mistake there cannot hide itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from backstream.apps.demo.flights import KEY
from backstream.errors import DifferencesFound

if TYPE_CHECKING:  # type stubs only: the package is not there at run time
    from mypy_boto3_dynamodb import DynamoDBClient

NAMED = 20  # keys that a message names


class Copy(msgspec.Struct, frozen=True):
    """A table's rows at one time: key -> the row's bytes, as JSON with sorted names. `sha256` covers all rows, in order."""

    rows: Mapping[str, bytes]
    sha256: str


class Differences(msgspec.Struct, frozen=True):
    """The differing rows: keys in JSON, as commands take them."""

    missing: list[str]
    extra: list[str]
    different: list[str]

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.missing) + len(self.extra) + len(self.different)


def scan(client: DynamoDBClient, table: str) -> Copy:
    """Reads every row, strongly consistent."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return copy_of(item for page in pages for item in page["Items"])


def copy_of(items: Iterable[Mapping[str, Any]]) -> Copy:
    """Returns a copy of items."""
    rows = {key_of(item): _sorted(item) for item in items}
    digest = hashlib.sha256()
    for key in sorted(rows):
        digest.update(rows[key] + b"\n")
    return Copy(rows, digest.hexdigest())


def key_of(item: Mapping[str, Any]) -> str:
    """Returns the item's key, as an operator would write it: `{"flight":"DL2003","scheduled":"2013-02-08T07:00"}`."""
    return msgspec.json.encode({name: item[name]["S"] for name in KEY}).decode()


def compare(before: Copy, now: Copy) -> Differences:
    """Returns the rows that differ in any byte."""
    return Differences(
        missing=sorted(before.rows.keys() - now.rows.keys()),
        extra=sorted(now.rows.keys() - before.rows.keys()),
        different=sorted(key for key, row in before.rows.items() if now.rows.get(key, row) != row),
    )


def prove(before: Copy, now: Copy) -> None:
    """Raises DifferencesFound, naming the rows, unless every row is unchanged and there is no other one."""
    found = compare(before, now)
    if not found.count:
        return
    named = [
        f"{what} {key}"
        for what, keys in (("missing", found.missing), ("extra", found.extra), ("different", found.different))
        for key in keys
    ]
    more = f"\n... and {len(named) - NAMED} more" if len(named) > NAMED else ""
    raise DifferencesFound(
        f"rows that are not as they were: {found.count}\n" + "\n".join(named[:NAMED]) + more,
        hint="A restore must never end like this: please report it, with all that stands above.",
    )


def _sorted(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
