"""Joins a window's changes with CloudTrail's calls, by table, key and time, in bounded memory.

Changes and calls are cut into partitions by key. A partition is judged in memory, and its findings are sorted by time on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Spill, partitions_for
from backstream.errors import Damaged, NotFound, Refused
from backstream.model import moment
from backstream.model.calls.attribution import AttributionStatus, AttributionVerdict, Made, attribute
from backstream.model.calls.cloudtrail import Call, CallTarget
from backstream.model.changes.change import EVENTS
from backstream.model.changes.entry import Entry
from backstream.model.counts import counted
from backstream.model.tables import legacy_names
from backstream.operations.blame.calls import Calls, Fact
from backstream.operations.blame.report import Blamed, BlameFinding, Evidence, finding, kept
from backstream.operations.bulk.progress import Progress
from backstream.operations.changes.reading import WindowLog
from backstream.operations.changes.sorting import TimeSorter
from backstream.operations.changes.window import ChangeWindow, check
from backstream.operations.inspect import safety
from backstream.ports import Clock
from backstream.vault.attribution.cloudtrail import HOUR, Trail, missing
from backstream.vault.attribution.findings import MOST, FindingSummary, KeptFinding
from backstream.vault.table_vault import TableVault

MARGIN = 60  # seconds around the window whose changes are looked at too: a call near its edge may be theirs
PARTITIONS = 64  # at least: how many events CloudTrail holds is not known before they are read

_encode = msgspec.msgpack.Encoder().encode
_verdicts = msgspec.msgpack.Decoder(AttributionVerdict)


class BlameRequest(msgspec.Struct, frozen=True):
    """The request of a blame. `key`: only this item (canonical); `annotate`: keep the findings beside the log.

    `allow_gap`: continue although changes of the window may be missing, or cannot be read; the notes say so; `whole`: the window is
    everything that the vault knows, including gaps.
    """

    span: ChangeWindow
    key: bytes | None = None
    annotate: bool = False
    allow_gap: bool = False
    whole: bool = False


class BlameContext(msgspec.Struct, frozen=True):
    """The context of a blame besides the vault and CloudTrail's files."""

    clock: Clock
    memory: Memory
    progress: Progress


def target_of(vault: TableVault) -> CallTarget:
    """Returns the table whose calls are searched. Raises Refused if the vault does not know its ARN."""
    try:
        return CallTarget.of(vault.catalog.table_arn, vault.catalog.key_schema)
    except ValueError as error:
        raise Refused(
            f"the vault does not know the account and region of {vault.catalog.table}: it never saw the table itself",
            hint=f"Run `backstream init {vault.catalog.table}` while the table exists.",
        ) from error


def blame(
    vault: TableVault, trail: Trail, asked: BlameRequest, around: BlameContext, each: Callable[[BlameFinding], None]
) -> Blamed:
    """Finds the call that made each change of a window. `each` receives the findings in the order of the changes' time.

    Raises UsageError, OutsideWindow, GapInTheWay if the window is invalid or not known. Raises Refused if the files belong to
    another account, and NotFound if there are no files or no events of the table. Nothing is written before all files are read.
    """
    began = around.clock.now()
    sure = check(vault, asked.span, vault.window(began), began, allow_gap=asked.allow_gap or asked.whole)
    report = Blamed(vault.catalog.table, moment.iso(asked.span.since), moment.iso(asked.span.until), trail.url)
    report.notes += sure.notes
    with _Join(vault, asked, around, report) as join:
        join.read_changes()
        join.read_calls(trail)
        for one in join.findings():
            each(one)
    report.seconds = round(around.clock.now() - began, 3)
    return report


class _Join:
    def __init__(self, vault: TableVault, asked: BlameRequest, around: BlameContext, report: Blamed) -> None:
        self._vault = vault
        self._asked = asked
        self._around = around
        self._report = report
        self._hours: set[int] = set()
        self._spill: Spill[Fact] = Spill(max(PARTITIONS, partitions_for(self._expected())), Fact, buffer=around.memory.buffer)
        self._sorter = TimeSorter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sorter.close()
        self._spill.close()

    @property
    def _read(self) -> ChangeWindow:
        return ChangeWindow(max(0, self._asked.span.since - MARGIN), self._asked.span.until + MARGIN)

    def _expected(self) -> int:
        """Returns the expected number of facts: as many calls as there are changes."""
        found = self._vault.inventory(since=self._read.first, until=self._read.until)
        small = sum(each.segment.count for each in found.segments if each.segment is not None)
        return 2 * (small + sum(each.lines for each in found.sets))

    # --- reading ---

    def read_changes(self) -> None:
        """Reads the window's changes, and those around it."""
        keys = None if self._asked.key is None else frozenset([self._asked.key])
        for piece in WindowLog(self._vault, self._read, self._unread, keys=keys, memory=self._around.memory).pieces():
            for entry in piece.entries:
                if not entry.scanned and entry.stream != legacy_names.STREAM and entry.event in EVENTS:
                    made = Made(entry.stream, entry.sequence, entry.micros, entry.event)
                    self._hours.add(made.second // HOUR)
                    self._spill.writer.add(self._vault.key(entry), Fact(made, entry.actor))

    def _unread(self, why: str) -> None:
        if not self._asked.allow_gap:
            raise safety.unreadable_backup([why])
        self._report.notes.append(f"not read: {why}")

    def read_calls(self, trail: Trail) -> None:
        """Reads CloudTrail's events of the hours in which there were changes."""
        report = self._report
        self._evidence = Evidence(None, whole=True, now=self._around.clock.now())
        if not self._hours:
            return
        self._calls = Calls(trail, target_of(self._vault), self._hours, self._around.memory, self._around.progress)
        self._calls.read(self._spill)
        report.files, report.events, report.unreadable = self._calls.files, self._calls.events, self._calls.unreadable
        if not report.files:
            raise missing(trail)
        newest = self._calls.newest
        report.newest_delivery = None if newest is None else moment.iso(newest)
        self._evidence = Evidence(newest, whole=not report.unreadable, now=self._around.clock.now())

    # --- judging ---

    def findings(self) -> Iterator[BlameFinding]:
        """Yields one finding per change of the window, in the order of time; keeps them beside the log if that was requested."""
        for number in range(self._spill.partitions if self._hours else 0):
            self._judge(number)
        waiting: list[KeptFinding] = []
        for entry, _ in self._sorter.until(None):
            made = Made(entry.stream, entry.sequence, entry.micros, entry.event)
            verdict = _verdicts.decode(entry.image or b"")
            found = finding(made, entry.keys, entry.actor, verdict, self._evidence)
            self._report.count(found.status)
            yield found
            to_keep = kept(made, verdict, self._evidence) if self._asked.annotate and entry.actor is None else None
            if to_keep is not None:
                waiting.append(to_keep)
            if len(waiting) >= MOST:
                self._keep(waiting)
                waiting = []
        self._keep(waiting)

    def _judge(self, number: int) -> None:
        """Judges all items of a partition. The verdicts wait in the sorter in the place of their changes' images."""
        items: dict[bytes, tuple[dict[tuple[str, int], Fact], list[Call]]] = {}
        for key, fact, _ in self._spill.heads(number):
            changes, calls = items.setdefault(key, ({}, []))
            if fact.made is not None:
                changes[fact.made.stream, int(fact.made.sequence)] = fact
            elif fact.call is not None:
                calls.append(fact.call)
        for key, (changes, calls) in items.items():
            self._judge_item(key, [changes[place] for place in sorted(changes)], calls)

    def _judge_item(self, key: bytes, facts: list[Fact], calls: list[Call]) -> None:
        asked = [each.made for each in facts if each.made is not None and each.actor is None]
        verdicts = iter(attribute(asked, calls, self._calls.unkeyed.fits))
        begin, end = self._asked.span.micros
        for each in facts:
            verdict = next(verdicts) if each.actor is None else AttributionVerdict(AttributionStatus.NONE)
            made = each.made
            if made is not None and begin <= made.micros < end:
                image = _encode(verdict)
                entry = Entry(made.stream, made.sequence, made.micros, made.event, "", each.actor, key, image)
                self._sorter.add([(entry, None)])

    def _not_a_finding(self, error: Damaged) -> None:
        """Ignores an unreadable finding: new findings are added beside it, and their readers are told of it, too."""
        note = f"not read: {error.message}"
        if note not in self._report.notes:
            self._report.notes.append(note)

    def _keep(self, waiting: list[KeptFinding]) -> None:
        """Keeps the findings that the vault does not know yet."""
        findings = self._vault.findings
        new = [
            each
            for each in waiting
            if not _is_known(findings.of(each.stream, each.sequence, each.micros, self._not_a_finding), each.found)
        ]
        findings.keep(new)
        self._report.annotated += len(new)
        self._report.known += len(waiting) - len(new)


def _is_known(before: FindingSummary | None, now: FindingSummary) -> bool:
    """True if it is kept already, with evidence as good, or found after more deliveries."""
    return before is not None and ((before.says(now) and before.settled >= now.settled) or before.rank > now.rank)


def no_events(report: Blamed) -> NotFound:
    """Returns the error for changes and files without any event of the table."""
    return NotFound(
        f"no call that wrote to {report.table} is in {counted(report.files, 'CloudTrail file')} of that time",
        hint="Data events of DynamoDB are off by default: see docs/who.md.",
    )
