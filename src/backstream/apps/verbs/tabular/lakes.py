"""Iceberg tables in the library: `TableBackup.append_to_iceberg`, `replace_in_iceberg`, `iceberg_orphans`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backstream.apps.aws import plain_http
from backstream.apps.config import Config
from backstream.apps.lambdas.export_settings import NAMESPACE
from backstream.apps.loading import extras
from backstream.apps.verbs.arguments import Moment, resumable_folder, second_of, url_of
from backstream.errors import NotFound, UsageError
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import ChangesContext
from backstream.operations.restore import RestoreContext
from backstream.vault.table_vault import TableVault

if TYPE_CHECKING:
    from backstream.operations.export.iceberg.follow import Appended
    from backstream.operations.export.iceberg.orphans import Orphan

CATALOGS, TABLE, FOLLOW, ORPHANS, RUN = (
    "backstream.operations.export.iceberg.catalogs",
    "backstream.operations.export.iceberg.table",
    "backstream.operations.export.iceberg.follow",
    "backstream.operations.export.iceberg.orphans",
    "backstream.operations.export.run",
)
EXTRA = "iceberg"
S3_TABLES = "arn:aws:s3tables:"
CHANGES, STATE = "changes", "state"
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+").fullmatch


def table_name(table: str, kind: str) -> str:
    """Returns the name that an Iceberg table has of itself, without its namespace."""
    return f"{re.sub('[^A-Za-z0-9_]', '_', table).lower()}_{kind}"


class Lake:
    """The place of an Iceberg table. `warehouse`: the URL below which new tables lie; `catalog`: see `--catalog`.

    `name`: NAMESPACE.NAME, None for `backstream.TABLE_changes` or `backstream.TABLE_state`; `properties`: pyiceberg's, for the
    catalog.
    """

    def __init__(
        self, warehouse: str, catalog: str | None = None, name: str | None = None, properties: Mapping[str, str] | None = None
    ) -> None:
        if name is not None and not _NAME(name):
            raise UsageError(f"not the name of an Iceberg table: {name!r}", hint="--as NAMESPACE.NAME: letters, digits and _.")
        self.warehouse = url_of(warehouse).rstrip("/")
        self.catalog = catalog
        self.name = name
        self.properties = {**_endpoint(), **(properties or {})}
        for each in (catalog or "", self.properties.get("s3.endpoint", "")):
            if each.startswith("http:"):
                plain_http.report(each)

    @property
    def cleans_itself(self) -> bool:
        """True for S3 Tables: they remove unreferenced files themselves, and their files cannot be listed.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-table-buckets-maintenance.html
        """
        return (self.catalog or "").startswith(S3_TABLES)

    def named(self, table: str, kind: str) -> str:
        """Returns the Iceberg table's name."""
        return self.name or f"{NAMESPACE}.{table_name(table, kind)}"


def _endpoint() -> dict[str, str]:
    """Returns the properties for another S3 than AWS's, as botocore's variables name it.

    The region is among them: pyarrow would ask AWS for the bucket's, and wait for minutes where there is no way to AWS.
    """
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return {} if not url else {"s3.endpoint": url, "s3.region": region}


class Lakes:
    """The part of a table's backup that fills Iceberg tables."""

    _config: Config
    _name: str

    def append_to_iceberg(
        self,
        lake: Lake,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        scales: Mapping[str, int] | None = None,
        skip_damaged: bool = False,
        allow_gap: bool = False,
        progress: Progress | None = None,
        ends: float | None = None,
    ) -> Appended:
        """Appends the changes since the Iceberg table's last snapshot, each exactly once, and returns when there are no more.

        `from_`: where a new table begins; `until`: the last second, None for the end of the last hour that is proven to
        be complete; `ends`: the time after which no other batch is begun. For the other options see `export_changes`.
        """
        follow: Any = extras.load(FOLLOW, EXTRA)
        vault = self._config.vault(self._name)
        around = ChangesContext(self._config.clock, self._config.memory, progress or Silent())
        now = around.clock.now()
        done: Appended = follow.append_changes(
            vault,
            self._iceberg(lake, vault, CHANGES),
            around,
            _options(scales, skip_damaged=skip_damaged, allow_gap=allow_gap),
            since=None if from_ is None else second_of(from_, now, vault),
            until=None if until is None else second_of(until, now, vault),
            ends=ends,
        )
        return done

    def replace_in_iceberg(
        self,
        lake: Lake,
        *,
        at: Moment,
        scales: Mapping[str, int] | None = None,
        skip_damaged: bool = False,
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Appended:
        """Replaces the rows of an Iceberg table by the state at a second, in one snapshot. For the options see `export_state`."""
        follow: Any = extras.load(FOLLOW, EXTRA)
        config, vault = self._config, self._config.vault(self._name)
        around = RestoreContext(config.table, config.clock, resumable_folder(), progress or Silent(), config.memory)
        done: Appended = follow.replace_state(
            vault,
            self._iceberg(lake, vault, STATE),
            second_of(at, around.clock.now(), vault),
            around,
            _options(scales, skip_damaged=skip_damaged, allow_gap=allow_gap),
        )
        return done

    def iceberg_orphans(self, lake: Lake, *, kind: str = CHANGES, remove: bool = False) -> list[Orphan]:
        """Returns the files that a crash left beside the Iceberg table; with `remove`, those that are still there afterwards.

        There are none in S3 Tables. Raises NotFound if there is no such table, and UsageError for a removal in S3 Tables.
        """
        if lake.cleans_itself:
            if remove:
                raise UsageError(
                    "S3 Tables remove the files of commits that never came themselves", hint="Leave --remove-orphans out."
                )
            return []
        orphans: Any = extras.load(ORPHANS, EXTRA)
        table = self._iceberg(lake, self._config.vault(self._name), kind)
        if not table.open(make=False):
            raise NotFound(f"there is no Iceberg table {table.name}", hint="Export to it first.")
        found: list[Orphan] = orphans.orphans(table, self._config.clock.now())
        if remove:
            orphans.remove(table, found)
            return [each for each in found if not each.removable]
        return found

    def _iceberg(self, lake: Lake, vault: TableVault, kind: str) -> Any:
        catalogs: Any = extras.load(CATALOGS, EXTRA)
        tables: Any = extras.load(TABLE, EXTRA)
        follow: Any = extras.load(FOLLOW, EXTRA)
        catalog = catalogs.open_catalog(lake.catalog, lake.warehouse, lake.properties)
        fixed = follow.CHANGES if kind == CHANGES else follow.STATES
        return tables.IcebergTable(catalog, lake.named(self._name, kind), follow.source_of(vault), kind, fixed)


def _options(scales: Mapping[str, int] | None, *, skip_damaged: bool, allow_gap: bool) -> Any:
    run: Any = extras.load(RUN, EXTRA)
    return run.ExportOptions(scales or {}, skip_damaged=skip_damaged, allow_gap=allow_gap)
