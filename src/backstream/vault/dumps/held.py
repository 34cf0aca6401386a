"""A table's items as files hold them: what every kind of dump and export tells of itself, and how its items are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from backstream.errors import Damaged
from backstream.model.values import object_limits, wire
from backstream.model.values.schema import KeySchema
from backstream.tables.answers import DescribedTable, key_schema

PAGE_ROWS, PAGE_BYTES = 4_000, 8 << 20  # that are read together, whichever comes first


class TableKeys(msgspec.Struct, frozen=True):
    """The keys of a table. `types`: the type of each attribute that is part of a key of the table or of an index."""

    schema: KeySchema
    types: Mapping[str, str] = {}


class HeldPage(msgspec.Struct, frozen=True):
    """Some items of one file. `name`: the file's; `lines`: the line of each image, empty if the file does not consist of lines.

    `deleted`: the keys (DynamoDB JSON) of items that an earlier page may hold, and that are gone.
    """

    name: str
    images: Sequence[bytes]
    lines: Sequence[int] = ()
    deleted: Sequence[bytes] = ()

    def place(self, number: int) -> str:
        """Returns where an image stands, for messages."""
        return f"{self.name}, line {self.lines[number]}" if self.lines else self.name


class HeldFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a dump states about itself.

    `what`: its kind, for people; `url`: its place; `table`, `table_arn`, `table_id`: the table's, empty if it does not tell;
    `description`: DescribeTable's `Table`, None if the dump has none; `at`: the second of its contents; `limits`: what a restore of
    it does not know; `rows`: the number of items, None if the dump does not state it. `read`: the first and the last second in
    which items were read from the table, None if the dump does not tell; `moment`: True if all items are of one moment.
    """

    what: str
    url: str
    table: str = ""
    table_arn: str = ""
    table_id: str = ""
    description: Mapping[str, Any] | None = None
    at: int
    limits: str
    rows: int | None = None
    read: tuple[int, int] | None = None
    moment: bool = False


class HeldTable(Protocol):
    """The items of one table in files."""

    @property
    def facts(self) -> HeldFacts:
        """Returns the facts that it states about itself."""

    def pages(self, keys: TableKeys) -> Iterator[HeldPage]:
        """Yields all items, in the order of the files. Raises Damaged, with the name of the file and the line."""

    def missing(self) -> list[str]:
        """Describes what is known to be missing, once every page was read."""


def keys_of(description: Mapping[str, Any], what: str) -> TableKeys:
    """Returns the keys in DescribeTable's `Table`. Raises Damaged if it does not tell them."""
    try:
        described = msgspec.convert(description, DescribedTable)
        return TableKeys(key_schema(described), {each.AttributeName: each.AttributeType for each in described.AttributeDefinitions})
    except (msgspec.ValidationError, KeyError) as error:
        raise Damaged(f"{what} does not tell the table's key schema: {error}") from error


def described_by(schema: KeySchema, table: str, arn: str = "", table_id: str = "") -> dict[str, Any]:
    """Returns a table with this key, on demand, as DescribeTable would say it."""
    roles = ("HASH", "RANGE")
    return {
        "TableName": table,
        "TableArn": arn,
        "TableId": table_id,
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": each.name, "KeyType": role} for each, role in zip(schema.attributes, roles, strict=False)],
        "AttributeDefinitions": [{"AttributeName": each.name, "AttributeType": each.type} for each in schema.attributes],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    }


def checked(page: HeldPage, schema: KeySchema) -> Iterator[tuple[bytes, bytes]]:
    """Yields each image of a page with its canonical key. Raises Damaged, with its place, if one is not an item of the table."""
    for number, image in enumerate(page.images):
        try:
            key = wire.key_of(schema, image)
            fields = wire.decode(image)
            broken = not all(map(wire.well_formed, fields.values()))
            wire.check_names(image, fields)
        except Damaged as error:
            raise error.of(page.place(number)) from error
        if broken:
            raise Damaged(f"{page.place(number)}: {key.decode()} is not an item in DynamoDB JSON")
        yield key, wire.one_line(image)


def paged(name: str, rows: Iterator[tuple[int, bytes]]) -> Iterator[HeldPage]:
    """Yields the images of a file, with their lines, as pages of bounded size. Raises Damaged at an image beyond its limit."""
    images: list[bytes] = []
    lines: list[int] = []
    size = 0
    for line, image in rows:
        if len(image) > object_limits.ITEM:
            raise object_limits.too_large(f"{name}, line {line}: an item", object_limits.ITEM, len(image))
        images.append(image)
        lines.append(line)
        size += len(image)
        if len(images) >= PAGE_ROWS or size >= PAGE_BYTES:
            yield HeldPage(name, images, lines)
            images, lines, size = [], [], 0
    if images:
        yield HeldPage(name, images, lines)
