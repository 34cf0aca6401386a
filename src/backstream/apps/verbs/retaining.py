"""The operation that removes old history: `TableBackup.retain`."""

from __future__ import annotations

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import seconds_of
from backstream.apps.verbs.periods import checked_period
from backstream.errors import UsageError
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.retain import RetainContext, Retention, retain


class Retaining:
    """The part of a table's backup that removes history."""

    _config: Config
    _name: str

    def retain(self, keep: str | int | None = None, *, dry_run: bool = False, progress: Progress | None = None) -> Retention:
        """Keeps the history of the last `keep` (`400d`, or seconds), and removes for good what only older moments need.

        None: what `init --keep` has said, or UsageError. Every moment since stays restorable. Safe beside all other work; an
        interrupted run is completed by the next. A locked version stays until a later run; a history shorter than the bucket's lock
        raises Refused. `dry_run`: only report what would be removed, and what it costs.
        """
        config = self._config
        vault = config.verified(self._name)
        wanted = vault.catalog.keep if keep is None else int(seconds_of(keep))
        if wanted is None:
            raise UsageError(
                f"how much history of {self._name} is to be kept?",
                hint=f"Write a period, as --keep 400d, or say it once for all runs: `backstream init {self._name} --keep 400d`.",
            )
        seconds = checked_period(config, wanted)
        around = RetainContext(config.clock, None if dry_run else config.remover, config.memory, progress or Silent())
        return retain(vault, seconds, around)
