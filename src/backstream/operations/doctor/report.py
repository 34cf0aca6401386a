"""The result of one check, and of all of them together."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence

import msgspec

from backstream.errors import BackstreamError, Damaged


class CheckVerdict(enum.StrEnum):
    """The verdict of a check.

    OK; WARNING: works, and could be safer; WRONG: changes or restores are, or will be, lost; UNKNOWN: could not be checked.
    """

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Check(msgspec.Struct, frozen=True):
    """One check.

    `name`: its subject; `of`: the table's, bucket's or function's name; `mend`: the next step, a command if there is one, empty if
    nothing must be done.
    """

    name: str
    verdict: CheckVerdict
    found: str
    mend: str = ""
    of: str = ""


class Doctor(msgspec.Struct, frozen=True):
    """All checks, in the order in which they build on each other; `wrong`, `warnings`, `unknown`: their numbers."""

    table: str | None
    vault: str | None
    checks: Sequence[Check]
    wrong: int
    warnings: int
    unknown: int


ALLOWED = "allowed"  # what is found of a permission that is there

Look = Callable[[], Check | Iterable[Check]]


def report(table: str | None, vault: str | None, checks: Sequence[Check]) -> Doctor:
    """Returns the checks, counted."""
    verdicts = [each.verdict for each in checks]
    counts = {each: verdicts.count(each) for each in CheckVerdict}
    return Doctor(table, vault, checks, counts[CheckVerdict.WRONG], counts[CheckVerdict.WARNING], counts[CheckVerdict.UNKNOWN])


def ok(name: str, found: str) -> Check:
    """Returns a check with nothing to do."""
    return Check(name, CheckVerdict.OK, found)


def warning(name: str, found: str, mend: str = "") -> Check:
    """Returns a check that could be safer."""
    return Check(name, CheckVerdict.WARNING, found, mend)


def wrong(name: str, found: str, mend: str = "") -> Check:
    """Returns a check that needs a fix."""
    return Check(name, CheckVerdict.WRONG, found, mend)


def unknown(name: str, error: BackstreamError) -> Check:
    """Returns a check that could not be made, with the reason."""
    return Check(name, CheckVerdict.UNKNOWN, error.message, error.hint)


def not_looked_at(names: Iterable[str], why: str) -> list[Check]:
    """Returns unknown checks that could not be made because something else is missing."""
    return [Check(name, CheckVerdict.UNKNOWN, f"not looked at: {why}") for name in names]


def look(name: str, at: Look) -> list[Check]:
    """Returns the checks of a look. An error is a check too: it never ends the others, and is never `ok`."""
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
    """Returns the checks with that subject."""
    return [msgspec.structs.replace(each, of=each.of or subject) for each in checks]
