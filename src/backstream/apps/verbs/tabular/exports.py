"""Typed tables in the library: `TableBackup.export_changes`, `export_state`, `restore_export`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backstream.apps.config import Config
from backstream.apps.loading import extras
from backstream.apps.verbs.arguments import Moment, resumable_folder, second_of, url_of
from backstream.apps.verbs.changes import span_of
from backstream.apps.verbs.targets import target_of
from backstream.model.tables import naming
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import ChangesContext
from backstream.operations.restore import NewTable, RestoreContext, Restored, RestoreRequest

if TYPE_CHECKING:
    from pathlib import Path

    from backstream.operations.export.run import Exported

RUN, RESTORED = "backstream.operations.export.run", "backstream.operations.export.restored"
EXTRA = "parquet"


class Exporting:
    """The part of a table's backup that exports typed tables."""

    _config: Config
    _name: str

    def export_changes(
        self,
        *,
        from_: Moment,
        until: Moment = "now",
        to: str,
        scales: Mapping[str, int] | None = None,
        skip_damaged: bool = False,
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Writes the changes made after `from_`, up to and including `until`, as Parquet files below the URL `to`.

        `scales`: for an attribute the digits after the point, if its numbers are to be decimals; `skip_damaged`: leave out images
        that cannot be read, and name them. Raises the errors of `changes`.
        """
        run: Any = extras.load(RUN, EXTRA)
        vault = self._config.vault(self._name)
        around = ChangesContext(self._config.clock, self._config.memory, progress or Silent())
        options = run.ExportOptions(scales or {}, skip_damaged=skip_damaged, allow_gap=allow_gap)
        span, place = span_of(vault, from_, until, around), self._config.files(url_of(to))
        done: Exported = run.export_changes(vault, span, place, around, options)
        return done

    def export_state(
        self,
        *,
        at: Moment,
        to: str,
        scales: Mapping[str, int] | None = None,
        skip_damaged: bool = False,
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Writes the table's state at a second as Parquet files below the URL `to`. For the options see `export_changes`.

        Raises the errors of `restore`.
        """
        run: Any = extras.load(RUN, EXTRA)
        vault = self._config.vault(self._name)
        around = self._export_context(progress)
        options = run.ExportOptions(scales or {}, skip_damaged=skip_damaged, allow_gap=allow_gap)
        second, place = second_of(at, around.clock.now(), vault), self._config.files(url_of(to))
        opener = self._config.files_opener(url_of(to))
        done: Exported = run.export_state(vault, second, place, around, options, opener)
        return done

    def restore_export(
        self,
        url: str,
        *,
        to: str | None = None,
        in_place: bool = False,
        to_file: str | Path | None = None,
        partition: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
        allow_gap: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Restored:
        """Restores this table from the files that `export_state` wrote below a URL. No vault is needed. For the options see
        `restore`."""
        restored: Any = extras.load(RESTORED, EXTRA)
        naming.check_table_name(self._name)
        request = RestoreRequest(
            at=0,
            target=target_of(None if to is None else NewTable(to), to_file, in_place=in_place),
            partition=partition,
            where=where,
            dry_run=dry_run,
            allow_gap=allow_gap,
            patience=patience,
            max_units=max_write_units,
            force=force,
        )
        place = self._config.files(url_of(url))
        done: Restored = restored.restore_export(place, self._name, request, self._export_context(progress), self._config.engine)
        return done

    def _export_context(self, progress: Progress | None) -> RestoreContext:
        config = self._config
        return RestoreContext(config.table, config.clock, resumable_folder(), progress or Silent(), config.memory)
