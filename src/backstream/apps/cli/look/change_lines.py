"""Changes as text for people, and the changes of several tables in one list."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from backstream.apps.cli.differences import changed_lines
from backstream.apps.cli.output import notice, out
from backstream.apps.verbs.changes import Selected
from backstream.errors import BackstreamError, NothingMatches, PartlyDone
from backstream.model.counts import counted
from backstream.model.values.visible import visible_json, visible_line
from backstream.operations.changes import ChangeRecord, NetRecord
from backstream.operations.together.nothing import no_table_has_any

Record = ChangeRecord | NetRecord
OfTable = tuple[str, Record]
Answer = TypeVar("Answer")


def lines_of(each: Record, table: str = "") -> list[str]:
    """Returns the lines of one change: who, when, which item, and what it changed."""
    times = f" ({counted(each.changes, 'change')})" if isinstance(each, NetRecord) else ""
    who = "-" if each.actor is None else f"{each.actor} ({each.actor_source})"
    where = f"{table}  " if table else ""
    head = f"{each.time}  {each.event:<8}  {who}  {each.sequence or '-'}  {where}{bytes(each.key).decode()}{times}"
    body = [each.note] if each.note else changed_lines(bytes(each.before), bytes(each.after))
    return [head, *(f"    {line}" for line in body)]


class UpToError(Iterable[Answer]):
    """Yields records up to an error. `tell` raises it, once the records before it are written, and the document is whole."""

    def __init__(self, records: Iterable[Answer]) -> None:
        self._records = records
        self._error: BackstreamError | None = None

    def __iter__(self) -> Iterator[Answer]:
        try:
            yield from self._records
        except BackstreamError as error:
            self._error = error

    def tell(self) -> None:
        """Raises the error that ended the records, if one did."""
        if self._error is not None:
            raise self._error


def list_all(found: Mapping[str, Selected], *, net: bool, limit: int | None, form: str) -> None:
    """Lists the changes of several tables in the order of time; with `net` table by table.

    `form`: `json` for one array and `ndjson` for lines, whose elements have the field `table` first; empty for people.
    """
    ended = Ended(found)
    records = _net(found, ended) if net else _by_time(found, ended)
    listed = UpToError(itertools.islice(ended.unless_nothing(records), limit))
    count = _for_people(listed) if not form else _as_json(listed, *(("", "\n", "") if form == "ndjson" else ("[", ",", "]\n")))
    listed.tell()
    if not count:
        certainty = next(iter(found.values())).certainty
        notice(f"nothing of {', '.join(found)} changed between {certainty.since} and {certainty.until}")
    if limit is not None and count == limit and next(records, None) is not None:
        notice(f"only the first {limit:,}: there are more")
    ended.tell()


class Ended:
    """Why tables' lists have ended: a selection that matches nothing in some tables is an error only if it does in all.

    An image that is gone in one table does not keep the changes of the others from being listed: it is raised at the end.
    """

    def __init__(self, tables: Collection[str]) -> None:
        self._tables = tables
        self._nothing: dict[str, NothingMatches] = {}
        self._partly: list[PartlyDone] = []

    def each(self, table: str, records: Iterable[Answer]) -> Iterator[Answer]:
        """Yields the records of one table, up to one of these errors."""
        try:
            yield from records
        except NothingMatches as error:
            self._nothing[table] = error
        except PartlyDone as error:
            self._partly.append(error)

    def unless_nothing(self, records: Iterator[Answer]) -> Iterator[Answer]:
        """Returns the same. Raises one error, before anything is written, if the selection matches nothing in any table."""
        first = list(itertools.islice(records, 1))
        if len(self._nothing) == len(self._tables):
            raise no_table_has_any(self._nothing)
        return itertools.chain(first, records)

    def tell(self) -> None:
        """Names the tables in which nothing matches. Raises the first error about what could not be read."""
        for error in self._nothing.values():
            notice(f"note: {error.message}")
        for partly in self._partly:
            raise partly


def _net(found: Mapping[str, Selected], ended: Ended) -> Iterator[OfTable]:
    return ((table, each) for table, one in found.items() for each in ended.each(table, one.net()))


def _by_time(found: Mapping[str, Selected], ended: Ended) -> Iterator[OfTable]:
    def of(table: str, one: Selected) -> Iterator[OfTable]:
        return ((table, each) for each in ended.each(table, one))

    return heapq.merge(*(of(table, one) for table, one in found.items()), key=lambda pair: pair[1].time)


def _for_people(records: Iterable[OfTable]) -> int:
    count = 0
    for table, each in records:
        count += 1
        for text in lines_of(each, table):
            out.file.write(visible_line(text) + "\n")
    out.file.flush()
    return count


def _as_json(records: UpToError[OfTable], begin: str, between: str, end: str) -> int:
    """Writes records as they come: memory stays bounded. Nothing is written before the first, nor if that fails."""
    count, write = 0, sys.stdout.buffer.write
    for table, each in records:
        body = b'{"table":%s,%s' % (msgspec.json.encode(table), msgspec.json.encode(each)[1:])
        separator = begin if not count else between if end else ""
        write(separator.encode() + visible_json(body) + (b"" if end else between.encode()))
        count += 1
    if not count:
        records.tell()
    write((begin if not count else "").encode() + end.encode())
    sys.stdout.buffer.flush()
    return count
