"""`restore`: bringing rows, a tenant, the whole table or several tables back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import (
    ALL,
    AllowGap,
    AllTables,
    CsvColumns,
    CsvDelimiter,
    Engine,
    FileKeys,
    Json,
    Master,
    MinHead,
    NoChecksums,
    Vault,
    VerifyKey,
)
from backstream.apps.cli.restore.one import restore_one
from backstream.apps.cli.restore.together import is_of_several, restore_several
from backstream.apps.cli.restore.words import RestoreWords
from backstream.apps.engines import EngineKind
from backstream.apps.verbs.arguments import Via
from backstream.errors import UsageError
from backstream.operations.together.side_by_side import OnFailure


def restore(
    tables: AllTables = ALL,
    *,
    vault: Vault = None,
    verify_key: VerifyKey = None,
    min_head: MinHead = None,
    at: Annotated[str | None, Option(metavar="MOMENT", help="The second to go back to.", show_default=False)] = None,
    to: Annotated[str | None, Option(metavar="NEW", help="Into a new table.", show_default=False)] = None,
    in_place: Annotated[bool, Option("--in-place", help="Into the table itself: puts and deletes what differs.")] = False,
    suffix: Annotated[
        str | None, Option(metavar="TEXT", help="Several tables: into new ones, each with this after its name.", show_default=False)
    ] = None,
    prefix: Annotated[
        str | None,
        Option(metavar="TEXT", help="Several tables: into new ones, each with this before its name.", show_default=False),
    ] = None,
    names: Annotated[
        Path | None,
        Option("--map", metavar="FILE", help="Several tables: into new ones; lines of TABLE NEW, or JSON.", show_default=False),
    ] = None,
    settle: Annotated[
        bool, Option("--settle", help="To the latest quiet second up to --at, so that no transaction across tables is cut.")
    ] = False,
    on_failure: Annotated[
        OnFailure, Option(metavar="stop|go-on", help="Several tables: whether others begin after one has failed.")
    ] = OnFailure.STOP,
    to_file: Annotated[Path | None, Option(metavar="PATH", help='To lines of {"Item":...}.', show_default=False)] = None,
    key: Annotated[list[str] | None, Option(metavar="KEY", help="Only this row; repeatable.", show_default=False)] = None,
    keys: Annotated[
        Path | None,
        Option("--keys", metavar="FILE", help="Only the rows that the file names, a key a line.", once=True, show_default=False),
    ] = None,
    changed_between: Annotated[
        tuple[str, str] | None,
        Option(
            metavar="MOMENT MOMENT",
            help="Only rows that changed after the first moment, up to the second.",
            once=True,
            show_default=False,
        ),
    ] = None,
    tenant: Annotated[str | None, Option(metavar="VALUE", help="Only this tenant's rows.", once=True, show_default=False)] = None,
    no_indexes: Annotated[bool, Option("--no-indexes", help="The new table without its indexes.")] = False,
    accept_settings: Annotated[bool, Option("--accept-settings", help="Also make settings that name another account.")] = False,
    settings_only: Annotated[bool, Option("--settings-only", help="The new table with its settings, without items.")] = False,
    partition: Annotated[
        str | None, Option(metavar="VALUE", help="Only rows of this hash key.", once=True, show_default=False)
    ] = None,
    where: Annotated[
        str | None,
        Option(metavar="CONDITION", help='Only rows such as: total >= 10 and status = "paid".', once=True, show_default=False),
    ] = None,
    via: Annotated[Via, Option(metavar="writes|import", help="The way to fill a new table; import: ImportTable.")] = Via.WRITES,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the plan, and stop.")] = False,
    allow_gap: AllowGap = False,
    from_file: Annotated[
        str | None,
        Option(
            "--from-file",
            metavar="PATH|URL",
            help="Restore from a dump, lines of items, CSV, a snapshot or AWS exports.",
            show_default=False,
        ),
    ] = None,
    key_schema: FileKeys = None,
    like: Annotated[
        str | None,
        Option("--like", metavar="TABLE", help="With --from-file: keys and settings of this live table.", show_default=False),
    ] = None,
    no_checksums: NoChecksums = False,
    csv_delimiter: CsvDelimiter = None,
    csv_columns: CsvColumns = None,
    from_parquet: Annotated[
        str | None, Option("--from-parquet", metavar="URL", help="Restore from what `export --at` wrote.", show_default=False)
    ] = None,
    resume: Annotated[str | None, Option(metavar="ID", help="Continue an earlier restore.", show_default=False)] = None,
    undo: Annotated[
        str | None,
        Option(metavar="ID", help="Undo an earlier restore in place: exactly its writes.", show_default=False),
    ] = None,
    max_write_units: Annotated[
        float | None, Option(metavar="N", min=1, help="Write units (1 KB) a second at most.", show_default=False)
    ] = None,
    patience: Annotated[float, Option(metavar="SECONDS", help="Give up after this time without any progress.")] = 30.0,
    force: Annotated[bool, Option("--force", help="Overwrite rows that somebody changes meanwhile, too.")] = False,
    into_another: Annotated[
        bool, Option("--into-another", help="In place, also into a table other than the vault's (account, region, table id).")
    ] = False,
    delete_unknown: Annotated[
        bool, Option("--delete-unknown", help="In place, also delete rows that may or may not have existed then.")
    ] = False,
    expect_deletes: Annotated[
        int | None,
        Option(
            metavar="N", min=0, help="In place, delete at most N rows; required if that is most of a table.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask before changing the table in place, or before --undo.")] = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> int:
    """Restore rows, a tenant, the whole table, or several tables to a second."""
    words = RestoreWords(**locals())
    held = library.open(vault, patience=patience, verify_key=verify_key, min_head=min_head, engine=engine, master=master)
    run = None if resume is None and undo is None else held.together().file_of(resume or undo or "")
    if run is not None or is_of_several(words):
        return restore_several(held, words, run)
    if tables.single is None:
        raise UsageError("no table is named", hint="Name tables, or give --all, --match, --tag or --group.")
    return restore_one(tables.single, held.table(tables.single), words)  # nothing is opened yet: a dump needs no vault
