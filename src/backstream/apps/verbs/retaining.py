"""The operation that removes old history: `TableBackup.retain`."""

from __future__ import annotations

import os
from collections.abc import Callable

from backstream.apps.config import Config
from backstream.apps.verbs.periods import Period, checked_period, period_of
from backstream.errors import AccessDenied, Refused, UsageError
from backstream.model import retention
from backstream.model.keep_rule import duration_of
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.operations.setup.kept_history import KeepOptions, with_rule
from backstream.ports import ObjectVersion, VersionLock
from backstream.vault.keep_rules import rule_of


class Retaining:
    """The part of a table's backup that removes history."""

    _config: Config
    _name: str

    def retain(
        self,
        keep: Period = None,
        *,
        keep_daily: Period = None,
        keep_monthly: Period = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Retention:
        """Keeps the history of the last `keep` (`400d`, or seconds), and removes for good what only older moments need.

        `keep_daily`, `keep_monthly`: the longer periods in which the ends of days and months stay restorable; `none` for none.
        None: what `init` has recorded, or UsageError; Refused if that is less than `BACKSTREAM_KEEP_AT_LEAST`. Every moment since
        stays restorable. Safe beside all other work; an interrupted run is completed by the next. A locked version stays until a
        later run; a history shorter than the bucket's lock raises Refused. `dry_run`: only report what would be removed, its price,
        and what is locked until when.
        """
        config = self._config
        vault = config.verified(self._name)
        told = KeepOptions(period_of(keep), period_of(keep_daily), period_of(keep_monthly))
        rule = rule_of(with_rule(vault.catalog, told))
        if rule is None:
            raise UsageError(
                f"how much history of {self._name} is to be kept?",
                hint=f"Write a period, as --keep 400d, or say it once for all runs: `backstream init {self._name} --keep 400d`.",
            )
        seconds, least = checked_period(config, rule.every), retention.least(os.environ)
        if keep is None and seconds < least:
            raise _too_short(self._name, seconds, least)
        remover = None if dry_run else config.remover
        locks = _locks(config) if dry_run else None
        around = RetainContext(config.clock, remover, config.memory, progress or Silent(), spared=least, lock_of=locks)
        return retain(vault, rule, around)


def _locks(config: Config) -> Callable[[ObjectVersion], VersionLock | None] | None:
    """Returns what tells the lock of a version, with a request for each; None if the bucket has no Object Lock."""
    trial = config.lock_trial
    try:
        return None if trial is None or not trial.is_on() else config.remover.lock_of
    except AccessDenied:
        return config.remover.lock_of  # locks hold all the same


def _too_short(table: str, seconds: int, least: int) -> Refused:
    return Refused(
        f"the catalog says that {seconds:,} seconds of the history of {table} are kept, less than {least:,}. Anybody who writes "
        "into the bucket may have said so: nothing was removed",
        hint=f"If it is right, give the period, as --keep {duration_of(seconds)}, or set {retention.VARIABLE}. "
        "Else find out who wrote the catalog.",
    )
