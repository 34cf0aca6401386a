"""`verify`: is what the vault holds what the table holds?"""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import over
from backstream.apps.cli.options import Engine, Json, Master, Tables, Vault
from backstream.apps.cli.output import as_compared, as_failures, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.engines import EngineKind
from backstream.errors import DifferencesFound, PartlyDone
from backstream.model.counts import counted
from backstream.operations.compare.recheck import PATIENCE
from backstream.operations.compare.verify import Verified


def verify(
    tables: Tables,
    *,
    vault: Vault = None,
    sample: Annotated[float, Option(metavar="PERCENT", help="Only this share of the keys, always the same.")] = 100.0,
    patience: Annotated[float, Option(metavar="SECONDS", min=0, help="Time that a difference must last to count.")] = PATIENCE,
    repair: Annotated[bool, Option("--repair", help="Write the table's state of differing rows into the vault.")] = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> int:
    """Compare the vault with the live table; changes in flight are not differences."""
    held = library.open(vault, engine=engine, master=master)

    def one(table: str) -> None:
        with ProgressBar(lines=engine is EngineKind.SPARK) as bar:
            report = held.table(table).verify(sample=sample, patience=patience, repair=repair, progress=bar)
        for warning in report.warnings:
            notice(f"note: {warning}")
        as_failures("NOT READ", report.failures)
        if json:
            as_json(report)
        else:
            as_compared(report, f"{report.table} at {report.at}")
        _judge(report)

    return over(tables, held, one, json=json)


def _judge(report: Verified) -> None:
    """Raises the error of a comparison. Unreadable rows take precedence over differences: the comparison is not complete."""
    differ = "differs" if report.differences == 1 else "differ"
    differences = f"{counted(report.differences, 'row')} of {report.table} {differ} between the vault and the table"
    if report.repaired and report.repaired == report.wrong:
        raise DifferencesFound(
            f"{counted(report.wrong, 'row')} of {report.table} differed, or were unreadable; the vault holds the table's truth now",
            hint="A sound capture leaves nothing to repair: look into why. Their states in between stay unknown.",
        )
    if report.failed:
        raise PartlyDone(
            f"{report.failed:,} objects or rows could not be read" + (f"; {differences}" if report.differences else ""),
            hint="Each is named above. An unreadable row cannot be restored either.",
        )
    if report.differences:
        raise DifferencesFound(differences, hint=f"Is it captured? `backstream status {report.table}` says by whom, and its gaps.")
