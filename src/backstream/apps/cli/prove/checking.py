"""`check`: the whole vault against its own claims."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import no_report, of_each, raise_worst
from backstream.apps.cli.options import ALL, AllTables, Engine, Json, Master, MinHead, Vault, VerifyKey
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.engines import EngineKind
from backstream.errors import BackstreamError, DifferencesFound
from backstream.model.counts import counted
from backstream.operations.inspect.check import Checked, Finding

NAMED = 20
WHOLE = "100"


def check(
    tables: AllTables = ALL,
    *,
    vault: Vault = None,
    verify_key: VerifyKey = None,
    min_head: MinHead = None,
    read_data: Annotated[
        str | None,
        Option("--read-data", metavar="PERCENT", help="Read and verify this share of the rows too; --read-data alone: all."),
    ] = None,
    repair: Annotated[bool, Option("--repair", help="Remove the delete markers that are not Backstream's own.")] = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> None:
    """Check the whole vault against its own claims: versions, checksums, chains, delete markers."""
    held = library.open(vault, verify_key=verify_key, min_head=min_head, engine=engine, master=master)
    percent = 0.0 if read_data is None else library.percent_of(read_data)
    with ProgressBar(lines=engine is EngineKind.SPARK) as bar:
        answers, broken = of_each(
            names := [tables.single] if tables.single is not None else held.select(tables),
            lambda name: held.table(name).check(read_data=percent, repair=repair, progress=bar),
            alone=tables.single is not None,
        )
    found = list(answers.values())
    if json:
        every = [answers[name] if name in answers else no_report(name, broken[name]) for name in names]
        as_json(found[0] if tables.single is not None else every)
    for each in found:
        if not json:
            _show(each)
        _name(each)
        if each.unrecorded:
            notice(f"note: {each.unrecorded}")
    if not found and not broken:
        notice(f"the vault {held.url} holds no table: there is nothing to check")
    _judge(found, list(broken.values()))


def _show(each: Checked) -> None:
    as_facts(
        [
            ("table", each.table),
            *(("checked", what) for what in each.checked),
            *(("NOT CHECKED", what) for what in each.unchecked),
            ("findings", f"{each.found:,}"),
            *(("repaired", f"{each.repaired:,}") for _ in range(bool(each.repaired))),
            ("seconds", f"{each.seconds:.1f}"),
        ]
    )


def _name(each: Checked) -> None:
    for finding in each.findings[:NAMED]:
        notice(_line(finding))
    if each.found > NAMED:
        notice(f"... and {each.found - NAMED:,} more: --json names them")


def _line(finding: Finding) -> str:
    """Returns one finding as text for people."""
    rows = "" if finding.rows is None or bytes(finding.key) != b"null" else f", {counted(finding.rows, 'change')}"
    return f"{'REPAIRED' if finding.repaired else finding.kind.upper()}: {finding}{rows}"


def _judge(found: list[Checked], broken: list[BackstreamError]) -> None:
    """Raises the error of a check. Findings take precedence over objects that could not be read, as for `doctor`."""
    wrong = [each for each in found if each.found]
    if wrong:
        raise DifferencesFound("; ".join(map(_sum, wrong)), hint=_next(wrong))
    raise_worst(broken)


def _sum(each: Checked) -> str:
    repaired = "" if not each.repaired else ", all of them repaired" if not each.left else f", {each.repaired:,} of them repaired"
    return f"{counted(each.found, 'finding')} in the vault of {each.table}{repaired}"


def _next(wrong: list[Checked]) -> str:
    markers = [each.table for each in wrong if any(one.repairable and not one.repaired for one in each.findings)]
    if markers:
        return "; ".join(f"backstream check {table} --repair" for table in markers) + " takes the delete markers away."
    if any(each.left for each in wrong):
        return "Missing or damaged contents are in earlier versions of the object, in a replica of the bucket, or lost."
    return "Find out who may delete in the vault, and check again."
