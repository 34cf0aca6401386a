"""`diff`: is one live table what another one is?"""

from __future__ import annotations

from typing import Annotated

from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.options import CsvColumns, CsvDelimiter, FromFile, Json, NoChecksums, TableName
from backstream.apps.cli.output import as_compared, as_failures, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.restore.words import need_files
from backstream.apps.cli.target_options import ToEndpoint, ToProfile, ToRegion
from backstream.apps.verbs import tables
from backstream.apps.verbs.arguments import SEGMENTS
from backstream.errors import DifferencesFound, NotFound, PartlyDone
from backstream.model.counts import counted
from backstream.operations.compare.diff import Diffed
from backstream.operations.compare.recheck import PATIENCE
from backstream.vault.dumps.opening import FileOptions


def diff(
    table: TableName,
    table2: Annotated[
        str | None, Argument(metavar="[TABLE2]", help="The table that should be like it.", show_default=False)
    ] = None,
    *,
    from_file: FromFile = None,
    no_checksums: NoChecksums = False,
    csv_delimiter: CsvDelimiter = None,
    csv_columns: CsvColumns = None,
    to_profile: ToProfile = None,
    to_region: ToRegion = None,
    to_endpoint: ToEndpoint = None,
    repair: Annotated[bool, Option("--repair", help="Make TABLE2 like TABLE, where they differ.")] = False,
    key: Annotated[
        list[str] | None,
        Option("--key", metavar="KEY", help="Only this item; may be given many times.", show_default=False),
    ] = None,
    segments: Annotated[int, Option(metavar="N", help="Parts of each table read in parallel.")] = SEGMENTS,
    max_read_units: Annotated[
        float | None,
        Option(metavar="N", help="Read units a second at most, of each table (4 KB each).", show_default=False),
    ] = None,
    patience: Annotated[float, Option(metavar="SECONDS", min=0, help="Time that a difference must last to count.")] = PATIENCE,
    json: Json = False,
) -> None:
    """Compare two live tables, or files with one, in both directions; changes in flight are not differences.

    Nothing is written without --repair.
    """
    need_files(from_file, "--from-file", no_checksums=no_checksums, csv_delimiter=csv_delimiter, csv_columns=csv_columns)
    elsewhere = any((to_profile, to_region, to_endpoint))
    place = tables.TablePlace(to_profile, to_region, to_endpoint) if elsewhere or from_file is None else None
    with ProgressBar() as bar:
        report = tables.diff(
            table,
            table2,
            from_file=from_file,
            files=FileOptions(not no_checksums, csv_delimiter, csv_columns),
            place=place,
            repair=repair,
            keys=key or None,
            segments=segments,
            max_read_units=max_read_units,
            patience=patience,
            progress=bar,
        )
    for warning in report.warnings:
        notice(f"note: {warning}")
    as_failures("FAILED", report.failures)
    if json:
        as_json(report)
    else:
        as_compared(report, f"{report.table} and {report.table2} at {report.at}")
    if key and not (report.same or report.wrong or report.in_flight):
        raise NotFound(
            f"neither {report.table} nor {report.table2} has any of the items that were asked for",
            hint='Write the whole key, as {"id":"a","n":5}; types matter: 5 is a number, "5" a string.',
        )
    _judge(report)


def _judge(report: Diffed) -> None:
    """Raises the error of a comparison. Rows that could not be compared take precedence over differences."""
    both = f"{report.table} and {report.table2}"
    if report.mended:
        raise DifferencesFound(
            f"{counted(report.repaired, 'row')} of {both} differed; {report.table2} has them as {report.table} does now",
            hint="Run `diff` again to see that nothing differs any more, and look into why it did.",
        )
    if report.failed:
        more = (
            f"; {counted(report.differences, 'row')} of {both} differ{'s' * (report.differences == 1)}"
            if report.differences
            else ""
        )
        mended = f", {report.repaired:,} of them mended" if report.repaired else ""
        raise PartlyDone(
            f"{counted(report.failed, 'row')} could not be compared, or not be mended{more}{mended}",
            hint="Each is named above. The same command tries again.",
        )
    if report.differences:
        raise DifferencesFound(
            f"{counted(report.differences, 'row')} of {both} differ{'s' * (report.differences == 1)}",
            hint=f"--repair makes {report.table2} like {report.table} where they do.",
        )
