"""The ids of base backups that an erasure has written anew: the old id, a mark, and the erasure's id."""

from __future__ import annotations

from collections.abc import Collection

MARK = ".erased-"


def stem(base: str) -> str:
    """Returns the id that a base backup had before any erasure."""
    return base.partition(MARK)[0]


def new_id(base: str, erasure: str) -> str:
    """Returns the id under which an erasure writes a base backup anew, whether or not an earlier one has done so."""
    return f"{stem(base)}{MARK}{erasure}"


def replaced(there: Collection[str], whole: Collection[str]) -> dict[str, str]:
    """Returns the ones of `there` that were written anew, each with the newest one of `whole` that replaces it.

    Ids of erasures are in the order of their times.
    """
    newest: dict[str, str] = {}
    for each in sorted(whole, key=lambda one: one.partition(MARK)[2]):
        newest[stem(each)] = each
    found = {each: newest.get(stem(each), each) for each in there}
    return {old: new for old, new in found.items() if old.partition(MARK)[2] < new.partition(MARK)[2]}
