"""The findings and the report of a check."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.ports import ObjectVersion

NULL = msgspec.Raw(b"null")
_VERSIONED = re.compile(r"(?P<name>.+) \(version (?P<version>[^()]+)\)", re.DOTALL)
NAMED = 10_000  # findings that a report names; of more it gives the number


class FindingKind(enum.StrEnum):
    """The kind of a finding.

    HIDDEN: behind a delete marker that is not this tool's own; MISSING: claimed but not there; DAMAGED: there, with wrong contents;
    FOREIGN: there, but not part of the vault; LOST: a change that the changes around it prove, and that the log lacks; UNLOCKED: in
    a bucket with Object Lock, what must have been refused was not.
    """

    HIDDEN = "hidden"
    MISSING = "missing"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    LOST = "lost"
    UNLOCKED = "unlocked"


class Finding(msgspec.Struct, frozen=True):
    """One fault. `object`: its name in the vault; `version`: the version of a row, None for other objects; `key`: the item's, null
    if it is not about one item.

    `since`, `until` (in JSON `from` and `to`): the first and the last moment that it affects, in ISO 8601; `until` None: still;
    both None: no moment, or all. `rows`: the number of affected changes or rows, None if unknown. `repairable`: True if `--repair`
    mends it; `repaired`: True if it did.
    """

    kind: FindingKind
    object: str
    why: str
    key: msgspec.Raw = NULL
    since: str | None = msgspec.field(name="from", default=None)
    until: str | None = msgspec.field(name="to", default=None)
    repairable: bool = False
    version: str | None = None
    rows: int | None = None
    repaired: bool = False

    def __str__(self) -> str:
        key = bytes(self.key).decode()
        whose = "" if key == "null" else f" of {key}"
        version = "" if self.version is None else f" (version {self.version})"
        when = "" if self.since is None else f"; it affects {self.since} to {self.until or 'now'}"
        return f"{self.object}{version}{whose}: {self.why}{when}"

    def affects(self, at: str) -> bool:
        """True if it affects the state at a moment (ISO 8601, like the finding's own)."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)


class RepairableFinding(msgspec.Struct, frozen=True):
    """A finding, and the delete markers whose removal mends it."""

    finding: Finding
    markers: Sequence[ObjectVersion] = ()


def hidden(name: str, markers: Sequence[ObjectVersion], why: str, seconds: tuple[int, int] | None = None) -> RepairableFinding:
    """Returns the finding about an object behind delete markers."""
    since, until = moments(seconds)
    put = moment.iso(int(max(each.modified for each in markers)))
    finding = Finding(
        FindingKind.HIDDEN, name, f"{why}: hidden by a delete marker of {put}", since=since, until=until, repairable=True
    )
    return RepairableFinding(finding, markers)


def wrong(
    kind: FindingKind, name: str, why: str, seconds: tuple[int, int | None] | None = None, rows: int | None = None
) -> RepairableFinding:
    """Returns a finding that no removal of a marker mends."""
    since, until = moments(seconds)
    return RepairableFinding(Finding(kind, name, why, since=since, until=until, rows=rows))


def planted(error: Damaged) -> RepairableFinding:
    """Returns the finding about a later version of an object that is written once, as the readers name it."""
    name, _, why = error.message.partition(": ")
    return second_version(name, why)


def second_version(name: str, why: str) -> RepairableFinding:
    """Returns the finding about an object that does not count, by its name from `below_markers.later_version`."""
    found = _VERSIONED.fullmatch(name)
    if found is None:
        return wrong(FindingKind.DAMAGED, name, why)
    return RepairableFinding(Finding(FindingKind.DAMAGED, found["name"], why, version=found["version"]))


def moments(seconds: tuple[int, int | None] | None) -> tuple[str | None, str | None]:
    """Returns the same as text."""
    if seconds is None:
        return None, None
    since, until = seconds
    return moment.iso(since), None if until is None else moment.iso(until)


class Checked(msgspec.Struct, frozen=True):
    """The result of a check of one table's vault.

    `objects`, `versions`: the numbers compared with the vault's claims; `changes`: the number of lines of the log and of base
    backups that were read; `bodies`: the number of rows that were read (`--read-data`); `findings`: at most ten thousand; `found`:
    the number of all findings; `repaired`: the number of them whose markers `--repair` removed; `unrecorded`: why lost changes are
    not recorded as gaps of their items; `checked`, `unchecked`: the parts that were checked, and those that were not.
    """

    table: str
    objects: int
    versions: int
    findings: Sequence[Finding]
    found: int = 0
    repaired: int = 0
    changes: int = 0
    bodies: int = 0
    seconds: float = 0.0
    unrecorded: str = ""
    checked: Sequence[str] = ()
    unchecked: Sequence[str] = ()

    @property
    def left(self) -> int:
        """The number of findings still to be mended."""
        return self.found - self.repaired
