"""`witness`: the second reader, which proves what the vault may claim."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import as_error
from backstream.apps.cli.options import Json, Tables, Vault
from backstream.apps.cli.output import as_array, as_facts, as_json, hint, notice
from backstream.errors import BackstreamError
from backstream.model.counts import counted
from backstream.operations.capture.witness import Witnessed

STOPPED = 130  # by the user, cleanly


def witness(
    tables: Tables,
    *,
    vault: Vault = None,
    budget: Annotated[str, Option(metavar="DURATION", help="Stop reading after this time, e.g. 90s or 4m.")] = "4m",
    json: Json = False,
) -> int:
    """Check tables' streams against the vault, write what is missing there, and prove the recovery window up to now.

    Run it by cron if a function captures. Exit 1 if it did not catch up in time, or had to record a gap.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    held = library.open(vault)
    if tables.single is not None:
        report = held.table(tables.single).witness(budget=budget, stop=stop, notice=notice)
        return _show(report, json=json, stopped=stop.is_set())
    found = held.witness(held.select(tables, unknown_too=True), budget=budget, stop=stop, notice=notice)
    with as_array() if json else nullcontext():
        return max(_show_one(table, each, json=json, stopped=stop.is_set()) for table, each in found.items())


def _show_one(table: str, each: Witnessed | BackstreamError, *, json: bool, stopped: bool) -> int:
    """Shows the report or the error of one of several tables, and returns its exit code."""
    if isinstance(each, Witnessed):
        return _show(each, json=json, stopped=stopped)
    notice(f"error: {table}: {each.message}")
    if each.hint:
        hint(f"{table}: {each.hint}")
    if json:
        as_json({"table": table, "error": as_error(each)})
    return each.exit_code


def _show(report: Witnessed, *, json: bool, stopped: bool) -> int:
    if json:
        as_json(report)
    else:
        as_facts(_facts(report))
    return _judge(report, stopped=stopped)


def _facts(report: Witnessed) -> list[tuple[str, str]]:
    missing = f"{report.missing:,}" + (
        f", the oldest of {report.oldest_missing}; all are in the vault now" if report.missing else ""
    )
    return [
        ("table", report.table),
        ("proven to", report.proven_to or "-"),
        ("checked", f"{counted(report.checked, 'record')} of the stream"),
        ("missing in the log", missing),
        *([("discarded", f"{counted(report.forgotten, 'record')} of erased items")] if report.forgotten else []),
        ("gaps recorded", f"{report.gaps:,}"),
        ("caught up", "yes" if report.caught_up else "no"),
        ("took", f"{report.seconds:.1f} s"),
    ]


def _judge(report: Witnessed, *, stopped: bool) -> int:
    """Returns the exit code, and prints the remaining work on stderr."""
    if report.throttled:
        notice(
            f"the stream asked {counted(report.throttled, 'time')} to slow down: a shard allows two readers at a time. "
            f"Is there a third one beside the function and the witness of {report.table}?"
        )
    if report.waiting_for:
        shards = ", ".join(report.waiting_for)
        notice(f"no shard is listed yet that follows {shards}: nothing later is proven until one is; run it again in a minute")
    elif not report.caught_up and not stopped:
        notice(f"its time was up before it had caught up: run `backstream witness {report.table}` again, it goes on from there")
    if report.gaps:
        notice(f"{counted(report.gaps, 'gap')} recorded: some changes are lost, see `backstream status {report.table}`")
    if report.gaps:
        return 1
    return 0 if report.caught_up else STOPPED if stopped else 1
