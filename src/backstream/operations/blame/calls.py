"""Reads CloudTrail's events, file by file, into partitions by the keys that they name. Unreadable files are reported."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.spill import Spill
from backstream.errors import Damaged, MissingObject, Refused
from backstream.model.calls import cloudtrail as trails
from backstream.model.calls.attribution import TOLERANCE, Made
from backstream.model.calls.cloudtrail import Call, CallTarget, TrailOwner
from backstream.operations.blame.report import UnreadableFile
from backstream.operations.blame.unkeyed import Unkeyed
from backstream.operations.bulk.progress import Progress
from backstream.vault.attribution import cloudtrail
from backstream.vault.attribution.cloudtrail import HOUR, Trail, TrailFile

READERS = 8
_NAMED = 3  # of what is wrong within one file


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact about a key in a partition: a change, with the actor in the stream's own record, or a call."""

    made: Made | None = None
    actor: str | None = None
    call: Call | None = None


class Calls:
    """Reads the calls that wrote to one table. `hours`: those in which changes were made; calls of other hours are skipped."""

    def __init__(self, trail: Trail, target: CallTarget, hours: Collection[int], memory: Memory, progress: Progress) -> None:
        self._trail = trail
        self._target = target
        self._hours = hours
        self._memory = memory
        self._progress = progress
        self._owners = {TrailOwner.OWN: 0, TrailOwner.OTHER: 0, TrailOwner.UNKNOWN: 0}
        self._others = set[str]()
        self.unkeyed = Unkeyed()
        self.unreadable: list[UnreadableFile] = []
        self.files = 0
        self.events = 0
        self.newest: int | None = None

    def read(self, spill: Spill[Fact]) -> None:
        """Reads all files. Raises Refused if their events belong to another account."""
        files = self._trail.files(self._hours)
        self.newest = cloudtrail.seconds_read(files)
        self._progress.phase("reading CloudTrail", len(files))
        with ThreadPoolExecutor(READERS, thread_name_prefix="trail") as pool:
            reading = ahead(pool, partial(cloudtrail.read, self._trail.source), files, self._memory.bodies, weight=_size)
            for file, body in reading:
                self.files += 1
                try:
                    self._take(file, body(), spill)
                except (Damaged, MissingObject) as error:
                    self.unreadable.append(
                        UnreadableFile(file.name, error.message.removeprefix(f"{self._trail.url}/{file.name}: "))
                    )
                self._progress.advance(1)
        if self._owners[TrailOwner.OTHER] and not self._owners[TrailOwner.OWN]:
            raise self._refused()

    def _take(self, file: TrailFile, body: bytes, spill: Spill[Fact]) -> None:
        wrong: list[str] = []
        for number, event in enumerate(cloudtrail.events(body), 1):
            try:
                self._of_event(event, spill)
            except Damaged as error:
                wrong.append(f"event {number}: {error.message}")
        if wrong:
            more = f"; and {len(wrong) - _NAMED:,} more" if wrong[_NAMED:] else ""
            self.unreadable.append(UnreadableFile(file.name, "; ".join(wrong[:_NAMED]) + more))

    def _of_event(self, event: object, spill: Spill[Fact]) -> None:
        if not isinstance(event, dict):
            raise Damaged("it is no event")
        if not isinstance(event.get("eventSource"), str):
            raise Damaged("an event without eventSource")
        if event["eventSource"] != trails.SOURCE:
            self._owners[TrailOwner.OWN] += event.get("recipientAccountId") == self._target.account
            return
        owner = self._target.owner(event)
        self._owners[owner] += 1
        if owner is TrailOwner.OTHER:
            self._others.add(str(event.get("recipientAccountId") or "another one"))
        second = trails.second_of(event)
        if owner is TrailOwner.OWN:
            self.newest = second if self.newest is None else max(self.newest, second)
        if owner is not TrailOwner.OTHER and trails.is_write(event):
            self._of_write(event, second, owner, spill)

    def _of_write(self, event: dict[str, object], second: int, owner: TrailOwner, spill: Spill[Fact]) -> None:
        written = list(trails.writes(event, self._target))
        if written and owner is TrailOwner.UNKNOWN:
            raise Damaged("an event that says neither its account and region nor its table's ARN")
        self.events += bool(written)
        if not any((second + apart) // HOUR in self._hours for apart in (-TOLERANCE, TOLERANCE)):
            return
        for key, call in written:
            if key is None:
                self.unkeyed.note(second, call.becomes)
            else:
                spill.writer.add(key, Fact(call=call))

    def _refused(self) -> Refused:
        named = ", ".join(sorted(self._others)[:5])
        wanted = self._target
        return Refused(
            f"{self._trail.url} holds the events of account {named}, or of another region: the table {wanted.name} is in account "
            f"{wanted.account} and region {wanted.region}",
            hint="Give the folder of the table's own account and region, or a folder above it.",
        )


def _size(file: TrailFile) -> int:
    return file.size
