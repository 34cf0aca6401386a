"""`changes`: what changed between two moments."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import msgspec

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.look.change_lines import Ended, UpToError, lines_of, list_all
from backstream.apps.cli.options import AllowGap, Engine, Json, Master, Tables, Vault
from backstream.apps.cli.output import as_array, as_facts, as_json, notice, out
from backstream.apps.engines import EngineKind
from backstream.apps.verbs.arguments import Moment, moment_of
from backstream.apps.verbs.changes import Selected
from backstream.clock import SystemClock
from backstream.errors import PartlyDone, UsageError
from backstream.model import moment
from backstream.model.counts import counted
from backstream.model.values.visible import visible_json, visible_line
from backstream.operations.bulk.collector import few_collections
from backstream.operations.changes import ChangeRecord, ChangeSummary, NetRecord, unread_images

TOGETHER = 200  # lines that are written at once
PAUSE = 0.5  # seconds after which a line that is found is written at once
BARS = 60  # of a chart at most
WIDEST = 50  # characters of its longest bar
SHOWN = 10  # names of each kind in a summary for people

Records = list[ChangeRecord | NetRecord]

From = Annotated[str, Option("--from", metavar="MOMENT", help="The window begins after this second.", show_default=False)]
To = Annotated[str, Option("--to", metavar="MOMENT", help="The last second of the window.")]
Keys = Annotated[list[str] | None, Option("--key", metavar="KEY", help="Only this item; repeatable.", show_default=False)]
KeysFile = Annotated[
    Path | None,
    Option("--keys", metavar="FILE", help="Only the items that the file names, a key a line.", once=True, show_default=False),
]
Partition = Annotated[
    str | None, Option("--partition", metavar="VALUE", help="Only items of this hash key.", once=True, show_default=False)
]
Tenant = Annotated[str | None, Option("--tenant", metavar="VALUE", help="Only this tenant's items.", once=True, show_default=False)]
Where = Annotated[
    str | None,
    Option(
        "--where",
        metavar="CONDITION",
        help='Only changes whose item before or after matches: status = "paid".',
        once=True,
        show_default=False,
    ),
]
Event = Annotated[
    str | None, Option("--event", metavar="EVENTS", help="Only these: INSERT,MODIFY,REMOVE.", once=True, show_default=False)
]
Actor = Annotated[str | None, Option("--actor", metavar="ACTOR", help="Only changes by this actor.", once=True, show_default=False)]
Attribute = Annotated[
    list[str] | None,
    Option("--attribute", metavar="NAME", help="Only changes of this attribute; repeatable.", show_default=False),
]


def events_of(text: str | None) -> list[str]:
    """Returns the events in `INSERT,MODIFY`, in any case."""
    return [] if text is None else [each.strip().upper() for each in text.split(",")]


def changes(
    tables: Tables,
    *,
    since: From,
    until: To = "now",
    vault: Vault = None,
    key: Keys = None,
    keys: KeysFile = None,
    partition: Partition = None,
    tenant: Tenant = None,
    where: Where = None,
    event: Event = None,
    actor: Actor = None,
    attribute: Attribute = None,
    net: Annotated[bool, Option("--net", help="One line per item: before the window against after it.")] = False,
    summary: Annotated[bool, Option("--summary", help="Only counts, and the busiest keys.")] = False,
    limit: Annotated[int | None, Option(metavar="N", min=1, help="List at most N.", show_default=False)] = None,
    allow_gap: AllowGap = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
    ndjson: Annotated[bool, Option("--ndjson", help="One JSON object a line, written as it is found.")] = False,
) -> int:
    """Every change between two moments, with the attributes that it changed."""
    _check_words(net=net, summary=summary, limit=limit, json=json, ndjson=ndjson)
    if engine is not EngineKind.LOCAL and not summary:
        raise UsageError("--engine spark counts changes, and lists none", hint="Add --summary.")
    held, several = library.open(vault, engine=engine, master=master), tables.single is None
    window: tuple[Moment, Moment] = _one_window(since, until) if several else (since, until)

    def of(table: str) -> Selected:
        found = held.table(table).changes(
            from_=window[0],
            to=window[1],
            keys=key or (),
            keys_file=keys,
            partition=partition,
            tenant=tenant,
            where=where,
            events=events_of(event),
            actor=actor,
            attributes=attribute or (),
            allow_gap=allow_gap,
        )
        _say_how_sure(found)
        return found

    if tables.single is None:
        all_found = {table: of(table) for table in held.select(tables)}
        if summary:
            _show_summaries(all_found, json=json or ndjson)
        else:
            list_all(all_found, net=net, limit=limit, form="ndjson" if ndjson else "json" if json else "")
        return max(map(_end, all_found.values()))
    table, found = tables.single, of(tables.single)
    if summary:
        _show_summary(found.summary(), json=json or ndjson)
        return _end(found)
    records: Iterator[ChangeRecord | NetRecord] = iter(found.net() if net else found)
    listed = UpToError(itertools.islice(records, limit))
    count = as_lines(listed) if ndjson else _as_array(listed) if json else _for_people(listed)
    listed.tell()
    if not count:
        notice(f"nothing of {table} changed between {found.certainty.since} and {found.certainty.until}")
    if limit is not None and count == limit and next(records, None) is not None:
        notice(f"only the first {limit:,}: there are more")
    elif found.certainty.proven and not (json or ndjson):
        notice(f"every change of this window is in the vault: that is proven up to {found.certainty.proven_until}")
    return _end(found)


def _one_window(since: str, until: str) -> tuple[Moment, Moment]:
    """Returns the same seconds for all tables, whenever each is read."""
    now = SystemClock().now()
    return moment_of(since, now), moment_of(until, now)


def _check_words(*, net: bool, summary: bool, limit: int | None, json: bool, ndjson: bool) -> None:
    """Raises UsageError if the options contradict each other."""
    if net and summary:
        raise UsageError("--net and --summary exclude each other", hint="Give one of them.")
    if summary and limit is not None:
        raise UsageError("--summary counts all changes: leave --limit out")
    if json and ndjson:
        raise UsageError("--json and --ndjson exclude each other", hint="--json is one array, --ndjson a line for each.")


def _say_how_sure(found: Selected) -> None:
    for note in found.certainty.notes:
        notice(f"note: {note}")


def _end(found: Selected) -> int:
    for warning in found.warnings:
        notice(f"note: not read: {warning}")
    if found.doubtful:
        notice(f"note: of {counted(found.doubtful, 'change')} the vault does not hold both images; the `note` of each says why")
    for words in found.doubts:
        notice(f"note: {words}")
    if found.gone:
        notice(f"note: {unread_images(found.gone)}")
    return PartlyDone.exit_code if found.warnings or found.gone else 0


# --- lists ------------------------------------------------------------------------------------------------------------------------


def as_lines(records: Iterable[ChangeRecord | NetRecord]) -> int:
    """Writes a line of JSON for each record, as they come. Returns their number."""
    return _written(records, msgspec.json.Encoder().encode_lines)


def _as_array(records: UpToError[ChangeRecord | NetRecord]) -> int:
    """Writes the array as it is found, so that memory stays bounded. Nothing is written if the first record fails; after a later
    failure the array is whole.
    """
    first, encode = True, msgspec.json.Encoder().encode

    def joined(together: Records) -> bytes:
        nonlocal first
        before, first = b"[" if first else b",", False
        return before + b",".join(map(encode, together))

    count = _written(records, joined)
    if not count:
        records.tell()
    sys.stdout.buffer.write(b"]\n" if count else b"[]\n")
    sys.stdout.buffer.flush()
    return count


def _written(records: Iterable[ChangeRecord | NetRecord], joined: Callable[[Records], bytes]) -> int:
    """Writes records, many at once if they come quickly. A record after a pause is written at once."""
    together, count, now, due = Records(), 0, SystemClock().now, 0.0
    with few_collections():
        for each in records:
            together.append(each)
            if len(together) == TOGETHER or now() >= due:
                count += _write(joined(together), len(together))
                together, due = [], now() + PAUSE
    return count + (_write(joined(together), len(together)) if together else 0)


def _write(body: bytes, count: int) -> int:
    sys.stdout.buffer.write(visible_json(body))
    sys.stdout.buffer.flush()
    return count


def _for_people(records: Iterable[ChangeRecord | NetRecord]) -> int:
    count = 0
    for each in records:
        count += 1
        for text in lines_of(each):
            out.file.write(visible_line(text) + "\n")
    out.file.flush()
    return count


# --- the summary ------------------------------------------------------------------------------------------------------------------


def _show_summaries(found: Mapping[str, Selected], *, json: bool) -> None:
    ended = Ended(found)
    counted_up = ended.unless_nothing(each for table, one in found.items() for each in ended.each(table, _summary(one)))
    with as_array() if json else nullcontext():
        for each in counted_up:
            _show_summary(each, json=json)
    ended.tell()


def _summary(found: Selected) -> Iterator[ChangeSummary]:
    yield found.summary()


def _show_summary(found: ChangeSummary, *, json: bool) -> None:
    if json:
        as_json(found)
        return
    sure = "every change is in the vault" if found.certainty.proven else "see the notes"
    as_facts(
        [
            ("table", f"{found.table}, after {found.since}, up to {found.until}"),
            ("certainty", sure),
            ("items", f"{found.items:,}"),
            ("changes", f"{found.changes:,}"),
            ("by event", _counts(found.events)),
            *([] if found.tenants is None else [("by tenant", _counts(found.tenants))]),
            ("by attribute", _counts(found.attributes)),
            ("by actor", _counts(found.actors)),
            *(("busiest key", f"{bytes(each.key).decode()}: {each.changes:,}") for each in found.busiest if each.changes > 1),
        ]
    )
    for text in chart(found):
        out.print(text)


def _counts(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:SHOWN])
    more = f", and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
    return f"{shown}{more}" or "-"


def chart(found: ChangeSummary) -> list[str]:
    """Returns changes by time: a bar for each step on a terminal, else only numbers. Many steps share bars."""
    if not found.times:
        return []
    seconds = {moment.parse_iso_micros(each.time) // 1_000_000: each.changes for each in found.times}
    first, last = min(seconds), max(seconds)
    step = found.step_seconds * (((last - first) // found.step_seconds) // BARS + 1)
    bars = dict.fromkeys(range(first, last + 1, step), 0)
    for second, count in seconds.items():
        bars[first + (second - first) // step * step] += count
    most = max(bars.values())
    return [_bar(second, count, most) for second, count in bars.items()]


def _bar(second: int, count: int, most: int) -> str:
    bar = "█" * max(bool(count), round(count * WIDEST / most)) if out.is_terminal else ""
    return f"{moment.iso(second)[:16]}Z  {bar:<{WIDEST if out.is_terminal else 0}}  {count:,}"
