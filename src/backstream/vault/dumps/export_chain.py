"""Exports by AWS, and snapshots, as a source of items: a full export, and the incremental ones that lead from it to a moment.

An incremental export's window begins with its first microsecond and ends before its last one. Each of its lines is the state of an
item at the window's end. So a window that begins at or before the moment reached, and ends after it, leads on to its end. The state
within a window is not known: an item that changed after the moment may have changed before it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.errors import Damaged, MalformedRecord, NotFound, Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS, table_name
from backstream.vault.aws_export import Export, NetChange
from backstream.vault.dumps.held import PAGE_BYTES, PAGE_ROWS, HeldFacts, HeldPage, TableKeys, paged

LIMITS = "from an export: it holds items and no settings, and rows that are not in it are left alone"
FOREVER = 1 << 62


class DatedExport(msgspec.Struct, frozen=True):
    """An export with its times in microseconds: `until` is the first one whose changes it lacks; `since` is None for a full one."""

    export: Export
    since: int | None
    until: int

    @classmethod
    def of(cls, export: Export) -> DatedExport:
        """Raises Damaged if its summary has no usable times."""
        summary = export.summary
        if not summary.incremental:
            return cls(export, None, _micros(summary.export_time, "exportTime"))
        since, until = _micros(summary.export_from_time, "exportFromTime"), _micros(summary.export_to_time, "exportToTime")
        return cls(export, since, until)

    @property
    def table(self) -> str:
        """The name of its table. Raises Damaged if the summary does not tell it."""
        try:
            return table_name(self.export.summary.table_arn)
        except MalformedRecord as error:
            raise Damaged(f"the export's manifest-summary.json has no usable tableArn: {error.message}") from error


class ExportChain:
    """A full export, and the incremental ones after it, in their order. See `HeldTable`."""

    def __init__(self, full: DatedExport, windows: Sequence[DatedExport], url: str, notes: Sequence[str] = ()) -> None:
        self._exports = [full, *windows]
        self._notes = [*_filtered(full), *notes]
        until = self._exports[-1].until
        self.facts = HeldFacts(
            what="an export" if not windows else f"an export and {len(windows)} incremental ones",
            url=url,
            table=full.table,
            table_arn=full.export.summary.table_arn,
            table_id=full.export.summary.table_id or "",
            at=until // MICROS,
            limits=LIMITS,
            rows=full.export.summary.item_count if not windows else None,
            read=(until // MICROS, until // MICROS),
            moment=True,
        )

    def pages(self, keys: TableKeys) -> Iterator[HeldPage]:  # noqa: ARG002 - every line is an item
        """See `HeldTable`."""
        full, *windows = (each.export for each in self._exports)
        for file in full.files:
            yield from paged(file.name, enumerate(full.images(file), 1))
        for export in windows:
            for file in export.files:
                yield from _changed(file.name, export.changes(file))

    def missing(self) -> list[str]:
        """Describes what `--allow-gap` would accept: a moment that the exports do not reach exactly."""
        return self._notes


def chain_of(exports: Sequence[Export], table: str, url: str, at: int | None) -> ExportChain:
    """Returns the exports that lead to a moment: those that reach furthest, and of these the ones from the latest full export.

    `at`: a second, whose changes are wanted too; None: as far as the exports reach. A moment that they do not reach exactly is
    named as missing. Raises NotFound if no full export of the table is there, and Refused if none is early enough.
    """
    dated = _whole([each for each in map(DatedExport.of, exports) if each.table == table])
    fulls = [each for each in dated if each.since is None]
    if not fulls:
        others = ", ".join(sorted({each.table for each in map(DatedExport.of, exports)})) or "no export at all"
        none = f"{url} holds no export of {table}; it holds {others}"
        what = f"the exports of {table} in {url} are all incremental" if dated else none
        raise NotFound(what, hint="A restore begins with a full export. Name the folder that holds it, and its table.")
    most = FOREVER if at is None else (at + 1) * MICROS
    early = [each for each in fulls if each.until <= most]
    if not early:
        first = min(each.until for each in fulls)
        raise Refused(
            f"the earliest full export of {table} in {url} is of {_iso(first)}: nothing earlier can be restored",
            hint="An incremental export does not lead backwards.",
        )
    chains = [(full, _windows(full, dated, most)) for full in early]
    full, windows = max(chains, key=lambda each: (_end(*each), each[0].until))
    return ExportChain(full, windows, url, [] if at is None else _misses(at, _end(full, windows), dated))


def _whole(dated: Sequence[DatedExport]) -> list[DatedExport]:
    """Leaves out exports made with a filter: they lack items. If no other full one is there, it stays, and is named as missing."""
    whole = [each for each in dated if not each.export.summary.filtered]
    if any(each.since is None for each in whole):
        return whole
    return [*whole, *(each for each in dated if each.since is None)]


def _filtered(full: DatedExport) -> list[str]:
    return ["it was made with a filter, so that items are missing"] if full.export.summary.filtered else []


def _windows(full: DatedExport, dated: Sequence[DatedExport], most: int) -> list[DatedExport]:
    """Returns the incremental exports of the same table that lead on from a full one, up to `most`."""
    ours = full.export.summary.table_id
    candidates = [
        each for each in dated if each.since is not None and each.until <= most and ours in (None, each.export.summary.table_id)
    ]
    reached, found = full.until, list[DatedExport]()
    while nexts := [each for each in candidates if (each.since or 0) <= reached < each.until]:
        found.append(max(nexts, key=lambda each: each.until))
        reached = found[-1].until
    return found


def _end(full: DatedExport, windows: Sequence[DatedExport]) -> int:
    return (windows[-1] if windows else full).until


def _misses(at: int, end: int, dated: Sequence[DatedExport]) -> list[str]:
    """Describes a moment that the exports do not reach: one that is neither the end of the last, nor the second before it."""
    if at * MICROS <= end <= (at + 1) * MICROS:
        return []
    later = min((each.until for each in dated if each.until > (at + 1) * MICROS), default=None)
    more = "" if later is None else f"; the next export ends at {_iso(later)}"
    return [f"its exports lead to {_iso(end)}, not to {moment.iso(at)}{more}"]


def _iso(micros: int) -> str:
    return moment.iso(micros // MICROS)


def only_export(export: Export, url: str) -> ExportChain:
    """Returns one full export as a source. Raises UsageError if it is an incremental one."""
    dated = DatedExport.of(export)
    if dated.since is not None:
        raise UsageError(
            f"an incremental export holds changes, not items: {url}",
            hint="Name the folder AWSDynamoDB that holds the full export, too, with --at for an earlier moment.",
        )
    return ExportChain(dated, [], url)


def _changed(name: str, changes: Iterator[NetChange]) -> Iterator[HeldPage]:
    images: list[bytes] = []
    lines: list[int] = []
    deleted: list[bytes] = []
    size = 0
    for line, change in enumerate(changes, 1):
        if change.new is None:
            deleted.append(change.keys)
        else:
            images.append(change.new)
            lines.append(line)
        size += len(change.new or change.keys)
        if len(images) + len(deleted) >= PAGE_ROWS or size >= PAGE_BYTES:
            yield HeldPage(name, images, lines, deleted)
            images, lines, deleted, size = [], [], [], 0
    yield HeldPage(name, images, lines, deleted)


def _micros(text: str | msgspec.UnsetType, field: str) -> int:
    """Returns a summary's time. Raises Damaged if it is not one."""
    try:
        return moment.parse_iso_micros("" if isinstance(text, msgspec.UnsetType) else text)
    except ValueError as error:
        what = "it is not there" if isinstance(text, msgspec.UnsetType) else repr(text)
        raise Damaged(f"the export's manifest-summary.json has no usable {field}: {what}") from error
