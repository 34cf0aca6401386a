"""Changes as text for people, and the changes of several tables in one list."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from backstream.apps.cli.differences import changed_lines
from backstream.apps.cli.output import notice, out
from backstream.apps.verbs.changes import Selected
from backstream.model.counts import counted
from backstream.model.values.visible import visible_json, visible_line
from backstream.operations.changes import ChangeRecord, NetRecord

Record = ChangeRecord | NetRecord
OfTable = tuple[str, Record]


def lines_of(each: Record, table: str = "") -> list[str]:
    """Returns the lines of one change: who, when, which item, and what it changed."""
    times = f" ({counted(each.changes, 'change')})" if isinstance(each, NetRecord) else ""
    who = "-" if each.actor is None else f"{each.actor} ({each.actor_source})"
    where = f"{table}  " if table else ""
    head = f"{each.time}  {each.event:<8}  {who}  {each.sequence or '-'}  {where}{bytes(each.key).decode()}{times}"
    body = [each.note] if each.note else changed_lines(bytes(each.before), bytes(each.after))
    return [head, *(f"    {line}" for line in body)]


def list_all(found: Mapping[str, Selected], *, net: bool, limit: int | None, form: str) -> None:
    """Lists the changes of several tables in the order of time; with `net` table by table.

    `form`: `json` for one array and `ndjson` for lines, whose elements have the field `table` first; empty for people.
    """
    records = _net(found) if net else _by_time(found)
    listed = itertools.islice(records, limit)
    count = _for_people(listed) if not form else _as_json(listed, *(("", "\n", "") if form == "ndjson" else ("[", ",", "]\n")))
    if not count:
        certainty = next(iter(found.values())).certainty
        notice(f"nothing of {', '.join(found)} changed between {certainty.since} and {certainty.until}")
    if limit is not None and count == limit and next(records, None) is not None:
        notice(f"only the first {limit:,}: there are more")


def _net(found: Mapping[str, Selected]) -> Iterator[OfTable]:
    return ((table, each) for table, one in found.items() for each in one.net())


def _by_time(found: Mapping[str, Selected]) -> Iterator[OfTable]:
    def of(table: str, one: Selected) -> Iterator[OfTable]:
        return ((table, each) for each in one)

    return heapq.merge(*(of(table, one) for table, one in found.items()), key=lambda pair: pair[1].time)


def _for_people(records: Iterable[OfTable]) -> int:
    count = 0
    for table, each in records:
        count += 1
        for text in lines_of(each, table):
            out.file.write(visible_line(text) + "\n")
    out.file.flush()
    return count


def _as_json(records: Iterable[OfTable], begin: str, between: str, end: str) -> int:
    """Writes records as they come: memory stays bounded. Nothing is written before the first."""
    count, write = 0, sys.stdout.buffer.write
    for table, each in records:
        body = b'{"table":%s,%s' % (msgspec.json.encode(table), msgspec.json.encode(each)[1:])
        separator = begin if not count else between if end else ""
        write(separator.encode() + visible_json(body) + (b"" if end else between.encode()))
        count += 1
    write((begin if not count else "").encode() + end.encode())
    sys.stdout.buffer.flush()
    return count
