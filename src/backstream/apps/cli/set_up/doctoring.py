"""`doctor`: what is wrong with a backup, before and after it is deployed, and how to mend it."""

from __future__ import annotations

import textwrap
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import ALL, AllTables, Json, Vault
from backstream.apps.cli.output import as_json, out
from backstream.operations.doctor import ALLOWED, Check, CheckVerdict, Doctor

PATIENCE = 2.0  # seconds: a service that does not answer is a finding
NARROWEST = 20  # columns for what was found, on however narrow a terminal
STYLES = {CheckVerdict.OK: "green", CheckVerdict.WARNING: "yellow", CheckVerdict.UNKNOWN: "magenta", CheckVerdict.WRONG: "bold red"}
TITLES = {
    CheckVerdict.UNKNOWN: "could not be looked at",
    CheckVerdict.WARNING: "could be safer",
    CheckVerdict.WRONG: "to be mended",
}


def doctor(
    tables: AllTables = ALL,
    *,
    vault: Vault = None,
    function: Annotated[
        str | None,
        Option(metavar="NAME", help="The Lambda function [those that the table's stream feeds].", show_default=False),
    ] = None,
    write: Annotated[bool, Option("--write", help="Put an object into the vault, read it back, and delete it.")] = False,
    json: Json = False,
) -> int:
    """Check permissions, bucket, table, stream, capture, clock and deployment; say what is wrong, and how to fix it."""
    held = library.open(vault, patience=PATIENCE)
    several = held.select(tables) if tables.is_given and tables.single is None else None
    found = held.doctor(tables.single, tables=several, function=function, write=write)
    if json:
        as_json(found)
    else:
        _show(found)
    if found.wrong:
        return 3
    return 1 if found.unknown else 0


def _show(found: Doctor) -> None:
    """Prints sound parts first, in short, and faults last, where the eye is at the end."""
    named = max(len(check.name) for check in found.checks)
    for subject, checks in _by_subject(found, CheckVerdict.OK):
        out.print(subject, style="bold")
        for check in _together(checks):
            _facts(check, named)
    for verdict, title in TITLES.items():
        groups = _by_subject(found, verdict)
        if groups:
            out.print()
            out.print(f"{verdict.upper()}: {title}", style=STYLES[verdict])
        for subject, checks in groups:
            out.print(subject, style="bold")
            for check in checks:
                _facts(check, named)
                if check.mend:
                    out.print(f"    {check.mend}", style="cyan")
    out.print()
    out.print(_sum(found), style=_worst(found))


def _by_subject(found: Doctor, verdict: CheckVerdict) -> list[tuple[str, list[Check]]]:
    """Returns the checks with that verdict, in their order, by subject."""
    groups: dict[str, list[Check]] = {}
    for check in found.checks:
        if check.verdict is verdict:
            groups.setdefault(check.of or "this machine", []).append(check)
    return list(groups.items())


def _together(checks: list[Check]) -> list[Check]:
    """Returns the granted permissions as one line, after the others."""
    allowed = ", ".join(check.name for check in checks if check.found == ALLOWED)
    others = [check for check in checks if check.found != ALLOWED]
    return [*others, Check("permissions", CheckVerdict.OK, allowed)] if allowed else others


def _facts(check: Check, named: int) -> None:
    """Prints one check, with the finding in its own column, however many lines it takes."""
    width = max(NARROWEST, out.width - named - 4)
    lines = textwrap.wrap(check.found, width, break_on_hyphens=False) or [""]
    for position, line in enumerate(lines):
        out.print(f"  {check.name if position == 0 else '':<{named}}  {line}")


def _sum(found: Doctor) -> str:
    well = len(found.checks) - found.wrong - found.warnings - found.unknown
    return f"{well} ok, {found.warnings} warnings, {found.unknown} unknown, {found.wrong} wrong"


def _worst(found: Doctor) -> str:
    verdict = (
        CheckVerdict.WRONG
        if found.wrong
        else CheckVerdict.UNKNOWN
        if found.unknown
        else CheckVerdict.WARNING
        if found.warnings
        else CheckVerdict.OK
    )
    return STYLES[verdict]
