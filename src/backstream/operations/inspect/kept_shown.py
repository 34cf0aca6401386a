"""The part of `status` about history that is kept, and about items that were taken out of it."""

from __future__ import annotations

import msgspec

from backstream.model import moment
from backstream.model.keep_rule import duration_of
from backstream.model.window import Window
from backstream.vault.catalog import Catalog
from backstream.vault.keep_rules import rule_of
from backstream.vault.table_vault import TableVault

MOST_ERASURES = 20  # that are told: each takes two requests


class RuleShown(msgspec.Struct, frozen=True):
    """The rule of `retain`, as `400d`.

    `every`: the period in which every second is kept; `daily`, `monthly`: the periods in which the ends of days and months are
    kept, None for none.
    """

    every: str
    daily: str | None
    monthly: str | None


class ErasureShown(msgspec.Struct, frozen=True):
    """One erasure.

    `at`: changes up to then are erased (ISO 8601, UTC); `items`: the number of items; `forgets`: True if their later changes are
    discarded, too; `finished`: False while something is left of them.
    """

    id: str
    at: str
    reason: str
    items: int
    forgets: bool
    finished: bool


def rule(catalog: Catalog) -> RuleShown | None:
    """Returns the rule of retention; None if there is none."""
    found = rule_of(catalog)
    if found is None:
        return None
    return RuleShown(duration_of(found.every), duration_of(found.daily) or None, duration_of(found.monthly) or None)


def states(window: Window) -> list[str]:
    """Returns the moments before the horizon that can be restored."""
    return [moment.iso(each) for each in window.kept_seconds]


def erasures(vault: TableVault) -> list[ErasureShown]:
    """Returns the last erasures, oldest first."""
    found = list[ErasureShown]()
    for each in vault.catalog.erasures[-MOST_ERASURES:]:
        one = vault.erasures.read(each)
        is_finished = vault.erasures.finished(each) is not None
        found.append(ErasureShown(one.id, one.at, one.reason, len(one.rows), one.forgets, is_finished))
    return found
