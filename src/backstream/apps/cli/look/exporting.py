"""`export`: changes or a state as typed tables."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import AllowGap, Json, TableName, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import UsageError

if TYPE_CHECKING:
    from backstream.operations.export.run import Exported


class Format(enum.StrEnum):
    """The format of an export."""

    PARQUET = "parquet"


def export(
    table: TableName,
    *,
    vault: Vault = None,
    to: Annotated[
        list[str] | None,
        Option("--to", metavar="URL", help="s3://bucket/prefix or file:///folder. With --changes also the last second."),
    ] = None,
    format_: Annotated[Format, Option("--format", metavar="parquet", help="The format of its files.")] = Format.PARQUET,
    changes: Annotated[bool, Option("--changes", help="Every change after --from, up to the second --to.")] = False,
    since: Annotated[str | None, Option("--from", metavar="MOMENT", help="With --changes.", show_default=False)] = None,
    at: Annotated[str | None, Option("--at", metavar="MOMENT", help="Every item at this second.", show_default=False)] = None,
    scale: Annotated[
        list[str] | None,
        Option("--scale", metavar="NAME=DIGITS", help="Numbers of this attribute as decimals; repeatable.", show_default=False),
    ] = None,
    skip_damaged: Annotated[bool, Option("--skip-damaged", help="Leave out images that cannot be read; they are named.")] = False,
    allow_gap: AllowGap = False,
    json: Json = False,
) -> int:
    """Write changes, or a state, as typed tables in Parquet files.

    Typed columns are a convenience: `new`, `old` and `image` hold each item exactly.
    """
    del format_
    url, until = _where(to or (), changes=changes)
    _check_words(changes=changes, since=since, at=at)
    backup = library.open(vault).table(table)
    scales = _scales(scale or ())
    with ProgressBar() as bar:
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
        raise UsageError("export to where?", hint="--to s3://bucket/prefix or --to file:///folder, once.")
    if len(moments) > 1 or (moments and not changes):
        raise UsageError(f"not a URL: {moments[-1]!r}", hint="Only --changes takes a moment with --to, once.")
    return urls[0], moments[0] if moments else "now"


def _check_words(*, changes: bool, since: str | None, at: str | None) -> None:
    if changes == (at is not None):
        raise UsageError("what is to be exported?", hint="Give either --changes with --from MOMENT, or --at MOMENT.")
    if changes and since is None:
        raise UsageError("the changes since when?", hint="--from MOMENT")
    if not changes and since is not None:
        raise UsageError("--at goes without --from")


def _scales(words: Sequence[str]) -> dict[str, int]:
    """Returns the digits after the point by attribute, in `amount=2`."""
    found: dict[str, int] = {}
    for each in words:
        name, equals, digits = each.rpartition("=")
        if not equals or not digits.isdecimal() or len(digits) > 2:
            raise UsageError(f"not a scale: {each!r}", hint="--scale amount=2")
        found[name] = int(digits)
    return found


def _show(report: Exported, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    for each in report.damaged:
        notice(f"LEFT OUT: {each}")
    if json:
        as_json(report)
        return 0
    window = f"at {report.until}" if report.since is None else f"after {report.since}, up to {report.until}"
    as_facts(
        [
            ("table", f"{report.table} {window}"),
            ("export", report.url),
            ("rows", f"{report.rows:,} in {report.files:,} files, {report.bytes:,} bytes"),
            ("typed columns", f"{report.columns:,}"),
            *([("do not fit", f"{report.unfit:,} numbers: their decimals are null")] if report.unfit else []),
            *([("not known", f"{report.doubtful:,} changes lack an image: see `note`")] if report.doubtful else []),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
    return 0
