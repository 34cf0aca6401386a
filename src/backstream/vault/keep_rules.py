"""The rule of retention that a catalog holds."""

from __future__ import annotations

from backstream.model.keep_rule import KeepRule
from backstream.vault.catalog import Catalog


def rule_of(catalog: Catalog) -> KeepRule | None:
    """Returns the rule by which `retain` goes; None if nobody has given one."""
    return None if catalog.keep is None else KeepRule(catalog.keep, catalog.keep_daily, catalog.keep_monthly)
