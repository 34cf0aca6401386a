"""Tries the bucket's Object Lock, on an object of its own: a setting alone is no proof."""

from __future__ import annotations

import msgspec

from backstream.errors import BackstreamError
from backstream.model import moment
from backstream.operations.inspect.check.report import Checked, Finding, FindingKind
from backstream.ports import LockTrial

WHAT = "Object Lock"


def with_lock(found: Checked, trial: LockTrial | None) -> Checked:
    """Returns the same report with the result of trying the bucket's Object Lock, if it has one.

    Credentials that may not try it leave it unchecked, which the report says.
    """
    if trial is None:
        return found
    try:
        if not trial.is_on():
            return found
        tried = trial.attempt()
    except BackstreamError as error:
        return msgspec.structs.replace(found, unchecked=[*found.unchecked, f"{WHAT}, by trying it: {error.message}"])
    findings = [Finding(FindingKind.UNLOCKED, WHAT, why) for why in tried.weak]
    until = "" if tried.until is None else f", of an object that is locked until {moment.iso(tried.until)}"
    note = "; these credentials may bypass governance mode" if tried.bypass else ""
    checked = [] if findings else [f"{WHAT}: removing a version and shortening its lock were refused{until}{note}"]
    return msgspec.structs.replace(
        found, findings=[*found.findings, *findings], found=found.found + len(findings), checked=[*found.checked, *checked]
    )
