"""What a check finds."""

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
    """HIDDEN: behind a delete marker that is not this tool's own; MISSING: claimed, and not there; DAMAGED: there, and not what it
    should be; FOREIGN: there, and not of the vault; LOST: a change that the changes around it prove, and that the log lacks.
    """

    HIDDEN = "hidden"
    MISSING = "missing"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    LOST = "lost"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. `object`: its name in the vault; `version`: which of its versions, None where it is no row;
    `key`: the item's, null where it is not about one item.

    `since`, `until` (in JSON `from` and `to`): the first and the last moment that it affects, in ISO 8601; `until` None: still;
    both None: no moment, or all. `rows`: how many changes or rows it affects, None where nobody knows. `repairable`: whether
    `--repair` mends it; `repaired`: whether it did.
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
        """Whether it affects the state at a moment (ISO 8601, as the finding's own)."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)


class RepairableFinding(msgspec.Struct, frozen=True):
    """A finding, and the delete markers whose removal mends it."""

    finding: Finding
    markers: Sequence[ObjectVersion] = ()


def hidden(name: str, markers: Sequence[ObjectVersion], why: str, seconds: tuple[int, int] | None = None) -> RepairableFinding:
    """An object behind delete markers."""
    since, until = moments(seconds)
    put = moment.iso(int(max(each.modified for each in markers)))
    finding = Finding(
        FindingKind.HIDDEN, name, f"{why}: hidden by a delete marker of {put}", since=since, until=until, repairable=True
    )
    return RepairableFinding(finding, markers)


def wrong(
    kind: FindingKind, name: str, why: str, seconds: tuple[int, int | None] | None = None, rows: int | None = None
) -> RepairableFinding:
    """Something that no removal of a marker mends."""
    since, until = moments(seconds)
    return RepairableFinding(Finding(kind, name, why, since=since, until=until, rows=rows))


def planted(error: Damaged) -> RepairableFinding:
    """A later version of what is written once, as the readers name it."""
    name, _, why = error.message.partition(": ")
    return second_version(name, why)


def second_version(name: str, why: str) -> RepairableFinding:
    """An object that does not count, by the name that `layouts.hidden.later_version` gives it."""
    found = _VERSIONED.fullmatch(name)
    if found is None:
        return wrong(FindingKind.DAMAGED, name, why)
    return RepairableFinding(Finding(FindingKind.DAMAGED, found["name"], why, version=found["version"]))


def moments(seconds: tuple[int, int | None] | None) -> tuple[str | None, str | None]:
    """The same as text."""
    if seconds is None:
        return None, None
    since, until = seconds
    return moment.iso(since), None if until is None else moment.iso(until)


class Checked(msgspec.Struct, frozen=True):
    """What a check of one table's vault found.

    `objects`, `versions`: how many were compared with the vault's claims; `changes`: how many lines of the log and of base backups
    were read; `bodies`: how many rows were read (`--read-data`); `findings`: at most ten thousand; `found`: how many there are;
    `repaired`: of how many `--repair` removed the markers; `unrecorded`: why lost changes are no gaps of their items yet;
    `checked`, `unchecked`: what was looked at, and what was not.
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
        """How many findings are still to be mended."""
        return self.found - self.repaired
