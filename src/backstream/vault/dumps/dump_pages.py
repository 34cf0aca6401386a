"""Reads the pages of dynamodump's dumps: the answers of Scan, one file each, and of DescribeTable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model.values.decoding import UNDECODABLE, reason

NAMED = 10


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] = msgspec.field(name="Items")
    count: int | None = msgspec.field(name="Count", default=None)
    after: dict[str, Any] | None = msgspec.field(name="LastEvaluatedKey", default=None)


class _DumpedTable(msgspec.Struct):
    table: dict[str, Any] = msgspec.field(name="Table")


_pages = msgspec.json.Decoder(_Page)
_described = msgspec.json.Decoder(_DumpedTable)


def description_of(body: bytes, name: str) -> dict[str, Any]:
    """Returns DescribeTable's `Table`. Raises Damaged if the body is not one."""
    try:
        return _described.decode(body).table
    except UNDECODABLE as error:
        raise Damaged(f"{name} is not the description of a table: {reason(error)}") from error


class Pages:
    """Takes pages in any order, and tells in the end whether any is missing."""

    def __init__(self) -> None:
        self._more: dict[int, bool] = {}
        self.items = 0

    def read(self, number: int, body: bytes, name: str) -> Sequence[bytes]:
        """Returns the images of one page.

        Raises Damaged if it is not a page, is cut, or holds another number of items than it states.
        """
        try:
            page = _pages.decode(body)
        except UNDECODABLE as error:
            raise Damaged(f"{name} is not a page of a dump: {reason(error)}", hint="Was it copied whole?") from error
        if page.count is not None and page.count != len(page.items):
            raise Damaged(f"{name} holds {len(page.items)} items, and says {page.count}")
        self._more[number] = bool(page.after)
        self.items += len(page.items)
        return [bytes(each) for each in page.items]

    def missing(self) -> list[str]:
        """Describes the missing pages: those between others, and those after a last page that announces more."""
        if not self._more:
            return ["it holds no pages of items"]
        last = max(self._more)
        lost = [number for number in range(1, last) if number not in self._more]
        ended = [number for number, more in self._more.items() if not more and number != last]
        found = [f"page {number:04d} is missing" for number in lost[:NAMED]]
        found += [
            f"page {number:04d} says that it is the last one: pages of two dumps are mixed" for number in sorted(ended)[:NAMED]
        ]
        return found + ([f"page {last:04d} says that more follow"] if self._more[last] else [])
