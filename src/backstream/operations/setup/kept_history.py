"""The history that `retain` keeps, as `init` records it."""

from __future__ import annotations

import msgspec

from backstream.errors import UsageError
from backstream.model.keep_rule import duration_of
from backstream.vault.catalog import Catalog
from backstream.vault.keep_rules import rule_of


class KeepOptions(msgspec.Struct, frozen=True):
    """The periods (seconds) for all history, for the ends of days and for the ends of months. None: unchanged; 0: none."""

    every: int | None = None
    daily: int | None = None
    monthly: int | None = None


def with_rule(catalog: Catalog, options: KeepOptions) -> Catalog:
    """Returns the catalog with the rule from now on. Raises UsageError if its periods do not fit together."""
    after = msgspec.structs.replace(
        catalog,
        keep=_from(options.every, catalog.keep),
        keep_daily=_from(options.daily, catalog.keep_daily),
        keep_monthly=_from(options.monthly, catalog.keep_monthly),
    )
    rule = rule_of(after)
    if rule is not None:
        rule.check()
    elif after.keep_daily is not None or after.keep_monthly is not None:
        raise UsageError(
            "--keep-daily and --keep-monthly go with --keep, which keeps every second of its period",
            hint="As in --keep 90d --keep-daily 1y --keep-monthly 7y; or end them, too, by `none`.",
        )
    return after


def _from(wanted: int | None, known: int | None) -> int | None:
    return known if wanted is None else (wanted or None)


def changes(known: Catalog, wanted: Catalog) -> list[str]:
    """Describes what `retain` keeps from now on, if that has changed."""
    found = list[str]()
    for what, now, before, nothing in (
        ("history", wanted.keep, known.keep, "all"),
        ("ends of days", wanted.keep_daily, known.keep_daily, "none"),
        ("ends of months", wanted.keep_monthly, known.keep_monthly, "none"),
    ):
        if now != before:
            found.append(f"{what} that `retain` keeps: {duration_of(now) or nothing} (was: {duration_of(before) or nothing})")
    return found
