"""The operation that removes old history: `TableBackup.retain`."""

from __future__ import annotations

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import seconds_of
from backstream.errors import Refused
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.retain import RetainContext, Retention, retain


class Retaining:
    """The part of a table's backup that removes history."""

    _config: Config
    _name: str

    def retain(self, keep: str | int, *, dry_run: bool = False, progress: Progress | None = None) -> Retention:
        """Keeps the history of the last `keep` (`400d`, or seconds), and removes for good what only older moments need.

        Every moment since stays restorable. Safe beside all other work; an interrupted run is completed by the next. A locked
        version stays until a later run; a history shorter than the bucket's lock raises Refused. `dry_run`: only report what would
        be removed, and what it costs.
        """
        config, seconds = self._config, int(seconds_of(keep))
        lock = config.default_lock
        if lock is not None and seconds < lock.seconds:
            raise Refused(
                f"the bucket keeps each version of {config.url} locked, {lock}: a shorter history than that cannot be had",
                hint=f"Keep {lock.days}d or more. Nothing was removed.",
            )
        around = RetainContext(config.clock, None if dry_run else config.remover, config.memory, progress or Silent())
        return retain(config.verified(self._name), seconds, around)
