"""Runs everything, round by round: the sides of a contest take turns, so that what slows the machine for a while slows them all."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from benchmarks import cores, wrk
from benchmarks.measure import Measured
from benchmarks.plan import BACKUP, CAPTURE, EXPORT, LIMIT, LISTING, REQUESTS, RESTORE, Contest, Side
from benchmarks.processes import start
from benchmarks.results import Outcome, Results
from benchmarks.stub import Stub
from benchmarks.whole import WholeTables


def run(rounds: int, only: str = "") -> Results:
    """So many rounds. `only`: contests with this word in their titles."""
    results = Results()
    requests = [each for each in (*REQUESTS, CAPTURE, LISTING, EXPORT) if only.lower() in each.title.lower()]
    with cores.together() as others, Stub() as stub:
        for number in range(rounds if requests else 0):
            _say(f"round {number + 1} of {rounds}: requests, against the stub")
            for contest in requests:
                with cores.apart(stub.process, others) if contest.apart else nullcontext():
                    _contest(contest, stub, results)
    if any(only.lower() in each.title.lower() for each in (BACKUP, RESTORE)):
        with WholeTables(results) as whole:
            for number in range(rounds):
                _say(f"round {number + 1} of {rounds}: whole tables, against ministack")
                whole.round(number)
    return results


def _say(what: str) -> None:
    sys.stderr.write(what + "\n")


def _contest(contest: Contest, stub: Stub, results: Results) -> None:
    for side in contest.sides:
        results.take(contest, side.label, partial(_side, side, stub))
    if contest.wrk and wrk.installed():
        results.take(contest, LIMIT, lambda: Outcome(_in_items(contest.each, wrk.load(contest.wrk, stub.url))))


def _side(side: Side, stub: Stub) -> Outcome:
    stub.counts()
    measured = start(side.work, side.count, stub.environment(), warm=side.warm).result()
    items = (side.count + side.warm) * side.each
    return Outcome(_in_items(side.each, measured), {kind: count / items for kind, count in stub.counts().items()})


def _in_items(each: int, measured: Measured) -> Measured:
    return replace(measured, items=measured.items * each)
