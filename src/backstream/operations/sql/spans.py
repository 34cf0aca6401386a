"""Finds the times that a predicate of a query asks for, so that nothing else is read.

DuckDB hands a scan its predicates as an Arrow expression. Arrow itself tells which ranges of time cannot satisfy it: each range is
a fragment with a guarantee, and the fragments that Arrow prunes hold no row of the answer. So no predicate is parsed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from backstream.model.changes.change import MICROS

TIME = pa.timestamp("us", "UTC")
WAYS = 16  # parts into which a range is split at each step
MOST = 64  # ranges that are looked at one by one; of more, only the outer ones of each run
FINEST = 60  # seconds to which the ranges of changes are narrowed

END_OF_YEARS = 253_402_300_800  # the second after the last of 9999

Guarantee = Callable[[int, int], pc.Expression]  # what holds for every row between two seconds, the second one not included


class TimeRange(msgspec.Struct, frozen=True, order=True):
    """The seconds from `since` up to, but not including, `until`. `whole`: it is not narrowed any further."""

    since: int
    until: int
    whole: bool = False


def of_changes(since: int, until: int) -> pc.Expression:
    """Returns the guarantee of changes made between two seconds."""
    begin, end = since * MICROS, until * MICROS
    micros = pc.field("micros")
    return within("time", since, until) & (micros >= pa.scalar(begin)) & (micros < pa.scalar(end))


def within(name: str, since: int, until: int) -> pc.Expression:
    """Returns the guarantee that a column of times lies between two seconds."""
    time = pc.field(name)
    return (time >= pa.scalar(since * MICROS, TIME)) & (time < pa.scalar(until * MICROS, TIME))


def asked_for(
    predicate: pc.Expression | None, schema: pa.Schema, whole: TimeRange, guarantee: Guarantee = of_changes, *, finest: int = FINEST
) -> list[TimeRange]:
    """Returns spans within `whole`, in their order, that hold every row which satisfies a predicate; all of it without one."""
    if predicate is None or whole.since >= whole.until:
        return [whole] if whole.since < whole.until else []
    spans = _possible(predicate, schema, guarantee, [whole])
    while any(_divides(each, finest) for each in spans):
        parts = [part for each in spans for part in (_parts(each, finest) if _divides(each, finest) else [each])]
        spans = _possible(predicate, schema, guarantee, parts)
        if len(spans) > MOST:
            spans = list(_outer(spans))
    return joined(spans)


def asks_for_earlier(predicate: pc.Expression | None, schema: pa.Schema, whole: TimeRange) -> bool:
    """True if a predicate says something about the time of changes, and rows before `whole` could satisfy it."""
    if predicate is None:
        return False
    ever = TimeRange(0, END_OF_YEARS)
    before = asked_for(predicate, schema, TimeRange(0, whole.since))
    return bool(before) and asked_for(predicate, schema, ever) != [ever]


def joined(spans: Sequence[TimeRange]) -> list[TimeRange]:
    """Returns the same seconds in as few spans as possible."""
    found: list[TimeRange] = []
    for each in sorted(spans):
        if found and each.since <= found[-1].until:
            found[-1] = TimeRange(found[-1].since, max(found[-1].until, each.until))
        else:
            found.append(TimeRange(each.since, each.until))
    return found


def _divides(span: TimeRange, finest: int) -> bool:
    return not span.whole and span.until - span.since > finest


def _parts(span: TimeRange, finest: int) -> list[TimeRange]:
    step = max(finest, -(-(span.until - span.since) // WAYS))
    step = -(-step // finest) * finest
    return [TimeRange(since, min(since + step, span.until)) for since in range(span.since, span.until, step)]


def _possible(predicate: pc.Expression, schema: pa.Schema, guarantee: Guarantee, spans: Sequence[TimeRange]) -> list[TimeRange]:
    """Returns the spans that Arrow does not prune."""
    kind, files = ds.IpcFileFormat(), LocalFileSystem()
    fragments = [
        kind.make_fragment(str(number), filesystem=files, partition_expression=guarantee(each.since, each.until))
        for number, each in enumerate(spans)
        if not each.whole
    ]
    left = ds.FileSystemDataset(fragments, schema, kind, files).get_fragments(filter=predicate)
    possible = {int(each.path) for each in left}
    return [each for number, each in enumerate(spans) if each.whole or number in possible]


def _outer(spans: Sequence[TimeRange]) -> Iterator[TimeRange]:
    """Yields the same spans. Those between two neighbours are not narrowed any further: they are likely to count as a whole."""
    edges = {0, len(spans) - 1}
    for place, (one, other) in enumerate(pairwise(spans)):
        if one.until != other.since:
            edges |= {place, place + 1}
    for place, each in enumerate(spans):
        yield each if place in edges or len(edges) > MOST else TimeRange(each.since, each.until, whole=True)
