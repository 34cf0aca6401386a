"""`blame` in the library: `TableBackup.blame`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import Key, Moment, key_of, second_of
from backstream.operations import blame as blaming
from backstream.operations.blame import Blamed, BlameFinding, BlameRequest
from backstream.operations.blame.run import target_of
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes.window import ChangeWindow
from backstream.vault.attribution.cloudtrail import Trail


class Blaming:
    """The part of a table's backup that names who made a change."""

    _config: Config
    _name: str

    def blame(
        self,
        cloudtrail: str | Path,
        *,
        key: Key | None = None,
        from_: Moment | None = None,
        to: Moment = "now",
        annotate: bool = False,
        allow_gap: bool = False,
        each: Callable[[BlameFinding], None] = lambda _: None,
        progress: Progress | None = None,
    ) -> Blamed:
        """Finds the principal that made each change after `from_`, up to and including `to`, in CloudTrail's data events.

        `cloudtrail`: `s3://bucket/AWSLogs/...` or a folder; `key`: only this item; `from_`: None for everything that the vault
        knows; `annotate`: keep the findings beside the log, for `history`, `changes` and `revert`. `each` receives a finding for
        each change, oldest first; the answer holds the sums. Raises Refused if the files belong to another account or region;
        NotFound if there are none of that time. Unreadable files are in `unreadable` of the answer. `allow_gap`: continue although
        changes of the window may be missing.
        """
        vault, now = self._config.vault(self._name), self._config.clock.now()
        target = target_of(vault)
        start = vault.coverage.followed_from - 1 if from_ is None else second_of(from_, now, vault)
        asked = BlameRequest(
            span=ChangeWindow(start, second_of(to, now, vault)),
            key=None if key is None else key_of(vault, key),
            annotate=annotate,
            allow_gap=allow_gap,
            whole=from_ is None,
        )
        files, path = self._config.trail(str(cloudtrail))
        around = blaming.BlameContext(self._config.clock, self._config.memory, progress or Silent())
        return blaming.blame(vault, Trail(files, path, target), asked, around, each)
