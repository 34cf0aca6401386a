"""The plan of a revert as a file: lines of JSON that can be read, kept, and applied without change.

The first line names the table and the window. Then comes a line for each item that is written or left alone, then the counts. The
last line is the SHA-256 of all lines before it. Only its owner may read the file, because it holds items.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, Failed, Refused, UsageError
from backstream.model.changes.merge import Merge, MergeStep, MergeVerdict
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.object_limits import PLAN_LINE
from backstream.operations.changes import doubts_about
from backstream.operations.revert.request import OnConflict

_Kind = TypeVar("_Kind")
KIND = "backstream-revert"
FORMAT = 1
LEAST = 3  # lines: head, counts and digest
_NULL = msgspec.Raw(b"null")
_NEW = "Make a new one with --plan FILE."


class PlanHead(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """The first line. `since`, `until`: the window, and `made`: when it was planned (ISO 8601, UTC); `selection`: the filters."""

    plan: str = KIND
    format: int = FORMAT
    id: str
    table: str
    arn: str
    table_id: str
    since: str
    until: str
    made: str
    proven_until: str | None
    merge: Merge
    on_conflict: OnConflict
    selection: dict[str, str] = {}
    warnings: list[str] = []


class Undoing(msgspec.Struct, frozen=True):
    """One change that is undone, or that stays (`chosen` is false): the item before and after it."""

    before: msgspec.Raw
    after: msgspec.Raw
    chosen: bool = True


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One item. `action`: put, update, delete, or leave; `reason`: why, as text.

    `live`: the item as it was when the plan was made, and the precondition of the write; `after`: its new image; null if there is
    no item. `changed`: the attributes in which they differ. `verdict`: the result of the merge, "failed" if it could not be made.
    `undoing`: the changes that are undone.
    """

    key: msgspec.Raw
    action: str
    verdict: str
    reason: str = ""
    changed: list[str] = []
    live: msgspec.Raw = _NULL
    after: msgspec.Raw = _NULL
    undoing: list[Undoing] = []

    @property
    def steps(self) -> tuple[list[MergeStep], list[bool]]:
        """Returns the changes in the form of the merge."""
        steps = [MergeStep(image_in(each.before), image_in(each.after)) for each in self.undoing]
        return steps, [each.chosen for each in self.undoing]

    @property
    def is_written(self) -> bool:
        """True if the plan writes the item."""
        return self.action != LEAVE


LEAVE = "leave"
FAILED = "failed"


class PlanCounts(msgspec.Struct, kw_only=True):
    """The number of items of each kind, and the write units that they take. `unchanged` items have no line.

    `undecided`, `ambiguous`: the numbers of changes that may match, and were not selected: see `ChangeSelection`.
    """

    put: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    conflicts: int = 0
    gone: int = 0
    failed: int = 0
    write_units: int = 0
    dollars: float = 0.0
    estimated_seconds: float = 0.0
    expired: int = 0
    undecided: int = 0
    ambiguous: int = 0

    def add(self, row: PlanRow) -> None:
        """Counts a row."""
        match row.action, row.verdict:
            case "put", _:
                self.put += 1
            case "update", _:
                self.updated += 1
            case "delete", _:
                self.deleted += 1
            case _, MergeVerdict.CONFLICT:
                self.conflicts += 1
            case _, MergeVerdict.GONE:
                self.gone += 1
            case _:
                self.failed += 1

    @property
    def of_rows(self) -> tuple[int, ...]:
        """The counts of the rows that have a line."""
        return self.put, self.updated, self.deleted, self.conflicts, self.gone, self.failed

    @property
    def written(self) -> int:
        """The number of items to be written."""
        return self.put + self.updated + self.deleted


def raw(image: bytes | None) -> msgspec.Raw:
    """Returns an image in the form of a line's field."""
    return _NULL if image is None else msgspec.Raw(wire.one_line(image))


def image_in(field: msgspec.Raw) -> bytes | None:
    """The inverse of `raw`."""
    return None if bytes(field) == b"null" else bytes(field)


def action_of(live: bytes | None, after: bytes | None) -> str:
    """Returns the action that turns one state of an item into the other."""
    return "delete" if after is None else "put" if live is None else "update"


def _contradiction(row: PlanRow, key_of: Callable[[bytes], bytes]) -> str:
    """Returns why a row cannot be executed; empty if it can."""
    live, after = image_in(row.live), image_in(row.after)
    if not row.is_written:
        return "" if after is None else "it is to be left, and has a state after it"
    if row.verdict != MergeVerdict.WRITE or row.action != action_of(live, after):
        return f"the action {row.action} of the verdict {row.verdict} is not what its images say"
    try:
        images = [each for each in (live, after) if each is not None]
        for each in images:
            wire.well_formed_item(each)
        keys = {key_of(each) for each in (bytes(row.key), *images)}
    except BackstreamError as error:
        return error.message
    return "" if images and len(keys) == 1 else "its images are not of its key"


class PlanWriter:
    """Writes a plan line by line. `seal` makes it whole and durable; until then it is not a plan."""

    def __init__(self, path: Path, head: PlanHead) -> None:
        """Raises Failed if there is no room, and UsageError if the file exists."""
        self._path = path
        self._digest = sha256()
        self._encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
        try:
            self._file: BinaryIO = private_files.create(path)
        except FileExistsError as error:
            raise UsageError(f"{path} is there already", hint="Give the plan another name, or move that file away.") from error
        except OSError as error:
            raise self._not_written(error) from error
        self._line(head)

    def add(self, row: PlanRow) -> None:
        """Adds one item."""
        self._line(row)

    def seal(self, counts: PlanCounts) -> None:
        """Ends the plan: all items are in it."""
        self._line(counts)
        try:
            self._file.write(self._encode({"sha256": self._digest.hexdigest()}) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise self._not_written(error) from error

    def discard(self) -> None:
        """Leaves nothing behind."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _line(self, value: object) -> None:
        line = self._encode(value) + b"\n"
        self._digest.update(line)
        try:
            self._file.write(line)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> Failed:
        return Failed(f"the plan cannot be written to {self._path}: {error.strerror}", hint="Make room, or give another path.")


class Plan:
    """A finished plan. Raises UsageError if the file is not one; Refused if it has been altered since, or cut short."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = self._checked()
        lines = self._lines()
        self.head: PlanHead = self._decoded(next(lines), PlanHead)
        if self.head.plan != KIND or self.head.format > FORMAT:
            raise UsageError(f"{path} is no plan of a revert that this version knows", hint="Use a newer Backstream.")
        self.counts: PlanCounts = self._decoded(deque(lines, maxlen=1)[0], PlanCounts)

    def rows(self) -> Iterator[PlanRow]:
        """Yields every item that is written or left alone, in the order of the file."""
        lines = self._lines()
        next(lines)
        line = next(lines)
        for following in lines:
            yield self._decoded(line, PlanRow)
            line = following

    @property
    def warnings(self) -> list[str]:
        """The uncertainties of its window and of its selection."""
        return [*self.head.warnings, *doubts_about(self.counts.undecided, self.counts.ambiguous)]

    def check_rows(self, key_of: Callable[[bytes], bytes]) -> None:
        """Raises Refused if a row contradicts its images, or if the counts differ: before any of it is written."""
        counts = PlanCounts()
        for number, row in enumerate(self.rows(), 2):
            why = _contradiction(row, key_of)
            if why:
                raise Refused(f"line {number} of the plan {self.path} contradicts itself: {why}; nothing was touched", hint=_NEW)
            counts.add(row)
        if counts.of_rows != self.counts.of_rows:
            raise Refused(f"the plan {self.path} has other rows than it counts; nothing was touched", hint=_NEW)

    def _checked(self) -> str:
        """Returns the digest of all but the last line, which states the same."""
        digest, line, count = sha256(), b"", 0
        for following in self._whole():
            digest.update(line)
            line, count = following, count + 1
        try:
            said = msgspec.json.decode(line, type=dict[str, str]).get("sha256", "")
        except UNDECODABLE:
            said = ""
        if said == digest.hexdigest() and count >= LEAST:
            return said
        self._check_kind()
        raise Refused(
            f"the plan {self.path} has been altered, or is not whole: nothing was touched",
            hint=_NEW,
        )

    def _check_kind(self) -> None:
        """Raises UsageError if the first line is not a plan's."""
        first = next(self._whole(), b"")
        self._decoded(first, PlanHead)

    def _lines(self) -> Iterator[bytes]:
        """Yields all lines but the last."""
        lines = self._whole()
        line = next(lines)
        for following in lines:
            yield line
            line = following

    def _whole(self) -> Iterator[bytes]:
        try:
            with private_files.opened(self.path) as file:
                yield from private_files.lines(file, self.path, PLAN_LINE)
        except OSError as error:
            link = "A link is not followed: give the file itself." if error.errno == errno.ELOOP else ""
            raise UsageError(f"cannot read the plan {self.path}: {error.strerror}", hint=link) from error

    def _decoded(self, line: bytes, kind: type[_Kind]) -> _Kind:
        try:
            return msgspec.json.decode(line, type=kind)
        except UNDECODABLE as error:
            raise UsageError(
                f"{self.path} is not the plan of a revert: {reason(error)}", hint="`--plan FILE` makes one."
            ) from error
