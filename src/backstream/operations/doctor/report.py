"""What a look at one thing found, and all of them together."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence

import msgspec

from backstream.errors import BackstreamError, Damaged


class CheckVerdict(enum.StrEnum):
    """OK; WARNING: works, and could be safer; WRONG: changes or restores are, or will be, lost; UNKNOWN: could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Check(msgspec.Struct, frozen=True):
    """One look. `name`: at what; `of`: whose (a table's, bucket's or function's name); `mend`: the next step, a command if there
    is one, empty where nothing is to be done.
    """

    name: str
    verdict: CheckVerdict
    found: str
    mend: str = ""
    of: str = ""


class Doctor(msgspec.Struct, frozen=True):
    """All checks, in the order in which they build on each other; `wrong`, `warnings`, `unknown`: how many there are of each."""

    table: str | None
    vault: str | None
    checks: Sequence[Check]
    wrong: int
    warnings: int
    unknown: int


ALLOWED = "allowed"  # what is found of a permission that is there

Look = Callable[[], Check | Iterable[Check]]


def report(table: str | None, vault: str | None, checks: Sequence[Check]) -> Doctor:
    """The checks, counted."""
    verdicts = [each.verdict for each in checks]
    counts = {each: verdicts.count(each) for each in CheckVerdict}
    return Doctor(table, vault, checks, counts[CheckVerdict.WRONG], counts[CheckVerdict.WARNING], counts[CheckVerdict.UNKNOWN])


def ok(name: str, found: str) -> Check:
    """Nothing to be done."""
    return Check(name, CheckVerdict.OK, found)


def warning(name: str, found: str, mend: str = "") -> Check:
    """Could be safer."""
    return Check(name, CheckVerdict.WARNING, found, mend)


def wrong(name: str, found: str, mend: str = "") -> Check:
    """To be mended."""
    return Check(name, CheckVerdict.WRONG, found, mend)


def unknown(name: str, error: BackstreamError) -> Check:
    """Could not be looked at, and why."""
    return Check(name, CheckVerdict.UNKNOWN, error.message, error.hint)


def not_looked_at(names: Iterable[str], why: str) -> list[Check]:
    """What could not be looked at since something else is not there: unknown, each of them."""
    return [Check(name, CheckVerdict.UNKNOWN, f"not looked at: {why}") for name in names]


def look(name: str, at: Look) -> list[Check]:
    """What a look finds; what stands in its way is a finding too, never an end to the others, and never `ok`."""
    try:
        found = at()
        return [found] if isinstance(found, Check) else list(found)
    except Damaged as error:
        return [wrong(name, error.message, error.hint)]
    except BackstreamError as error:
        return [unknown(name, error)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # an answer of another shape than AWS documents
        return [Check(name, CheckVerdict.UNKNOWN, f"an answer that cannot be read: {error!r}")]


def about(subject: str, checks: Iterable[Check]) -> list[Check]:
    """The checks, said to be of that subject."""
    return [msgspec.structs.replace(each, of=each.of or subject) for each in checks]
