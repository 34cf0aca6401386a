"""`export`: changes or a state as typed tables."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import AllowGap, Engine, Json, Master, TableName, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.engines import EngineKind
from backstream.apps.verbs.tabular import lakes
from backstream.errors import UsageError
from backstream.model.counts import counted

if TYPE_CHECKING:
    from backstream.operations.export.iceberg.follow import Appended
    from backstream.operations.export.iceberg.orphans import Orphan
    from backstream.operations.export.run import Exported


class ExportFormat(enum.StrEnum):
    """The format of an export."""

    PARQUET = "parquet"
    ICEBERG = "iceberg"


def export(
    table: TableName,
    *,
    vault: Vault = None,
    to: Annotated[
        list[str] | None,
        Option(
            "--to",
            metavar="URL",
            help="s3://bucket/prefix or file:///folder (Iceberg: the warehouse). With --changes also the last second.",
        ),
    ] = None,
    format_: Annotated[
        ExportFormat, Option("--format", metavar="parquet|iceberg", help="Files, or an Iceberg table.")
    ] = ExportFormat.PARQUET,
    changes: Annotated[bool, Option("--changes", help="Every change after --from, up to the second --to.")] = False,
    since: Annotated[str | None, Option("--from", metavar="MOMENT", help="With --changes.", show_default=False)] = None,
    at: Annotated[str | None, Option("--at", metavar="MOMENT", help="Every item at this second.", show_default=False)] = None,
    scale: Annotated[
        list[str] | None,
        Option("--scale", metavar="NAME=DIGITS", help="Numbers of this attribute as decimals; repeatable.", show_default=False),
    ] = None,
    skip_damaged: Annotated[bool, Option("--skip-damaged", help="Leave out images that cannot be read; they are named.")] = False,
    follow: Annotated[
        bool, Option("--follow", help="Iceberg: append what is new since the last snapshot, up to the last complete hour.")
    ] = False,
    catalog: Annotated[
        str | None,
        Option(
            "--catalog",
            metavar="CATALOG",
            help="Iceberg: sqlite:///PATH, https://... (REST), glue, an ARN of S3 Tables, or a name that pyiceberg knows.",
            show_default=False,
        ),
    ] = None,
    as_: Annotated[
        str | None, Option("--as", metavar="NAMESPACE.NAME", help="Iceberg: the table's name.", show_default=False)
    ] = None,
    catalog_property: Annotated[
        list[str] | None,
        Option("--catalog-property", metavar="NAME=VALUE", help="Iceberg: a property for pyiceberg.", show_default=False),
    ] = None,
    remove_orphans: Annotated[
        bool, Option("--remove-orphans", help="Iceberg: also remove the files of commits that never came.")
    ] = False,
    allow_gap: AllowGap = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> int:
    """Write changes, or a state, as typed tables: Parquet files, or an Iceberg table.

    Typed columns are a convenience: `new`, `old` and `image` hold each item exactly.
    """
    url, until = _where(to or (), changes=changes)
    for_iceberg = {
        "--follow": follow,
        "--catalog": catalog,
        "--as": as_,
        "--catalog-property": catalog_property,
        "--remove-orphans": remove_orphans,
    }
    if format_ is ExportFormat.PARQUET and (wrong := [name for name, given in for_iceberg.items() if given]):
        raise UsageError(f"{', '.join(wrong)}: only with --format iceberg")
    _check_words(changes=changes or follow, since=since, at=at, needs_from=not follow)
    if engine is not EngineKind.LOCAL:
        _check_spark(iceberg=format_ is ExportFormat.ICEBERG, changes=at is None)
    backup = library.open(vault, engine=engine, master=master).table(table)
    scales = _scales(scale or ())
    if format_ is ExportFormat.ICEBERG:
        lake = lakes.Lake(url, catalog, as_, dict(_pair(each) for each in catalog_property or ()))
        if remove_orphans and lake.cleans_itself:
            raise UsageError("S3 Tables remove the files of commits that never came themselves", hint="Leave --remove-orphans out.")
        with ProgressBar() as bar:
            if at is not None:
                appended = backup.replace_in_iceberg(
                    lake, at=at, scales=scales, skip_damaged=skip_damaged, allow_gap=allow_gap, progress=bar
                )
            else:
                appended = backup.append_to_iceberg(
                    lake,
                    from_=since,
                    until=None if until == "now" else until,
                    scales=scales,
                    skip_damaged=skip_damaged,
                    allow_gap=allow_gap,
                    progress=bar,
                )
        left = backup.iceberg_orphans(lake, kind=appended.kind, remove=remove_orphans) if appended.commits else []
        return _show_appended(appended, left, json=json)
    with ProgressBar(lines=engine is EngineKind.SPARK) as bar:
        if at is not None:
            report = backup.export_state(at=at, to=url, scales=scales, skip_damaged=skip_damaged, allow_gap=allow_gap, progress=bar)
        else:
            report = backup.export_changes(
                from_=since or "",
                until=until,
                to=url,
                scales=scales,
                skip_damaged=skip_damaged,
                allow_gap=allow_gap,
                progress=bar,
            )
    return _show(report, json=json)


def _where(to: Sequence[str], *, changes: bool) -> tuple[str, str]:
    """Returns the URL, and the last second of the changes: `--to` gives both."""
    urls = [each for each in to if "://" in each]
    moments = [each for each in to if "://" not in each]
    if len(urls) != 1:
        raise UsageError("choose one place to export to", hint="--to s3://bucket/prefix or --to file:///folder, once.")
    if len(moments) > 1 or (moments and not changes):
        raise UsageError(f"not a URL: {moments[-1]!r}", hint="Only --changes takes a moment with --to, once.")
    return urls[0], moments[0] if moments else "now"


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"not a property: {text!r}", hint="--catalog-property s3.region=eu-central-1")
    return name, value


def _check_words(*, changes: bool, since: str | None, at: str | None, needs_from: bool) -> None:
    if changes == (at is not None):
        raise UsageError(
            "choose exactly one of --changes and --at", hint="Give either --changes with --from MOMENT, or --at MOMENT."
        )
    if changes and since is None and needs_from:
        raise UsageError("the beginning of the changes is missing", hint="--from MOMENT")
    if not changes and since is not None:
        raise UsageError("--at goes without --from")


def _check_spark(*, iceberg: bool, changes: bool) -> None:
    """Raises UsageError for what a cluster does not write. See docs/notes/0089."""
    if iceberg:
        raise UsageError(
            "--engine spark writes no Iceberg table: its files and columns are one commit, which one machine makes",
            hint="Leave --engine out. Or write Parquet on Spark with --at, and add these files to a table of your own.",
        )
    if changes:
        raise UsageError(
            "--engine spark exports no changes: their files are in the order of time, and a cluster brings them together by item",
            hint="Leave --engine out, and export one window after the other. A state (--at) is exported on Spark.",
        )


def _scales(words: Sequence[str]) -> dict[str, int]:
    """Returns the digits after the point by attribute, in `amount=2`."""
    found: dict[str, int] = {}
    for each in words:
        name, equals, digits = each.rpartition("=")
        if not equals or not digits.isdecimal() or len(digits) > 2:
            raise UsageError(f"not a scale: {each!r}", hint="--scale amount=2")
        found[name] = int(digits)
    return found


def _show_appended(report: Appended, left: Sequence[Orphan], *, json: bool) -> int:
    _note(report)
    if left:
        removable = sum(1 for each in left if each.removable)
        how = f": --remove-orphans removes {removable:,} of them" if removable else ""
        notice(f"note: {len(left):,} files belong to commits that never came{how}")
    place = ("Iceberg table", report.iceberg_table)
    return _print(
        report, place, f"{report.rows:,} in {counted(report.files, 'file')}, {counted(report.commits, 'snapshot')}", json=json
    )


def _show(report: Exported, *, json: bool) -> int:
    _note(report)
    return _print(
        report,
        ("export", report.url),
        f"{report.rows:,} in {counted(report.files, 'file')}, {counted(report.bytes, 'byte')}",
        json=json,
    )


def _note(report: Exported | Appended) -> None:
    for warning in report.warnings:
        notice(f"note: {warning}")
    for each in report.damaged:
        notice(f"LEFT OUT: {each}")


def _print(report: Exported | Appended, place: tuple[str, str], rows: str, *, json: bool) -> int:
    """Prints the report. `place`: what was written to, and its name; `rows`: the rows and what they lie in."""
    if json:
        as_json(report)
        return 0
    window = f"at {report.until}" if report.since is None else f"after {report.since}, up to {report.until}"
    as_facts(
        [
            ("table", f"{report.table} {window}"),
            place,
            ("rows", rows),
            ("typed columns", f"{report.columns:,}"),
            *([("do not fit", f"{counted(report.unfit, 'number')}: decimals are null there")] if report.unfit else []),
            *([("not known", f"{counted(report.doubtful, 'change')} without an image: see `note`")] if report.doubtful else []),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
    return 0
