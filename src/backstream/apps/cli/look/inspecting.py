"""`history`, `show` and `status`: looking into the vault."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.differences import attributes, difference
from backstream.apps.cli.each import no_report, of_each, raise_worst
from backstream.apps.cli.figures import write_metrics
from backstream.apps.cli.look.actors import by
from backstream.apps.cli.look.lines import print_lines
from backstream.apps.cli.options import ALL, AllowGap, AllTables, At, Emf, Json, Key, Metrics, Rpo, Rto, TableName, Vault
from backstream.apps.cli.output import as_facts, as_json, notice, of_costs, out
from backstream.apps.monitoring import metrics
from backstream.clock import SystemClock
from backstream.errors import BackstreamError, DifferencesFound, UsageError
from backstream.model.counts import counted
from backstream.model.objectives import in_words
from backstream.model.values.visible import visible_json
from backstream.operations.inspect.history import ItemVersion
from backstream.operations.inspect.kept_shown import ErasureShown, RuleShown
from backstream.operations.inspect.locks import LockShown
from backstream.operations.inspect.readers import too_many
from backstream.operations.inspect.status import OlderShown, Status
from backstream.operations.inspect.worst_first import badness
from backstream.vault.catalog import Layout


def history(
    table: TableName,
    key: Key,
    *,
    vault: Vault = None,
    diff: Annotated[bool, Option("--diff", help="Show what each change changed.")] = False,
    allow_gap: AllowGap = False,
    json: Json = False,
) -> int:
    """Every version of an item: time, sequence, event, actor, image."""
    told = library.open(vault).table(table).tell(key, allow_gap=allow_gap)
    versions = told.versions
    for each in told.notes:
        notice(f"note: {each}")
    for each in told.unread:
        notice(f"NOT READ: {each}")
    if json:
        as_json(versions)
    elif versions:
        _show_history(versions, diff=diff)
    if not versions and not told.unread:
        notice(told.nothing_of(f"{key} in {table}"))
    return 1 if told.unread or not versions else 0


def _show_history(versions: list[ItemVersion], *, diff: bool) -> None:
    before = dict[str, bytes]()
    for version in versions:
        image = attributes(bytes(version.image))
        what = difference(before, image) if diff else [msgspec.json.format(bytes(version.image), indent=-1).decode()]
        out.print(f"{version.time}  {version.event:<8}  {by(version.actors)}  {version.sequence or '-'}", style="bold")
        for line in what:
            out.print(f"    {line}")
        before = image


def show(table: TableName, key: Key, *, at: At, vault: Vault = None, allow_gap: AllowGap = False, json: Json = False) -> int:
    """The item as it was at a moment, in DynamoDB JSON."""
    shown = library.open(vault).table(table).show(key, at, allow_gap=allow_gap)
    for warning in shown.warnings:
        notice(f"note: {warning}")
    body = shown.image if json else msgspec.json.format(shown.image, indent=2)
    sys.stdout.buffer.write(visible_json(body) + b"\n")
    for each in shown.unread:
        notice(f"NOT READ: {each}")
    return 1 if shown.unread else 0


def status(
    tables: AllTables = ALL,
    *,
    vault: Vault = None,
    rpo: Rpo = None,
    rto: Rto = None,
    metrics_file: Metrics = None,
    emf: Emf = None,
    json: Json = False,
) -> None:
    """Layout, recovery window, lag, gaps, sizes and the last drill; whether objectives are met."""
    if json and emf is not None and str(emf) == "-":
        raise UsageError("--json and --emf - both write to stdout", hint="Give --emf a file.")
    held = library.open(vault)
    answers, broken = of_each(
        names := [tables.single] if tables.single is not None else held.select(tables),
        lambda name: held.table(name).status(rpo=rpo, rto=rto),
        alone=tables.single is not None,
    )
    found = list(answers.values())
    for each in found:
        for why in each.unseen:
            notice(f"note: {each.table}: {why}")
    if json:
        lost = [no_report(name, error) for name, error in broken.items()]  # the worst
        as_json(found[0] if tables.single is not None else [*lost, *(sorted(found, key=badness) if tables.is_given else found)])
    elif len(names) > 1:
        print_lines(found, list(broken))
    else:
        for each in found:
            _show_status(each)
    for kept in [each.adopted for each in found if each.adopted is not None][:1]:
        notice(f"note: {kept.limits}")
    if not found and not broken:
        notice(f"the vault {held.url} holds no table yet: run `backstream init TABLE`")
    write_metrics([metrics.of_status(each, SystemClock().now()) for each in found], metrics_file, emf)
    _judge(found, list(broken.values()))


def _judge(found: list[Status], broken: list[BackstreamError]) -> None:
    """Raises the worst error: a table's that gave no status, if its exit code is greater, or else the findings' error."""
    try:
        _judge_found(found)
    except DifferencesFound as error:
        if any(each.exit_code > error.exit_code for each in broken):
            notice(f"error: {error.message}")
            raise_worst(broken)
        raise
    raise_worst(broken)


def _judge_found(found: list[Status]) -> None:
    for each in found:
        if each.hidden:
            notice(_hidden(each))
        if each.damaged:
            notice(_damaged(each))
    damaged = [each.table for each in found if each.damaged]
    if damaged:
        raise DifferencesFound(
            f"objects that are written once have a second version, which is not read: of {', '.join(damaged)}",
            hint="Somebody else has written into the vault. Find out who may, and see all of it: "
            + "; ".join(f"backstream check {each}" for each in damaged),
        )
    hidden = [each.table for each in found if each.hidden]
    if hidden:
        raise DifferencesFound(
            f"objects of the vault are hidden by delete markers: of {', '.join(hidden)}",
            hint="They are read all the same. Bring them back: "
            + "; ".join(f"backstream check {each} --repair" for each in hidden),
        )
    missed = [f"{each.table}: {why}" for each in found for why in each.missed]
    if missed:
        raise DifferencesFound(missed[0], hint="\n".join(missed[1:]))


def _hidden(each: Status) -> str:
    more = f", and {len(each.hidden) - NAMED:,} more" if each.hidden[NAMED:] else ""
    return f"HIDDEN: {each.table}: {', '.join(one.object for one in each.hidden[:NAMED])}{more}"


def _damaged(each: Status) -> str:
    more = f", and {len(each.damaged) - NAMED:,} more" if each.damaged[NAMED:] else ""
    return f"DAMAGED: {each.table}: {', '.join(one.object for one in each.damaged[:NAMED])}{more}"


NEWEST_BASES = 3
NAMED = 5


def _show_status(each: Status) -> None:
    bases = [f"{base.kind} {base.id}, read {base.began} to {base.ended}" for base in each.base_backups]
    as_facts(
        [
            ("table", each.table),
            ("layout", f"{each.layout}, names {each.naming}, tenant attribute {each.tenant_attribute or '-'}"),
            *(("exact restores", exact) for exact in _exact(each)),
            *([] if each.adopted is None else _older(each.adopted)),
            *(("base backup", base) for base in bases[-NEWEST_BASES:]),
            ("proven to", _proven(each)),
            *(("UNPROVEN", why) for why in each.unproven),
            *(("READERS", crowded) for crowded in [too_many(each.readers)] if crowded),
            *(("retention", _rule(rule)) for rule in [each.keep] if rule is not None),
            *(("history kept from", horizon) for horizon in [each.horizon] if horizon),
            *(("single state", moment) for moment in each.kept_states),
            *(("erased", _erased(one)) for one in each.erasures),
            ("lag", "-" if each.lag_seconds is None else f"{each.lag_seconds} s"),
            ("captured by", ", ".join(each.captured_by) or "-"),
            *(("failed batches", f"land in {each.failures}") for _ in range(bool(each.failures))),
            ("change log", f"{counted(each.changes, 'change')} in {counted(each.segments, 'segment')}, {each.log_bytes:,} bytes"),
            ("compacted", f"{each.compacted_changes:,} of them, in {each.compacted_objects:,} objects"),
            *(("FOREIGN", f"{counted(each.foreign, 'object')} in the log that are not of it") for _ in range(bool(each.foreign))),
            ("newest change", each.newest_change or "-"),
            *(("locked", _locked(lock)) for lock in each.locks),
            *((("HIDDEN", f"{counted(len(each.hidden), 'object')} of the vault, by delete markers"),) if each.hidden else ()),
            *(("DAMAGED", f"{counted(len(each.damaged), 'second version')}, not read") for _ in range(bool(each.damaged))),
            *(("GAP", f"{gap.since} to {gap.until}: {gap.reason}") for gap in each.gaps),
            *(("gap, closed", f"{gap.since} to {gap.until}: {gap.reason}") for gap in each.closed_gaps),
            *of_costs(each.costs),
            *(
                ("a month", f"about ${dollars:.2f} at this rate{_without(each)}")
                for dollars in [each.dollars_a_month]
                if dollars is not None
            ),
            ("last drill", _last_drill(each)),
            *(("MISSED", why) for why in each.missed),
        ]
    )


def _rule(rule: RuleShown) -> str:
    days = f", the ends of days of {rule.daily}" if rule.daily else ""
    months = f", the ends of months of {rule.monthly}" if rule.monthly else ""
    return f"every second of {rule.every}{days}{months} (`backstream retain`)"


def _erased(one: ErasureShown) -> str:
    future = ", later changes are discarded" if one.forgets else ""
    left = "" if one.finished else "; NOT FINISHED: the same command finishes it"
    return f"{one.at}: {counted(one.items, 'item')}, {one.reason!r}, {one.id}{future}{left}"


def _locked(each: LockShown) -> str:
    until = each.until or ("until its legal hold ends" if each.held else "NOT LOCKED")
    return f"{each.part}: {until}"


def _proven(each: Status) -> str:
    mark = each.watermark
    if mark is None:
        return f"nothing yet: neither a tail nor the witness has read the stream (`backstream witness {each.table}`)"
    return f"{mark.second}, by the {mark.by} {mark.writer}, written {mark.written}"


def _older(kept: OlderShown) -> list[tuple[str, str]]:
    more = "; it has written since, which `init --adopt` takes in" if kept.stale else ""
    return [("older tool's", f"{kept.since} to {kept.until}, {kept.versions:,} versions{more}")]


def _without(each: Status) -> str:
    return ", without the storage of the rows themselves" if each.layout == Layout.ROWS else ""


def _last_drill(each: Status) -> str:
    last = each.last_drill
    if last is None:
        return "never"
    rpo, rto = ("unknown" if figure is None else in_words(figure) for figure in (last.rpo_seconds, last.rto_seconds))
    verdict = "passed" if last.passed else "FAILED"
    return f"{last.began}: {verdict}, RPO {rpo}, RTO {rto}, {counted(last.rows, 'row')}, {counted(last.differences, 'difference')}"


def _exact(each: Status) -> list[str]:
    if each.ranges:
        return [f"{exact.since} to {exact.until}" for exact in each.ranges]
    if each.window_from is not None:
        return [f"none yet: from {each.window_from} on, once the stream has been read up to there"]
    if each.gaps:
        return [f"none, since changes are missing: `backstream backfill {each.table}` makes restores exact again from then on"]
    why = f"it was not empty at `init`, and there is no base backup: `backstream backfill {each.table}`"
    return [f"none for the whole table ({why}); single rows can be restored"]
