"""`erase`: a subject is removed from all history, and that is proven."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.options import Json, Vault
from backstream.apps.cli.output import as_facts, as_json, confirm, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.library import TableBackup
from backstream.errors import DifferencesFound, NotFound, PartlyDone, UsageError
from backstream.model.counts import counted
from backstream.operations.erase import Erased, ErasureVerified
from backstream.vault.erasure.erasures import Erasure

NAMED = 20
SAME = {
    False: ": it finishes what was interrupted.",
    True: " and --forget-future: it finishes what was interrupted, and removes what a writer that did not know yet has written.",
}
LATER = {True: "are discarded, from now on and for good", False: "count as new"}
HELD = "The rest is erased. Run the same command after that time: it erases the rest."


def erase(
    table: Annotated[str | None, Argument(metavar="[TABLE]", help="The DynamoDB table's name.", show_default=False)] = None,
    *,
    vault: Vault = None,
    key: Annotated[list[str] | None, Option(metavar="KEY", help="Erase this item; repeatable.", show_default=False)] = None,
    keys: Annotated[
        Path | None, Option("--keys", metavar="FILE", help="Erase the items that the file names, a key a line.", once=True)
    ] = None,
    partition: Annotated[
        str | None, Option(metavar="VALUE", help="Erase all items of this hash key.", once=True, show_default=False)
    ] = None,
    tenant: Annotated[
        str | None, Option(metavar="VALUE", help="Erase all items that were ever this tenant's.", once=True, show_default=False)
    ] = None,
    reason: Annotated[str, Option(metavar="TEXT", help="The reason, kept in the record.", show_default=False)] = "",
    file: Annotated[
        list[str] | None,
        Option(metavar="PATH", help="Also take them out of this resume or undo file; repeatable.", show_default=False),
    ] = None,
    forget_future: Annotated[
        bool, Option("--forget-future", help="Also discard changes of these items that arrive later; otherwise they count as new.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would be erased, and what is locked until when.")] = False,
    verify: Annotated[
        str | None,
        Option("--verify", metavar="ID", help="Read everything, and prove that nothing is left of it.", show_default=False),
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    json: Json = False,
) -> None:
    """Remove items from all history for good, keep a record without their names, and prove it."""
    held = library.open(vault)
    if verify is not None:
        _check_alone(key, keys, partition, tenant, dry_run=dry_run or forget_future)
        _verified(_table_of(held, table, verify), verify, json=json)
        return
    if table is None:
        raise UsageError("no table is named", hint="backstream erase TABLE --key KEY --reason TEXT")
    for each in held.table(table).unfinished_erasures():
        notice(_finished_too(each))
    if not dry_run and not yes and reason and sys.stdin.isatty():
        confirm(f"Remove these items from all history of {table}, for good? Nothing brings them back.")
    with ProgressBar() as bar:
        report = held.table(table).erase(
            keys=key or (),
            keys_file=keys,
            partition=partition,
            tenant=tenant,
            reason=reason,
            dry_run=dry_run,
            forget_future=forget_future,
            files=file or (),
            progress=bar,
        )
    _show(report, json=json)
    _judge(report)


def _finished_too(each: Erasure) -> str:
    """Returns the line that names an interrupted erasure. Its record lies in the bucket, so an operator sees what it takes out."""
    return f"finished with it: erasure {each.id} of {counted(len(each.rows), 'item')}, begun by {each.by or '?'}: {each.reason}"


def _check_alone(*selections: object, dry_run: bool) -> None:
    if dry_run or any(each is not None for each in selections):
        raise UsageError("--verify ID goes without a selection", hint="It reads the record of that erasure.")


def _table_of(held: library.Vault, table: str | None, erasure: str) -> TableBackup:
    """Returns the table of an erasure: an id alone is enough."""
    for name in [table] if table is not None else held.tables():
        if table is not None or erasure in held.table(name).erasures():
            return held.table(name)
    raise NotFound(
        f"no table of the vault {held.url} has an erasure {erasure}", hint="The id is in the report of `backstream erase`."
    )


# --- erasing ---


def _show(report: Erased, *, json: bool) -> None:
    for each in report.left[:NAMED]:
        notice(f"NOT SEARCHED: {each.object}: {each.why}")
    for held in report.blocked[:NAMED]:
        notice(f"LOCKED until {held.until or 'its legal hold ends'}: {held.object} (version {held.version})")
    if len(report.blocked) > NAMED:
        notice(f"... and {len(report.blocked) - NAMED:,} more: --json names them")
    if json:
        as_json(report)
        return
    would = "would be " if report.dry_run else ""
    as_facts(
        [
            ("table", report.table),
            *((("erasure", report.id),) if not report.dry_run else ()),
            ("items", f"{report.keys:,}, with all changes up to {report.at}"),
            ("objects", f"{report.objects:,} held something of them"),
            ("lines", f"{report.lines:,} of the change log and of base backups {would}taken out"),
            ("versions", f"{report.versions_removed:,} {would}removed"),
            ("later changes", LATER[report.forget_future]),
            *((("locked", f"{counted(len(report.blocked), 'version')}, until {report.blocked_until}"),) if report.blocked else ()),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )


def _judge(report: Erased) -> None:
    """Raises the error of an erasure that is not finished."""
    if report.dry_run:
        return
    if report.left:
        raise PartlyDone(
            f"{counted(len(report.left), 'object')} could not be searched or changed: nobody can say that nothing is left there",
            hint=f"`backstream check {report.table}` names what is damaged. Mend it, then run the same command again.",
        )
    if report.blocked:
        until = report.blocked_until or "their legal holds end"
        raise PartlyDone(
            f"{counted(len(report.blocked), 'version')} cannot be erased before {until}: Object Lock keeps them", hint=HELD
        )
    if report.late:
        raise PartlyDone(
            f"{counted(report.late, 'change')} of these items arrived while they were erased", hint="Run the same command again."
        )


# --- verifying ---


def _verified(backup: TableBackup, erasure: str, *, json: bool) -> None:
    with ProgressBar() as bar:
        report = backup.verify_erasure(erasure, progress=bar)
    for each in report.found[:NAMED]:
        notice(f"FOUND: {each.object} (version {each.version}): {each.what}")
    for one in report.unread[:NAMED]:
        notice(f"NOT READ: {one.object}: {one.why}")
    if json:
        as_json(report)
    else:
        _show_verified(report)
    if report.found:
        raise DifferencesFound(
            f"{counted(len(report.found), 'version')} still hold something of erasure {erasure}",
            hint=f"Run `backstream erase {report.table}` again with the same selection{SAME[report.forget_future]}",
        )
    if report.unread:
        raise PartlyDone(
            f"{counted(len(report.unread), 'version')} could not be read: nothing is proven of them",
            hint=f"`backstream check {report.table}` names what is damaged.",
        )


def _show_verified(report: ErasureVerified) -> None:
    as_facts(
        [
            ("table", report.table),
            ("erasure", f"{report.id}, of {counted(report.keys, 'item')} up to {report.at}: {report.reason}"),
            ("finished", report.finished or "not yet"),
            ("read", f"{counted(report.versions, 'version')} of {counted(report.objects, 'object')}, decompressed"),
            ("found", f"{len(report.found):,}"),
            *((("new", f"{report.new:,} versions of the same items came after it"),) if report.new else ()),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
